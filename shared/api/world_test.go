package api_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/api/openapi"
	"webhooks/shared/endpoint"
	"webhooks/shared/seal"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
)

// The event types of every world; the last two are granted to acme alone.
const (
	paid   = "RecurringPayments.charge.paid"
	failed = "RecurringPayments.charge.failed"
	beta   = "Beta.thing.happened"
	alpha  = "Alpha.thing.happened"
)

// wellFormedID is an id that no webhook has.
const wellFormedID = "wh_01ARZ3NDEKTSV4RRFFQ69G5FAV"

type store interface {
	webhook.Store
	access.KeyStore
}

// world is a whole service on a real store behind a real server, with the parts that tests turn.
type world struct {
	t       *testing.T
	store   *watchedStore
	clock   *clock
	tls     *tlsStub
	sealer  *sealerStub
	logs    *logBuffer
	service api.Service
	creator api.Creator
	server  *httptest.Server
	keys    map[string]string // names to secrets
	names   map[string]string // "{a}" to the id of a webhook that a test calls a

	description *openapi3.T
}

// newWorld makes a world with two companies, acme and rival. Options change it before it serves.
func newWorld(t *testing.T, options ...func(*world)) *world {
	t.Helper()
	now := &clock{now: time.Date(2026, 3, 4, 5, 6, 7, 891_234_567, time.UTC)}
	w := &world{
		t:      t,
		store:  &watchedStore{store: newStore(t, now.Now)},
		clock:  now,
		tls:    &tlsStub{},
		logs:   &logBuffer{},
		keys:   map[string]string{},
		names:  map[string]string{},
		sealer: &sealerStub{Sealer: newSealer(t)},

		description: description(t),
	}
	w.service = api.Service{
		Keys:   access.NewAuthenticator(w.store, w.clock.Now),
		Log:    slog.New(slog.NewJSONHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:    w.clock.Now,
		Random: rand.Reader,
	}
	w.creator = api.Creator{
		Store: w.store, Sealer: w.sealer, TLS: w.tls, Now: w.clock.Now, Random: rand.Reader,
	}
	w.populate()
	for _, option := range options {
		option(w)
	}
	w.server = httptest.NewServer(w.handler())
	t.Cleanup(w.server.Close)
	t.Cleanup(w.checkLogs)
	return w
}

func (w *world) handler() http.Handler {
	return w.service.Handler(
		api.ListWebhooks(w.store),
		api.CreateWebhook(w.creator),
		api.ListWebhookTypes(w.store),
		api.GetWebhook(w.store),
		api.DeleteWebhook(w.store),
	)
}

// another is the same service in another process: with the same store, clock and log, but a handler of
// its own.
func (w *world) another() *world {
	other := *w
	other.server = httptest.NewServer(w.handler())
	w.t.Cleanup(other.server.Close)
	return &other
}

// populate makes the keys and the event types.
func (w *world) populate() {
	day := 24 * time.Hour
	w.addKey("acme", access.Key{Company: "acme", Permissions: access.Permissions()})
	w.addKey("reader", access.Key{Company: "acme", Permissions: []access.Permission{access.WebhooksRead}})
	w.addKey("writer", access.Key{Company: "acme", Permissions: []access.Permission{access.WebhooksWrite}})
	w.addKey("rival", access.Key{Company: "rival", Permissions: access.Permissions()})
	w.addKey("expired", access.Key{Company: "acme", Permissions: access.Permissions(), ExpiresAt: w.clock.Now()})
	w.addKey("revoked", access.Key{Company: "acme", Permissions: access.Permissions(), RevokedAt: w.clock.Now()})
	w.keys["unknown"] = newSecret(w.t)
	for i, each := range []webhook.EventType{{Name: paid}, {Name: failed}, {Name: beta, Company: "acme"}, {Name: alpha, Company: "acme"}} {
		each.AddedAt = w.clock.Now().Truncate(time.Millisecond).Add(time.Duration(i-10) * day)
		if err := w.store.AddEventType(w.t.Context(), each); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) addKey(name string, key access.Key) {
	w.t.Helper()
	secret := newSecret(w.t)
	hash, err := access.HashSecret(secret)
	if err != nil {
		w.t.Fatal(err)
	}
	key.ID = access.NewKeyID(key.Company, fmt.Sprintf("01ARZ3NDEKTSV4RRFFQ69G5F%02d", len(w.keys)))
	key.Hash = hash
	key.CreatedAt = w.clock.Now().Truncate(time.Millisecond)
	key.RevokedAt, key.ExpiresAt = key.RevokedAt.Truncate(time.Millisecond), key.ExpiresAt.Truncate(time.Millisecond)
	if err := w.store.CreateKey(w.t.Context(), key); err != nil {
		w.t.Fatal(err)
	}
	if !key.RevokedAt.IsZero() {
		if err := w.store.RevokeKey(w.t.Context(), key.ID, key.RevokedAt); err != nil {
			w.t.Fatal(err)
		}
	}
	w.keys[name] = secret
}

func newSecret(t *testing.T) string {
	t.Helper()
	secret, err := access.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

func newSealer(t testing.TB) seal.Sealer {
	t.Helper()
	key, err := seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return seal.Sealer{Keys: seal.KeyRing{key}, Random: rand.Reader}
}

func description(t *testing.T) *openapi3.T {
	t.Helper()
	document, err := openapi3.NewLoader().LoadFromData(openapi.YAML())
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func newStore(t *testing.T, now func() time.Time) store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "webhooks.db"), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// create makes a webhook by the API and gives it a name: from then on {a} is its id in targets and
// bodies, and {a.token} its token.
func (w *world) create(name string, with call) reply {
	w.t.Helper()
	with.method, with.target = http.MethodPost, "/webhooks"
	if with.body == "" {
		with.body = newBody(name, "https://hooks.example/"+name, paid)
	}
	r := w.do(with)
	if r.status != http.StatusCreated {
		w.t.Fatalf("creating %s: %d %s", name, r.status, r.body)
	}
	var body struct{ ID, Token string }
	if err := json.Unmarshal([]byte(r.body), &body); err != nil {
		w.t.Fatal(err)
	}
	w.names["{"+name+"}"], w.names["{"+name+".token}"] = body.ID, body.Token
	return r
}

// newBody is the body of a creation.
func newBody(name, url string, events ...string) string {
	body, err := json.Marshal(map[string]any{"webhook": map[string]any{"name": name, "url": url, "events": events}})
	if err != nil {
		panic(err)
	}
	return string(body)
}

// expand puts ids and tokens where their names stand.
func (w *world) expand(text string) string {
	for name, value := range w.names {
		text = strings.ReplaceAll(text, name, value)
	}
	return text
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// watchedStore is a real store that counts its calls; before may make one fail.
type watchedStore struct {
	store
	mu     sync.Mutex
	calls  []string
	before func(ctx context.Context, method string) error
	// prepared may change what PrepareCreation read; created is told when CreateWebhook has stored one.
	prepared func(*webhook.CreationState)
	created  func()
}

func (s *watchedStore) watch(ctx context.Context, method string) error {
	s.mu.Lock()
	s.calls = append(s.calls, method)
	s.mu.Unlock()
	if s.before == nil {
		return nil
	}
	return s.before(ctx, method)
}

func (s *watchedStore) KeyByHash(ctx context.Context, hash access.Hash) (access.Key, error) {
	if err := s.watch(ctx, "KeyByHash"); err != nil {
		return access.Key{}, err
	}
	return s.store.KeyByHash(ctx, hash)
}

func (s *watchedStore) ListWebhooks(ctx context.Context, company string, page webhook.Page) (webhook.List, error) {
	if err := s.watch(ctx, "ListWebhooks"); err != nil {
		return webhook.List{}, err
	}
	return s.store.ListWebhooks(ctx, company, page)
}

func (s *watchedStore) Webhook(ctx context.Context, company, id string) (webhook.Webhook, error) {
	if err := s.watch(ctx, "Webhook"); err != nil {
		return webhook.Webhook{}, err
	}
	return s.store.Webhook(ctx, company, id)
}

func (s *watchedStore) PrepareCreation(ctx context.Context, q webhook.CreationQuery) (webhook.CreationState, error) {
	if err := s.watch(ctx, "PrepareCreation"); err != nil {
		return webhook.CreationState{}, err
	}
	state, err := s.store.PrepareCreation(ctx, q)
	if s.prepared != nil {
		s.prepared(&state)
	}
	return state, err
}

func (s *watchedStore) CreateWebhook(ctx context.Context, c webhook.Creation) (*webhook.EarlierCreation, error) {
	if err := s.watch(ctx, "CreateWebhook"); err != nil {
		return nil, err
	}
	earlier, err := s.store.CreateWebhook(ctx, c)
	if s.created != nil && earlier == nil && err == nil {
		s.created()
	}
	return earlier, err
}

func (s *watchedStore) DeleteWebhook(ctx context.Context, company, id string) error {
	if err := s.watch(ctx, "DeleteWebhook"); err != nil {
		return err
	}
	return s.store.DeleteWebhook(ctx, company, id)
}

func (s *watchedStore) EventTypes(ctx context.Context, company string) ([]webhook.EventType, error) {
	if err := s.watch(ctx, "EventTypes"); err != nil {
		return nil, err
	}
	return s.store.EventTypes(ctx, company)
}

// failing makes a method of the store fail.
func failing(method string, err error) func(*world) {
	return func(w *world) {
		w.store.before = func(_ context.Context, called string) error {
			if called == method {
				return err
			}
			return nil
		}
	}
}

// tlsStub is a TLS check that says what it is told to, and counts.
type tlsStub struct {
	mu     sync.Mutex
	checks int
	err    error
	during func()
}

func (s *tlsStub) CheckTLS(context.Context, endpoint.URL) error {
	s.mu.Lock()
	s.checks++
	s.mu.Unlock()
	if s.during != nil {
		s.during()
	}
	return s.err
}

// sealerStub is a real sealer that can be made to fail.
type sealerStub struct {
	seal.Sealer
	sealErr, openErr error
}

func (s *sealerStub) Seal(ctx context.Context, company, webhookID, token string) ([]byte, error) {
	if s.sealErr != nil {
		return nil, s.sealErr
	}
	return s.Sealer.Seal(ctx, company, webhookID, token)
}

func (s *sealerStub) Open(ctx context.Context, company, webhookID string, sealed []byte) (string, error) {
	if s.openErr != nil {
		return "", s.openErr
	}
	return s.Sealer.Open(ctx, company, webhookID, sealed)
}

type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

var _ io.Writer = (*logBuffer)(nil)
