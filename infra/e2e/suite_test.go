package e2e

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
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
	if err := s.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.loadDescriptions(t)
	s.grows(t, 0, func() {
		for _, subject := range []struct {
			name string
			run  func(*testing.T, *suite)
		}{
			{"Ready", testReady},
			{"Reference", testReference},
			{"Authentication", testAuthentication},
			{"Permission", testPermission},
			{"OtherCompany", testOtherCompany},
			{"Order", testOrder},
			{"RequestID", testRequestID},
			{"BodySize", testBodySize},
			{"UnknownPaths", testUnknownPaths},
			{"WrongMethods", testWrongMethods},
			{"Head", testHead},
			{"Health", testHealth},
			{"ListParameters", testListParameters},
			{"ListPages", testListPages},
			{"ListChanges", testListChanges},
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
			{"IdempotencyRace", testIdempotencyRace},
			{"Quota", testQuota},
			{"Types", testTypes},
			{"TypesChange", testTypesChange},
			{"Get", testGet},
			{"Delete", testDelete},
			{"UnknownIDs", testUnknownIDs},
		} {
			t.Run(subject.name, func(t *testing.T) { subject.run(t, s) })
		}
	})
	if s.own != nil {
		s.client.CloseIdleConnections() // shutdown waits for connections that have not sent a request
		s.own.finish(t, append(slices.Collect(maps.Values(s.tokens)), append(s.keys.all(), s.receiver)...))
	}
}

// ready creates a webhook and deletes it. If the service cannot be tested, the error says why and what to do: otherwise
// every test would fail for the same reason.
func (s *suite) ready(ctx context.Context) error {
	r, err := s.send(ctx, s.get("/webhooks/types"))
	if err != nil {
		return fmt.Errorf("the service does not respond: %w: start it (make run), or correct URL", err)
	}
	if r.status == http.StatusOK {
		var types []string
		if err := json.Unmarshal(r.body, &types); err != nil || len(types) == 0 {
			return fmt.Errorf("%s: add the event type %s with webhookctl types add", r, referenceEvent)
		}
		if !slices.Contains(types, s.event) {
			s.event = types[0]
		}
		if r, err = s.send(ctx, s.post(s.valid().body())); err != nil {
			return err
		}
	}
	switch r.status {
	case http.StatusCreated:
		return s.takeBack(ctx, r)
	case http.StatusUnauthorized:
		err = fmt.Errorf("KEY is unknown, expired or revoked: pass a key with webhooks:read and webhooks:write")
	case http.StatusForbidden:
		err = fmt.Errorf("KEY lacks a permission: pass a key with webhooks:read and webhooks:write")
	case http.StatusNotFound:
		err = fmt.Errorf("URL is not this service: pass the part before /webhooks")
	case http.StatusConflict:
		err = fmt.Errorf("the company has reached its quota: delete webhooks, or pass another company's key")
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		err = fmt.Errorf("the service rejects %s: pass a RECEIVER that it can reach (make run prints one)", s.receiver)
	default:
		err = fmt.Errorf("the service is not ready")
	}
	return fmt.Errorf("%w: %s", err, r)
}

// takeBack deletes the webhook that a response created.
func (s *suite) takeBack(ctx context.Context, created response) error {
	var w webhook
	if err := json.Unmarshal(created.body, &w); err != nil || w.ID == "" {
		return fmt.Errorf("%s: not a webhook", created)
	}
	s.tokens[w.ID] = w.Token
	r, err := s.send(ctx, s.delete("/webhooks/"+w.ID))
	if err == nil && r.status != http.StatusOK {
		err = fmt.Errorf("%s", r)
	}
	return err
}

// testReady checks the error for a service that cannot be tested.
func testReady(t *testing.T, s *suite) {
	s.needOwn(t)
	for _, row := range []struct {
		name   string
		change func(*target)
		want   string
	}{
		{"good", func(*target) {}, ""},
		{"no service", func(g *target) { g.url = strings.Replace(s.own.receivers.closed, "https:", "http:", 1) }, "does not respond"},
		{"another path", func(g *target) { g.url += "/v1" }, "URL is not this service"},
		{"unknown key", func(g *target) { g.keys.both = s.keys.neverIssued }, "KEY is unknown"},
		{"key without webhooks:write", func(g *target) { g.keys.both = s.keys.read }, "KEY lacks a permission"},
		{"key without webhooks:read", func(g *target) { g.keys.both = s.keys.write }, "KEY lacks a permission"},
		{"unreachable receiver", func(g *target) { g.receiver = s.own.receivers.closed }, "pass a RECEIVER"},
	} {
		t.Run(row.name, func(t *testing.T) {
			changed := newSuite(t, s.target)
			row.change(&changed.target)
			s.grows(t, 0, func() {
				err := changed.ready(t.Context())
				if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
					t.Errorf("got error %v, want one that contains %q", err, row.want)
				}
			})
		})
	}
}
