package api_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/endpoint"
	"webhooks/shared/seal"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

const (
	paid      = "RecurringPayments.charge.paid"
	aURL      = "https://hooks.example/in"
	acmeKey   = "Bearer whk_acme"
	readerKey = "Bearer whk_reader" // with only webhooks:read
	platform  = "Bearer whk_platform"

	notReached = "TLS certificate validation failed: the host could not be reached"
)

// fixture is a service on a real store, with the parts that tests make fail. At the end of the test it
// checks that the log contains nothing secret.
type fixture struct {
	t       *testing.T
	now     time.Time
	store   *faultyStore
	events  *webhooktest.Memory
	sealer  seal.Sealer
	tls     *tlsStub
	logs    *bytes.Buffer
	service api.Service
	creator api.Creator
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{t: t, now: time.Date(2026, 3, 4, 5, 6, 7, 891_234_567, time.UTC), tls: new(tlsStub), logs: new(bytes.Buffer)}
	now := func() time.Time { return f.now }
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "webhooks.db"), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.AddEventType(t.Context(), webhook.EventType{Name: paid, AddedAt: f.now.Truncate(time.Millisecond)}); err != nil {
		t.Fatal(err)
	}
	key, err := seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	f.store = &faultyStore{Store: store}
	f.store.fails("", nil)
	f.events = webhooktest.NewMemory()
	f.sealer = seal.Sealer{Keys: seal.KeyRing{key}, Random: rand.Reader}
	f.service = api.Service{
		Keys: keys{
			acmeKey:   {ID: "key_acme_1", Company: "acme", Permissions: access.Permissions()},
			readerKey: {ID: "key_acme_1", Company: "acme", Permissions: []access.Permission{access.WebhooksRead}},
			platform:  {ID: "key_1", Permissions: access.Permissions()},
		},
		Log:    slog.New(api.NewLogHandler(slog.NewJSONHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))),
		Now:    now,
		Random: rand.Reader,
	}
	f.creator = api.Creator{Store: f.store, Sealer: f.sealer, TLS: f.tls, Now: now, Random: rand.Reader}
	t.Cleanup(f.checkLogs)
	return f
}

func (f *fixture) handler() http.Handler {
	return f.service.Handler(api.ListWebhooks(f.store), api.CreateWebhook(f.creator), api.ListWebhookTypes(f.store),
		api.GetWebhook(f.store), api.DeleteWebhook(f.store),
		api.PublishEvent(api.Publisher{Store: f.events, Now: f.service.Now, Random: f.service.Random}), api.GetEvent(f.events, f.service.Now),
		api.ListDeliveries(f.events, f.service.Now), api.GetDelivery(f.events, f.service.Now), api.RetryDelivery(f.events, f.service.Now),
		api.GetWebhookStatus(f.events, f.service.Now))
}

// checkLogs checks that no line contains a secret or anything that the client sent, and that each has
// one request ID.
func (f *fixture) checkLogs() {
	for line := range strings.Lines(f.logs.String()) {
		for _, secret := range []string{"whk_", "whsec_", "wh_", "evt_", "dlv_", "invoice", "hooks.example", "Bearer"} {
			if strings.Contains(line, secret) {
				f.t.Errorf("the log contains %q: %s", secret, line)
			}
		}
		if strings.Count(line, `"request_id":"req_`) != 1 {
			f.t.Errorf("want one request ID in %s", line)
		}
	}
}

// line returns the fields of the only log line with the message.
func (f *fixture) line(message string) (fields map[string]any) {
	f.t.Helper()
	for line := range strings.Lines(f.logs.String()) {
		if strings.Contains(line, `"msg":"`+message+`"`) && json.Unmarshal([]byte(line), &fields) == nil {
			return fields
		}
	}
	f.t.Fatalf("no line %q in the log:\n%s", message, f.logs)
	return nil
}

// call is a request. Its zero value is GET /webhooks with acme's key.
type call struct {
	method, target, key, body string
	idempotencyKey            string
}

// create is a request to create a webhook.
func create(name, idempotencyKey string) call {
	body := `{"webhook":{"name":"` + name + `","url":"` + aURL + `","events":["` + paid + `"]}}`
	return call{method: "POST", body: body, idempotencyKey: idempotencyKey}
}

func (c call) request(ctx context.Context) *http.Request {
	r := httptest.NewRequestWithContext(ctx, c.method, cmp.Or(c.target, "/webhooks"), strings.NewReader(c.body))
	r.Header.Set("Authorization", cmp.Or(c.key, acmeKey))
	if c.idempotencyKey != "" {
		r.Header.Set("Idempotency-Key", c.idempotencyKey)
	}
	return r
}

type reply struct {
	status int
	header http.Header
	body   string
}

// do sends a request to a new process on the same store.
func (f *fixture) do(c call) reply {
	return send(f.handler(), c.request(f.t.Context()))
}

func send(h http.Handler, r *http.Request) reply {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return reply{status: w.Code, header: w.Result().Header, body: w.Body.String()}
}

// want checks status and body; an empty body matches any.
func (r reply) want(t *testing.T, status int, body string) {
	t.Helper()
	if r.status != status || body != "" && r.body != body {
		t.Errorf("got %d %s, want %d %s", r.status, r.body, status, body)
	}
}

// errorBody returns the body of an error.
func errorBody(message string) string { return fmt.Sprintf(`{"error":%q}`, message) }

// keys are API keys by the values of Authorization headers.
type keys map[string]access.Key

func (k keys) Authenticate(_ context.Context, authorization string) (access.Key, error) {
	if key, ok := k[authorization]; ok {
		return key, nil
	}
	return access.Key{}, &webhook.Error{Kind: webhook.KindUnauthenticated, Message: "Invalid token", Cause: errors.New("unknown key")}
}

// faultyStore is a real store; before runs before each call and can make it fail.
type faultyStore struct {
	webhook.Store
	before func(ctx context.Context, method string) error
}

// fails makes every call of a method fail.
func (s *faultyStore) fails(method string, err error) {
	s.before = func(_ context.Context, called string) error {
		if called == method {
			return err
		}
		return nil
	}
}

func (s *faultyStore) ListWebhooks(ctx context.Context, company string, page webhook.Page) (webhook.List, error) {
	if err := s.before(ctx, "ListWebhooks"); err != nil {
		return webhook.List{}, err
	}
	return s.Store.ListWebhooks(ctx, company, page)
}

func (s *faultyStore) Webhook(ctx context.Context, company, id string) (webhook.Webhook, error) {
	if err := s.before(ctx, "Webhook"); err != nil {
		return webhook.Webhook{}, err
	}
	return s.Store.Webhook(ctx, company, id)
}

func (s *faultyStore) PrepareCreation(ctx context.Context, q webhook.CreationQuery) (webhook.CreationState, error) {
	if err := s.before(ctx, "PrepareCreation"); err != nil {
		return webhook.CreationState{}, err
	}
	return s.Store.PrepareCreation(ctx, q)
}

func (s *faultyStore) CreateWebhook(ctx context.Context, c webhook.Creation) (*webhook.EarlierCreation, error) {
	if err := s.before(ctx, "CreateWebhook"); err != nil {
		return nil, err
	}
	return s.Store.CreateWebhook(ctx, c)
}

// brokenKeys makes every Seal and Open fail.
type brokenKeys struct{ err error }

func (k brokenKeys) Current(context.Context) (seal.Key, error)         { return seal.Key{}, k.err }
func (k brokenKeys) Key(context.Context, seal.KeyID) (seal.Key, error) { return seal.Key{}, k.err }

// tlsStub is a TLS check that returns err. during runs in the middle of a check.
type tlsStub struct {
	err    error
	during func()
}

func (s *tlsStub) CheckTLS(context.Context, endpoint.URL) error {
	if s.during != nil {
		s.during()
	}
	return s.err
}

// unreachable is a failed TLS check.
func unreachable() error {
	return &webhook.Error{Kind: webhook.KindInvalid, Message: notReached, Cause: errors.New("timed out")}
}
