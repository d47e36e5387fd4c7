package bench

import (
	"context"
	"crypto/rand"
	"errors"
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

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
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
	bare := dynamo.NewClient(s.config)
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
				h.compare(b, 1, request, func() error { return errors.Join(replayInOrder(b.Context(), bare, calls)...) })
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

// atSizes runs benchmarks in a company with few and in one with many webhooks. What they create goes
// into a third, so that the two keep their size.
func (h *handlerBench) atSizes(b *testing.B, run func(b *testing.B, r requests)) {
	for _, size := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("webhooks=%d", size), func(b *testing.B) {
			name := fmt.Sprintf("with-%d", size)
			key, id := h.fill(b, name, size)
			run(b, requests{
				{"get", http.MethodGet, "/webhooks/" + id, key, "", http.StatusOK, func(ctx context.Context) error {
					_, err := h.store.Webhook(ctx, name, id)
					return err
				}},
				{"list first 100", http.MethodGet, "/webhooks", key, "", http.StatusOK, h.listing(name, 1)},
				{lastPage, http.MethodGet, fmt.Sprintf("/webhooks?page=%d", max(1, size/100)), key, "", http.StatusOK, h.listing(name, max(1, size/100))},
				{"create", http.MethodPost, "/webhooks", key, billing, http.StatusCreated, func(ctx context.Context) error {
					return h.add(ctx, name, ulid.Make().String())
				}},
			})
		})
	}
}

func (h *handlerBench) listing(company string, page int) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_, err := h.store.ListWebhooks(ctx, company, webhook.Page{Size: 100, Number: page})
		return err
	}
}

func (h *handlerBench) add(ctx context.Context, company, ulid string) error {
	w := webhook.Webhook{
		ID: webhook.NewID(ulid), Company: company, Name: "Billing Events", Description: "Receive invoice and payment updates",
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
	first := ulid.Make().String()
	if err := h.add(b.Context(), company, first); err != nil {
		b.Fatal(err)
	}
	h.together(b, 16, size-1, func() error { return h.add(b.Context(), company, ulid.Make().String()) })
	return secret, webhook.NewID(first)
}

// answer makes one request, and fails unless it is answered as it should be.
func (h *handlerBench) answer(b *testing.B, m measured) {
	r := httptest.NewRequestWithContext(b.Context(), m.method, m.target, strings.NewReader(m.body))
	r.Header.Set("Authorization", "Bearer "+m.key)
	w := httptest.NewRecorder()
	if h.handler.ServeHTTP(w, r); w.Code != m.status {
		b.Errorf("%s: answered with %d: %s", m.name, w.Code, w.Body)
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
	}
	b.ReportMetric(0, "ns/op") // of both together, which says nothing
	b.ReportMetric(float64(median(ours).Nanoseconds())/1000, "µs-request")
	b.ReportMetric(float64(median(theirs).Nanoseconds())/1000, "µs-floor")
	b.ReportMetric(ratio(ours, theirs), "ratio")
	b.ReportMetric(testing.AllocsPerRun(20, func() { h.answer(b, m) }), "allocs-request")
	b.ReportMetric(testing.AllocsPerRun(20, func() { _ = floor() }), "allocs-floor")
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

// replayInOrder makes the calls of one request again. Those that the store makes at the same time are
// made so here: the two of a list's first page. What is written gets a new id.
func replayInOrder(ctx context.Context, client *dynamodb.Client, calls []any) []error {
	errs := make([]error, len(calls))
	var all sync.WaitGroup
	for i, input := range calls {
		if _, write := input.(*dynamodb.TransactWriteItemsInput); write || len(calls) > 2 {
			all.Wait()
		}
		all.Go(func() { errs[i] = repeatAnew(ctx, client, input) })
	}
	all.Wait()
	return errs
}

func repeatAnew(ctx context.Context, client *dynamodb.Client, input any) (err error) {
	switch in := input.(type) {
	case *dynamodb.BatchGetItemInput:
		_, err = client.BatchGetItem(ctx, in)
	case *dynamodb.TransactWriteItemsInput:
		_, err = client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: withNewID(in.TransactItems)})
	default:
		err = repeat(ctx, client, input)
	}
	return err
}

// withNewID copies the writes of a creation for another webhook.
func withNewID(writes []types.TransactWriteItem) []types.TransactWriteItem {
	id := webhook.NewID(ulid.Make().String())
	renewed := make([]types.TransactWriteItem, len(writes))
	for i, write := range writes {
		renewed[i] = write
		if write.Put == nil {
			continue
		}
		put := *write.Put
		put.Item = make(map[string]types.AttributeValue, len(write.Put.Item))
		for name, value := range write.Put.Item {
			if text, ok := value.(*types.AttributeValueMemberS); ok && strings.HasPrefix(text.Value, "W#") {
				value = &types.AttributeValueMemberS{Value: "W#" + id}
			}
			put.Item[name] = value
		}
		renewed[i].Put = &put
	}
	return renewed
}
