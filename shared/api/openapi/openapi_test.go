package openapi_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"webhooks/shared/api/openapi"
)

func load(t *testing.T, description []byte) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// Validation also holds every example to its schema.
func TestDescriptionIsValid(t *testing.T) {
	for name, description := range map[string][]byte{"YAML": openapi.YAML(), "JSON": asJSON(t)} {
		t.Run(name, func(t *testing.T) {
			document := load(t, description)
			if err := document.Validate(t.Context(), openapi3.EnableSchemaFormatValidation()); err != nil {
				t.Error(err)
			}
			if !document.IsOpenAPI31OrLater() {
				t.Errorf("got version %s, want 3.1", document.OpenAPI)
			}
		})
	}
}

func asJSON(t *testing.T) []byte {
	t.Helper()
	description, err := openapi.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return description
}

func TestJSONSaysTheSameInTheSameOrder(t *testing.T) {
	description := asJSON(t)
	fromJSON, err := json.Marshal(load(t, description))
	if err != nil {
		t.Fatal(err)
	}
	fromYAML, err := json.Marshal(load(t, openapi.YAML()))
	if err != nil {
		t.Fatal(err)
	}
	if string(fromJSON) != string(fromYAML) {
		t.Errorf("JSON and YAML differ:\n%s\n%s", fromJSON, fromYAML)
	}
	if start := `{"openapi":"3.1.0","info":{"title":"Webhook API",`; !strings.HasPrefix(string(description), start) {
		t.Errorf("got %.80s, want it to begin with %s", description, start)
	}
}

// The bodies that the reference prints, as it prints them.
const (
	referenceWebhook = `{"id":"wh_001","name":"Billing Events","description":"Receive invoice and payment updates",` +
		`"url":"https://example.com/webhooks/billing","events":["RecurringPayments.charge.paid"],"token":"redacted"}`
	referenceCreated = `{"id":"wh_001","name":"Billing Events","description":"Receive invoice and payment updates",` +
		`"url":"https://example.com/webhooks/billing","events":["RecurringPayments.charge.paid"],"token":"generated_webhook_token"}`
	referenceList = `{"entities":"Webhook","count":2,"per_page":100,"pages":{"current":1,"max":1},"elements":[` +
		referenceWebhook + `]}`
	referenceRequest = `{"webhook":{"name":"Billing Events","description":"Receive invoice and payment updates",` +
		`"url":"https://example.com/webhooks/billing","events":["RecurringPayments.charge.paid"]}}`
	referenceTypes   = `["RecurringPayments.charge.paid","RecurringPayments.charge.failed"]`
	referenceDeleted = `{"id":"wh_001","deleted":true}`
)

func TestExamplesAreTheReferences(t *testing.T) {
	document := load(t, openapi.YAML())
	tests := []struct{ name, method, path, status, example, want string }{
		{"list", "GET", "/webhooks", "200", "", referenceList},
		{"create", "POST", "/webhooks", "201", "", referenceCreated},
		{"create without url", "POST", "/webhooks", "400", "field", `{"error":"A valid \"url\" must be specified."}`},
		{"create with unknown event", "POST", "/webhooks", "422", "events", `{"error":"Some events are not available"}`},
		{"types", "GET", "/webhooks/types", "200", "", referenceTypes},
		{"get", "GET", "/webhooks/{webhookId}", "200", "", referenceWebhook},
		{"get unknown", "GET", "/webhook", "404", "", `{"error":"Webhook not found."}`},
		{"delete", "DELETE", "/webhooks/{webhookId}", "200", "", referenceDeleted},
		{"delete unknown", "DELETE", "/webhook", "404", "", `{"error":"Webhook not found. Unable to delete unknown resource"}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			responses := document.Paths.Value(test.path).GetOperation(test.method).Responses
			assertSame(t, exampleOf(responses.Value(test.status).Value.Content, test.example), test.want)
		})
	}
	t.Run("request to create", func(t *testing.T) {
		body := document.Paths.Value("/webhooks").Post.RequestBody.Value
		assertSame(t, exampleOf(body.Content, ""), referenceRequest)
	})
}

func exampleOf(content openapi3.Content, name string) any {
	if name == "" {
		return content["application/json"].Example
	}
	return content["application/json"].Examples[name].Value.Value
}

func assertSame(t *testing.T, example any, want string) {
	t.Helper()
	text, err := json.Marshal(example)
	if err != nil {
		t.Fatal(err)
	}
	var got, wanted any
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, wanted) {
		t.Errorf("got %s, want %s", text, want)
	}
}
