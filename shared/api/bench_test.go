package api_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

// instantStore answers at once, so that what is measured is all that is not the store.
type instantStore struct {
	key  access.Key
	list webhook.List
}

func (s instantStore) KeyByHash(context.Context, access.Hash) (access.Key, error) { return s.key, nil }

func (s instantStore) ListWebhooks(context.Context, string, webhook.Page) (webhook.List, error) {
	return s.list, nil
}

func (s instantStore) Webhook(context.Context, string, string) (webhook.Webhook, error) {
	return s.list.Webhooks[0], nil
}

func newInstantStore() instantStore {
	s := instantStore{key: access.Key{ID: "key", Company: "acme", Permissions: access.Permissions()}}
	for i := range 100 {
		s.list.Webhooks = append(s.list.Webhooks, webhook.Webhook{
			ID:          fmt.Sprintf("wh_01ARZ3NDEKTSV4RRFFQ69G5%03d", i),
			Company:     "acme",
			Name:        "Billing Events",
			Description: "Receive invoice and payment updates",
			URL:         "https://example.com/webhooks/billing",
			Events:      []string{paid, failed},
		})
	}
	s.list.Count = len(s.list.Webhooks)
	return s
}

// discard is a connection that takes everything.
type discard struct{ header http.Header }

func (d discard) Header() http.Header            { return d.header }
func (d discard) Write(body []byte) (int, error) { return len(body), nil }
func (d discard) WriteHeader(int)                {}

func benchmark(b *testing.B, target string) {
	store := newInstantStore()
	secret, err := access.NewSecret(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	service := api.Service{
		Keys:   access.NewAuthenticator(store, time.Now),
		Log:    slog.New(slog.DiscardHandler),
		Now:    time.Now,
		Random: rand.Reader,
	}
	handler := service.Handler(api.ListWebhooks(store), api.GetWebhook(store))
	request := httptest.NewRequest(http.MethodGet, target, nil)
	request.Header.Set("Authorization", "Bearer "+secret)
	b.ReportAllocs()
	for b.Loop() {
		handler.ServeHTTP(discard{http.Header{}}, request)
	}
}

func BenchmarkGetWebhook(b *testing.B) { benchmark(b, "/webhooks/"+wellFormedID) }

func BenchmarkGetWebhookByQuery(b *testing.B) { benchmark(b, "/webhook?webhookId="+wellFormedID) }

func BenchmarkListOf100(b *testing.B) { benchmark(b, "/webhooks") }
