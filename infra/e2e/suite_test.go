package e2e

import (
	"crypto/rand"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"webhooks/shared/access"
)

// TestContract tests the service that the environment names, or else every one that it can start.
func TestContract(t *testing.T) {
	target, err := targetFromEnvironment()
	if err != nil {
		t.Fatal(err)
	}
	if target.url != "" {
		runSuite(t, target)
		return
	}
	binary := buildWebhookctl(t)
	for _, store := range []string{"sqlite", "dynamodb"} {
		t.Run(store, func(t *testing.T) {
			t.Parallel()
			runSuite(t, startTarget(t, binary, store))
		})
	}
}

// suite is one run of the tests against one target.
type suite struct {
	target
	client       *http.Client
	descriptions []description
	inbox        *inbox // nil if the tests cannot receive
	event        string // an event type that the company can subscribe to

	mu         sync.Mutex
	requestIDs map[string]bool
	tokens     map[string]string // by webhook ID, of every webhook created
}

func newSuite(t *testing.T, target target) *suite {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(transport.CloseIdleConnections)
	return &suite{
		target:     target,
		event:      referenceEvent,
		requestIDs: map[string]bool{},
		tokens:     map[string]string{},
		client: &http.Client{
			Timeout:       30 * time.Second, // the TLS check and a cold start take less
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

func runSuite(t *testing.T, target target) {
	s := newSuite(t, target)
	var err error
	if s.keys.neverIssued, err = access.NewSecret(rand.Reader); err != nil {
		t.Fatal(err)
	}
	s.inbox = startInbox(t, target)
	if !t.Run("Ready", func(t *testing.T) { testReady(t, s) }) {
		return
	}
	s.loadDescriptions(t)
	s.grows(t, 0, func() {
		for _, subject := range []struct {
			name string
			run  func(*testing.T, *suite)
		}{
			{"Reference", testReference},
			{"Authentication", testAuthentication},
			{"Permission", testPermission},
			{"OtherCompany", testOtherCompany},
			{"Order", testOrder},
			{"BodySize", testBodySize},
			{"UnknownPaths", testUnknownPaths},
			{"WrongMethods", testWrongMethods},
			{"Head", testHead},
			{"CORS", testCORS},
			{"ListParameters", testListParameters},
			{"ListPages", testListPages},
			{"Create", testCreate},
			{"CreateText", testCreateText},
			{"CreateEvents", testCreateEvents},
			{"BodySyntax", testBodySyntax},
			{"BodyFields", testBodyFields},
			{"CreateMissing", testCreateMissing},
			{"CreateLimits", testCreateLimits},
			{"CreateOrder", testCreateOrder},
			{"URL", testURL},
			{"TLS", testTLS},
			{"Idempotency", testIdempotency},
			{"Quota", testQuota},
			{"Types", testTypes},
			{"TypesChange", testTypesChange},
			{"Get", testGet},
			{"Delete", testDelete},
			{"UnknownIDs", testUnknownIDs},
			{"Events", testEvents},
		} {
			t.Run(subject.name, func(t *testing.T) { subject.run(t, s) })
		}
	})
	if s.own != nil {
		s.client.CloseIdleConnections() // shutdown waits for connections that have not sent a request
		s.own.finish(t, append(slices.Collect(maps.Values(s.tokens)), append(s.keys.all(), s.receiver)...))
	}
}

// testReady creates a webhook. If the service cannot be tested, the error says why and what to do: otherwise every test would
// fail for the same reason.
func testReady(t *testing.T, s *suite) {
	r, err := s.send(t.Context(), s.get("/webhooks/types"))
	if err == nil && r.status == http.StatusOK {
		var types []string
		if err := json.Unmarshal(r.body, &types); err != nil || len(types) == 0 {
			t.Fatalf("%s: add the event type %s with webhookctl types add", r, referenceEvent)
		}
		if !slices.Contains(types, s.event) {
			s.event = types[0]
		}
		r, err = s.send(t.Context(), s.post(s.valid().body()))
	}
	if err != nil {
		t.Fatalf("the service does not respond: %v: start it (make run), or correct URL", err)
	}
	s.deleteLater(t, r)
	if r.status != http.StatusCreated {
		t.Fatalf("%s: %s", r, map[int]string{
			http.StatusBadRequest:          "pass a RECEIVER that the service can reach (make run prints one)",
			http.StatusUnauthorized:        "KEY is unknown, expired or revoked: pass a key with all permissions",
			http.StatusForbidden:           "KEY lacks a permission: pass a key with all permissions",
			http.StatusNotFound:            "URL is not this service: pass the part before /webhooks",
			http.StatusConflict:            "the company has reached its quota: delete webhooks, or pass another company's key",
			http.StatusUnprocessableEntity: "pass a valid RECEIVER",
		}[r.status])
	}
}
