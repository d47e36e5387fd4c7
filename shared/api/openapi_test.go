package api_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"webhooks/shared/api"
	"webhooks/shared/api/openapi"
)

// load returns the description that is served.
func loadDescription(t *testing.T) *openapi3.T {
	t.Helper()
	description, err := openapi.JSON()
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	return document
}

// Validation also checks every example against its schema.
func TestDescriptionIsValid(t *testing.T) {
	document := loadDescription(t)
	if err := document.Validate(t.Context(), openapi3.EnableSchemaFormatValidation()); err != nil {
		t.Error(err)
	}
	if !document.IsOpenAPI31OrLater() {
		t.Errorf("got version %s, want 3.1", document.OpenAPI)
	}
}

// The description has the operations of the table of routes, each with its permission, and no other.
func TestDescriptionHasTheRoutes(t *testing.T) {
	var described, routes []string
	for path, item := range loadDescription(t).Paths.Map() {
		for method, operation := range item.Operations() {
			described = append(described, fmt.Sprint(method, " ", path, " ", *operation.Security))
		}
	}
	for _, route := range api.Routes() {
		routes = append(routes, fmt.Sprint(route.Method, " ", route.Path, " [map[apiKey:[", route.Permission, "]]]"))
	}
	slices.Sort(described)
	slices.Sort(routes)
	if !slices.Equal(described, routes) {
		t.Errorf("described:\n%s\nroutes:\n%s", strings.Join(described, "\n"), strings.Join(routes, "\n"))
	}
}

// The examples are the bodies that the reference prints.
func TestExamplesAreTheReferences(t *testing.T) {
	const (
		webhook = `{"id":"wh_001","name":"Billing Events","description":"Receive invoice and payment updates",` +
			`"url":"https://example.com/webhooks/billing","events":["RecurringPayments.charge.paid"],"token":"redacted"}`
		list = `{"entities":"Webhook","count":2,"per_page":100,"pages":{"current":1,"max":1},"elements":[` + webhook + `]}`
	)
	paths := loadDescription(t).Paths
	for _, test := range []struct{ method, path, status, example, want string }{
		{"GET", "/webhooks", "200", "", list},
		{"POST", "/webhooks", "201", "", strings.Replace(webhook, "redacted", "generated_webhook_token", 1)},
		{"POST", "/webhooks", "400", "field", `{"error":"A valid \"url\" must be specified."}`},
		{"POST", "/webhooks", "422", "events", `{"error":"Some events are not available"}`},
		{"GET", "/webhooks/types", "200", "", `["RecurringPayments.charge.paid","RecurringPayments.charge.failed"]`},
		{"GET", "/webhooks/{webhookId}", "200", "", webhook},
		{"GET", "/webhook", "404", "", `{"error":"Webhook not found."}`},
		{"DELETE", "/webhooks/{webhookId}", "200", "", `{"id":"wh_001","deleted":true}`},
		{"DELETE", "/webhook", "404", "", `{"error":"Webhook not found. Unable to delete unknown resource"}`},
	} {
		content := paths.Value(test.path).GetOperation(test.method).Responses.Value(test.status).Value.Content["application/json"]
		got := content.Example
		if test.example != "" {
			got = content.Examples[test.example].Value.Value
		}
		var want any
		if err := json.Unmarshal([]byte(test.want), &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s %s %s: got %v, want %v (%v)", test.method, test.path, test.status, got, want, err)
		}
	}
}
