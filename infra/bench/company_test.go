package bench

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/endpoint"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

const (
	companyID = "bench"
	eventType = "RecurringPayments.charge.paid"
	creation  = `{"webhook":{"name":"Billing Events","description":"Receive invoice and payment updates",` +
		`"url":"https://example.com/webhooks/billing","events":["` + eventType + `"]}}`
)

type store interface {
	webhook.Store
	access.KeyStore
}

// call makes one request to the service, or the calls to the database that such a request makes.
type call func(ctx context.Context) error

// company is a store's only company, with an API key.
type company struct {
	store store
	key   string
	first string // the ID of a webhook that is not deleted
	size  int    // the number of webhooks that grow added
}

func newCompany(b *testing.B, s store) *company {
	b.Helper()
	secret, secretErr := access.NewSecret(rand.Reader)
	hash, hashErr := access.HashSecret(secret)
	keyErr := s.CreateKey(b.Context(), access.Key{
		ID: access.NewKeyID(companyID, ulid.Make().String()), Company: companyID, Hash: hash,
		Permissions: access.Permissions(), CreatedAt: time.Now().UTC(),
	})
	typeErr := s.AddEventType(b.Context(), webhook.EventType{Name: eventType, AddedAt: time.Now()})
	if err := errors.Join(secretErr, hashErr, keyErr, typeErr); err != nil {
		b.Fatal(err)
	}
	return &company{store: s, key: secret}
}

// grow adds webhooks until the company has size of them.
func (c *company) grow(b *testing.B, size int) {
	b.Helper()
	var calls []call
	for ; c.size < size; c.size++ {
		id := newID()
		c.first = cmp.Or(c.first, id)
		calls = append(calls, func(ctx context.Context) error { return c.add(ctx, id) })
	}
	concurrently(b, 16, calls)
}

// add makes the two calls to the store that creating a webhook takes.
func (c *company) add(ctx context.Context, id string) error {
	w := webhook.Webhook{
		ID: id, Company: companyID, Name: "Billing Events", Description: "Receive invoice and payment updates",
		URL: "https://example.com/webhooks/billing", Events: []string{eventType}, SealedToken: make([]byte, 87),
		Version: 1, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}
	if _, err := c.store.PrepareCreation(ctx, webhook.CreationQuery{Company: companyID, Events: w.Events, Now: w.CreatedAt}); err != nil {
		return err
	}
	_, err := c.store.CreateWebhook(ctx, webhook.Creation{Quota: 1 << 30, Webhook: w})
	return err
}

// target returns the ID of the webhook that a call is for: a new ID for a creation, a new webhook for a deletion.
func (c *company) target(b *testing.B, function string) string {
	b.Helper()
	switch function {
	case "create-webhook":
		return newID()
	case "delete-webhook":
		id := newID()
		if err := c.add(b.Context(), id); err != nil {
			b.Fatal(err)
		}
		return id
	}
	return c.first
}

// event returns the event of a request for a function's first route.
func (c *company) event(function string, page webhook.Page, id string) events.APIGatewayV2HTTPRequest {
	route := api.Routes()[slices.IndexFunc(api.Routes(), func(r api.Route) bool { return r.Function == function })]
	event := events.APIGatewayV2HTTPRequest{
		Version: "2.0", RouteKey: route.Method + " " + route.Path, RawPath: strings.ReplaceAll(route.Path, "{webhookId}", id),
		Headers:        map[string]string{"authorization": "Bearer " + c.key, "host": "api.example.com"},
		PathParameters: map[string]string{"webhookId": id},
	}
	switch function {
	case "create-webhook":
		event.Body = creation
	case "list-webhooks":
		event.RawQueryString = fmt.Sprintf("size=%d&page=%d", page.Size, page.Number)
	}
	event.Headers["content-length"] = fmt.Sprint(len(event.Body))
	event.RequestContext.HTTP = events.APIGatewayV2HTTPRequestContextHTTPDescription{
		Method: route.Method, Path: event.RawPath, Protocol: "HTTP/1.1", SourceIP: "192.0.2.7",
	}
	return event
}

func encode(b *testing.B, event events.APIGatewayV2HTTPRequest) []byte {
	b.Helper()
	encoded, err := json.Marshal(event)
	if err != nil {
		b.Fatal(err)
	}
	return encoded
}

func newID() string { return webhook.NewID(ulid.Make().String()) }

// newHandler returns the service with all endpoints, but without the TLS check.
func newHandler(b *testing.B, s store) http.Handler {
	b.Helper()
	key, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(io.Discard, nil))
	service := api.Service{
		Keys: access.NewAuthenticator(s, time.Now, log), Log: log,
		Now: time.Now, Random: rand.Reader, Timeout: time.Minute,
	}
	return service.Handler(
		api.ListWebhooks(s), api.GetWebhook(s), api.ListWebhookTypes(s), api.DeleteWebhook(s),
		api.CreateWebhook(api.Creator{
			Store: s, Sealer: seal.Sealer{Keys: seal.KeyRing{key}, Random: rand.Reader}, TLS: endpoint.NoCheck{},
			Quota: 1 << 30, Now: time.Now, Random: rand.Reader,
		}),
	)
}

// concurrently makes calls, shared equally among callers.
func concurrently(b *testing.B, callers int, calls []call) {
	b.Helper()
	var all sync.WaitGroup
	for share := range slices.Chunk(calls, max(1, (len(calls)+callers-1)/callers)) {
		all.Go(func() {
			for _, call := range share {
				if err := call(b.Context()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	all.Wait()
}
