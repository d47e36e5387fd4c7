package bench

import (
	"context"
	"crypto/rand"
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

	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/dynamo"
	"webhooks/shared/endpoint"
	"webhooks/shared/seal"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
)

const billing = `{"webhook":{"name":"Billing Events","description":"Receive invoice and payment updates",` +
	`"url":"https://example.com/webhooks/billing","events":["` + eventType + `"]}}`

const lastPage = "list last page"

// BenchmarkHandlerOnDynamoDB compares whole requests (route, authentication, checks, storage, answer,
// log; but not the TLS check of a creation) with the very SDK calls that each of them makes, in
// turn in the same run. "ratio" is that of the medians.
func BenchmarkHandlerOnDynamoDB(b *testing.B) {
	s := newStack(b)
	recorded := new(recorder)
	store := dynamo.New(dynamo.NewClient(s.config, recorded.option), s.table)
	bare := s.bareClient()
	h := newHandlerBench(b, store)
	h.atSizes(b, func(b *testing.B, r requests) {
		for _, request := range r {
			if request.name == lastPage {
				continue // a query is skipped through in several calls, each of which depends on the one before
			}
			b.Run(request.name, func(b *testing.B) {
				h.answer(b, request) // the key is in memory from here on
				recorded.take()
				h.answer(b, request)
				calls := recorded.take()
				h.deleteMade(b)
				h.compare(b, 1, request, func() error {
					id := ""
					if request.method == http.MethodPost {
						id = h.newID()
					}
					return replay(b.Context(), bare, calls, id)
				})
			})
		}
	})
}

// BenchmarkHandlerOnSQLite compares whole requests with the calls of the store that each makes, with
// one caller and with sixteen.
func BenchmarkHandlerOnSQLite(b *testing.B) {
	store, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "webhooks.db"), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	h := newHandlerBench(b, store)
	h.atSizes(b, func(b *testing.B, r requests) {
		for _, request := range r {
			for _, callers := range []int{1, 16} {
				b.Run(fmt.Sprintf("%s/callers=%d", request.name, callers), func(b *testing.B) {
					h.compare(b, callers, request, func() error { return request.store(b.Context()) })
				})
			}
		}
	})
}

// bothStores is what a store is asked for here.
type bothStores interface {
	webhook.Store
	access.KeyStore
}

// handlerBench is the service on a store, without a listener.
type handlerBench struct {
	store   bothStores
	handler http.Handler

	mu   sync.Mutex
	made []string // the ids of what was created since the company was filled, and not deleted

	company string // the one that was filled last
}

// newID makes the id of a webhook to be created.
func (h *handlerBench) newID() string {
	id := webhook.NewID(ulid.Make().String())
	h.note(id)
	return id
}

func (h *handlerBench) note(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.made = append(h.made, id)
}

// deleteMade deletes what was created.
func (h *handlerBench) deleteMade(b *testing.B) {
	b.Helper()
	for _, id := range h.made {
		if err := h.store.DeleteWebhook(b.Context(), h.company, id); err != nil {
			b.Fatal(err)
		}
	}
	h.made = nil
}

func newHandlerBench(b *testing.B, store bothStores) *handlerBench {
	b.Helper()
	key, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	service := api.Service{
		Keys: access.NewAuthenticator(store, time.Now), Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		Now: time.Now, Random: rand.Reader, Timeout: time.Minute,
	}
	err = store.AddEventType(b.Context(), webhook.EventType{Name: eventType, AddedAt: time.Now()})
	if err != nil {
		b.Fatal(err)
	}
	return &handlerBench{store: store, handler: service.Handler(
		api.ListWebhooks(store), api.GetWebhook(store),
		api.CreateWebhook(api.Creator{
			Store: store, Sealer: seal.Sealer{Keys: seal.KeyRing{key}, Random: rand.Reader}, TLS: endpoint.NoCheck{},
			Quota: 1 << 30, Now: time.Now, Random: rand.Reader,
		}),
	)}
}

// measured is a request, and what it asks of the store.
type measured struct {
	name, method, target, key, body string
	status                          int
	store                           func(ctx context.Context) error
}

type requests []measured

// atSizes runs benchmarks in a company with few and in one with many webhooks. Those two keep their size:
// what is created is deleted after every turn. The list of ten is as long in both, so it tells whether
// the size matters.
func (h *handlerBench) atSizes(b *testing.B, run func(b *testing.B, r requests)) {
	for _, size := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("webhooks=%d", size), func(b *testing.B) {
			name := fmt.Sprintf("with-%d", size)
			key, id := h.fill(b, name, size)
			last := max(1, size/100)
			run(b, requests{
				{"get", http.MethodGet, "/webhooks/" + id, key, "", http.StatusOK, func(ctx context.Context) error {
					_, err := h.store.Webhook(ctx, name, id)
					return err
				}},
				{"list first 10", http.MethodGet, "/webhooks?size=10", key, "", http.StatusOK, h.listing(name, webhook.Page{Size: 10, Number: 1})},
				{"list first 100", http.MethodGet, "/webhooks", key, "", http.StatusOK, h.listing(name, webhook.Page{Size: 100, Number: 1})},
				{lastPage, http.MethodGet, fmt.Sprintf("/webhooks?page=%d", last), key, "", http.StatusOK, h.listing(name, webhook.Page{Size: 100, Number: last})},
				{"create", http.MethodPost, "/webhooks", key, billing, http.StatusCreated, func(ctx context.Context) error {
					return h.add(ctx, name, h.newID())
				}},
			})
		})
	}
}

func (h *handlerBench) listing(company string, page webhook.Page) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_, err := h.store.ListWebhooks(ctx, company, page)
		return err
	}
}

func (h *handlerBench) add(ctx context.Context, company, id string) error {
	w := webhook.Webhook{
		ID: id, Company: company, Name: "Billing Events", Description: "Receive invoice and payment updates",
		URL: "https://example.com/webhooks/billing", Events: []string{eventType}, SealedToken: make([]byte, 87),
		Version: 1, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}
	if _, err := h.store.PrepareCreation(ctx, webhook.CreationQuery{Company: company, Events: w.Events, Now: w.CreatedAt}); err != nil {
		return err
	}
	_, err := h.store.CreateWebhook(ctx, webhook.Creation{Quota: 1 << 30, Webhook: w})
	return err
}

// fill makes a company with some webhooks and an API key, and gives the key and the first webhook's id.
func (h *handlerBench) fill(b *testing.B, company string, size int) (secret, firstID string) {
	b.Helper()
	secret, err := access.NewSecret(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	hash, err := access.HashSecret(secret)
	if err != nil {
		b.Fatal(err)
	}
	err = h.store.CreateKey(b.Context(), access.Key{
		ID: access.NewKeyID(company, ulid.Make().String()), Company: company, Hash: hash,
		Permissions: access.Permissions(), CreatedAt: time.Now().UTC(),
	})
	if err != nil {
		b.Fatal(err)
	}
	firstID = h.newID()
	if err := h.add(b.Context(), company, firstID); err != nil {
		b.Fatal(err)
	}
	h.together(b, 16, size-1, func() error { return h.add(b.Context(), company, h.newID()) })
	h.company, h.made = company, nil
	return secret, firstID
}

// answer makes one request, and fails unless it is answered as it should be.
func (h *handlerBench) answer(b *testing.B, m measured) {
	r := httptest.NewRequestWithContext(b.Context(), m.method, m.target, strings.NewReader(m.body))
	r.Header.Set("Authorization", "Bearer "+m.key)
	w := httptest.NewRecorder()
	if h.handler.ServeHTTP(w, r); w.Code != m.status {
		b.Errorf("%s: answered with %d: %s", m.name, w.Code, w.Body)
	}
	if location := w.Header().Get("Location"); location != "" {
		h.note(strings.TrimPrefix(location, "/webhooks/"))
	}
}

// compare makes requests and the floor's calls in turn, each by some callers at once, and reports
// the medians of the time for one.
func (h *handlerBench) compare(b *testing.B, callers int, m measured, floor func() error) {
	perTurn := 1
	if callers > 1 {
		perTurn = 4 * callers
	}
	var ours, theirs []time.Duration
	for b.Loop() {
		began := time.Now()
		h.together(b, callers, perTurn, func() error { h.answer(b, m); return nil })
		ours = append(ours, time.Since(began)/time.Duration(perTurn))
		began = time.Now()
		h.together(b, callers, perTurn, floor)
		theirs = append(theirs, time.Since(began)/time.Duration(perTurn))
		h.deleteMade(b)
	}
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
	b.ReportMetric(float64(median(ours).Nanoseconds())/1000, "µs-request")
	b.ReportMetric(float64(median(theirs).Nanoseconds())/1000, "µs-floor")
	b.ReportMetric(ratio(ours, theirs), "ratio")
	b.ReportMetric(testing.AllocsPerRun(20, func() { h.answer(b, m) }), "allocs-request")
	b.ReportMetric(testing.AllocsPerRun(20, func() { _ = floor() }), "allocs-floor")
	h.deleteMade(b)
}

// together makes n calls, shared among callers.
func (h *handlerBench) together(b *testing.B, callers, n int, call func() error) {
	b.Helper()
	left := make(chan struct{}, n)
	for range n {
		left <- struct{}{}
	}
	close(left)
	var all sync.WaitGroup
	for range callers {
		all.Go(func() {
			for range left {
				if err := call(); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}
