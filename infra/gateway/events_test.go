package gateway_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

// testEvents invokes every function with the event beside it, in which a stored key and a stored
// webhook's id have been put in the place of the examples.
func testEvents(t *testing.T, s *stack) {
	key := s.key(t, "events", nil, access.Permissions()...)
	statuses := map[string]int{
		"list-webhooks": 200, "create-webhook": 201, "get-webhook": 200, "delete-webhook": 200, "list-webhook-types": 200,
	}
	if len(statuses) != len(s.bootstraps) {
		t.Errorf("%d functions are tried of %d", len(statuses), len(s.bootstraps))
	}
	for name, status := range statuses {
		t.Run(name, func(t *testing.T) {
			event := eventWith(t, name, key)
			checkRoute(t, name, event)
			event = withWebhook(event, s.webhook(t, "events"))
			f := s.function(t, name, map[string]string{"WEBHOOKS_TLS_CHECK": "off"})
			var response struct {
				StatusCode int
				Body       string
			}
			if err := json.Unmarshal(invoke(t, f, event), &response); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != status {
				t.Errorf("got %+v, want %d", response, status)
			}
		})
	}
}

// eventWith gives the event beside a function, with a key in it.
func eventWith(t *testing.T, function, key string) []byte {
	t.Helper()
	event, err := os.ReadFile(filepath.Join("..", "..", "functions", function, "event.json"))
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile(`whk_[a-z2-7]{58}`)
	if _, err := access.HashSecret(string(example.Find(event))); err != nil {
		t.Errorf("the example of a key in the event: %v", err)
	}
	return example.ReplaceAll(event, []byte(key))
}

// withWebhook puts a webhook's id in the place of the example.
func withWebhook(event []byte, id string) []byte {
	return regexp.MustCompile(`wh_[0-9A-Z]{26}`).ReplaceAll(event, []byte(id))
}

// checkRoute expects an event of one of the function's routes.
func checkRoute(t *testing.T, function string, event []byte) {
	t.Helper()
	var e struct {
		Version, RouteKey, RawPath string
		RequestContext             struct{ RouteKey string }
	}
	if err := json.Unmarshal(event, &e); err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(api.Routes(), func(r api.Route) bool { return r.Function == function && r.Method+" "+r.Path == e.RouteKey }) {
		t.Errorf("the event's route %q is none of the function's", e.RouteKey)
	}
	if e.Version != "2.0" || e.RequestContext.RouteKey != e.RouteKey {
		t.Errorf("event %+v", e)
	}
	if !bytes.HasSuffix(event, []byte("}\n")) {
		t.Error("the file does not end with a line")
	}
}

// webhook stores a webhook and gives its id.
func (s *stack) webhook(t *testing.T, company string) string {
	t.Helper()
	id := webhook.NewID(newULID())
	_, err := s.store.CreateWebhook(t.Context(), webhook.Creation{Quota: 100_000, Webhook: webhook.Webhook{
		ID: id, Company: company, Name: "Billing Events", URL: "https://example.com/webhooks/billing",
		Events: []string{"RecurringPayments.charge.paid"}, SealedToken: []byte("sealed"), Version: 1,
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// newULID makes 26 random characters of a ULID's alphabet.
func newULID() string {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	text := make([]byte, 26)
	_, _ = rand.Read(text) // never fails
	for i := range text {
		text[i] = alphabet[text[i]%32]
	}
	text[0] = '0'
	return string(text)
}
