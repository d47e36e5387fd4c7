package lambdahost

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
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
)

// newService makes a service with an own database in a fixed state, at a fixed time, whose random
// numbers are always the same: two of them give the same answers to the same requests. It also gives
// an API key.
func newService(t *testing.T) (handler http.Handler, key string) {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now := func() time.Time { return at }
	random := rand.NewChaCha8([32]byte{1})
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "webhooks.db"), now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	if err := store.AddEventType(t.Context(), webhook.EventType{Name: "invoice.paid", AddedAt: at}); err != nil {
		t.Fatal(err)
	}
	key, err = access.NewSecret(random)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := access.HashSecret(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.CreateKey(t.Context(), access.Key{
		ID: access.NewKeyID("acme", "01JDD9XV8Q4ZJ0T6Q5Y1Q2W3E4"), Company: "acme", Hash: hash, Permissions: access.Permissions(), CreatedAt: at,
	}); err != nil {
		t.Fatal(err)
	}
	sealing, err := seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	service := api.Service{
		Keys: access.NewAuthenticator(store, now), Log: slog.New(slog.DiscardHandler), Now: now, Random: random,
	}
	return service.Handler(api.ListWebhooks(store), api.GetWebhook(store), api.DeleteWebhook(store), api.ListWebhookTypes(store),
		api.CreateWebhook(api.Creator{
			Store: store, Sealer: seal.Sealer{Keys: seal.KeyRing{sealing}, Random: random},
			TLS: endpoint.NoCheck{}, Quota: 3, Now: now, Random: random,
		})), key
}

// call is a request in the words that both hosts are told it in.
type call struct {
	name, method, route, id, query, body string
	header                               map[string]string
}

// path gives the path with the id in it, as escape makes it.
func (c call) path(escape func(string) string) string {
	return strings.ReplaceAll(c.route, "{webhookId}", escape(c.id))
}

func (c call) overHTTP() string {
	var text strings.Builder
	target := c.path(url.PathEscape)
	if c.query != "" {
		target += "?" + c.query
	}
	fmt.Fprintf(&text, "%s %s HTTP/1.1\nHost: example.com\nContent-Length: %d\n", c.method, target, len(c.body))
	for name, value := range c.header {
		fmt.Fprintf(&text, "%s: %s\n", name, value)
	}
	return text.String() + "\n" + c.body
}

func (c call) event(t *testing.T) string {
	t.Helper()
	header := map[string]string{"host": "example.com", "content-length": fmt.Sprint(len(c.body))}
	for name, value := range c.header {
		header[strings.ToLower(name)] = value
	}
	parameters := map[string]string{}
	if strings.Contains(c.route, "{") {
		parameters["webhookId"] = c.id
	}
	out, err := json.Marshal(map[string]any{
		"version": "2.0", "routeKey": c.method + " " + c.route, "rawPath": c.path(func(id string) string { return id }),
		"rawQueryString": c.query, "headers": header, "pathParameters": parameters, "body": c.body,
		"requestContext": map[string]any{"http": map[string]any{"method": c.method, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// TestServiceParity has the whole service answer the same requests on both hosts.
func TestServiceParity(t *testing.T) {
	const one = "/webhooks/{webhookId}"
	create := func(name, more string) string {
		return `{"webhook":{"name":"` + name + `","url":"https://example.com/λ?a=<&>","events":["invoice.paid"]` + more + `}}`
	}
	calls := []call{
		{name: "list nothing", method: "GET", route: "/webhooks"},
		{name: "types", method: "GET", route: "/webhooks/types"},
		{name: "create", method: "POST", route: "/webhooks", body: create("λ <b>&\\u2028", `,"description":"x"`)},
		{name: "create with a key", method: "POST", route: "/webhooks", body: create("b", ""), header: map[string]string{"Idempotency-Key": "a, b,c"}},
		{name: "create again with the key", method: "POST", route: "/webhooks", body: create("b", ""), header: map[string]string{"Idempotency-Key": "a, b,c"}},
		{name: "create something else with the key", method: "POST", route: "/webhooks", body: create("c", ""), header: map[string]string{"Idempotency-Key": "a, b,c"}},
		{name: "create, no name", method: "POST", route: "/webhooks", body: create("", "")},
		{name: "create, no such type", method: "POST", route: "/webhooks", body: `{"webhook":{"name":"n","url":"https://example.com","events":"x"}}`},
		{name: "create, body that is none", method: "POST", route: "/webhooks", body: `{"webhook":`},
		{name: "create, no body", method: "POST", route: "/webhooks"},
		{name: "create, body too large", method: "POST", route: "/webhooks", body: strings.Repeat(" ", 64<<10+1)},
		{name: "create, body just not too large", method: "POST", route: "/webhooks", body: strings.Repeat(" ", 64<<10)},
		{name: "create the last one", method: "POST", route: "/webhooks", body: create("c", "")},
		{name: "create, quota reached", method: "POST", route: "/webhooks", body: create("d", "")},
		{name: "list", method: "GET", route: "/webhooks", query: "size=2&page=2"},
		{name: "list, size twice", method: "GET", route: "/webhooks", query: "size=2&size=3"},
		{name: "list, query that is none", method: "GET", route: "/webhooks", query: "size=%zz"},
		{name: "list, parameters escaped", method: "GET", route: "/webhooks", query: "%73ize=%31&x=%23"},
		{name: "get by query", method: "GET", route: "/webhook", query: "webhookId=wh_%23%3F%2F"},
		{name: "get by query, nothing", method: "GET", route: "/webhook"},
		{name: "no API key", method: "GET", route: "/webhooks", header: map[string]string{"Authorization": ""}},
		{name: "wrong API key", method: "GET", route: "/webhooks", header: map[string]string{"Authorization": "Bearer a,b"}},
		{name: "no route", method: "GET", route: "/nothing"},
		{name: "no method", method: "PUT", route: one, id: "wh_1"},
		{name: "HEAD", method: "HEAD", route: "/webhooks"},
		{name: "the adapter's own header", method: "GET", route: "/webhooks", header: map[string]string{"X-GoLambdaProxy-ApiGw-Context": `{"http":{}}`}},
	}
	for _, id := range []string{"wh_1", "#", "?", "a?size=1", "%", "100%", "%2F", "a/b", "..", ".", "a b", "λ", "\x00", ";", ",", "+", "types/"} {
		calls = append(calls,
			call{name: "get " + id, method: "GET", route: one, id: id},
			call{name: "delete " + id, method: "DELETE", route: one, id: id})
	}
	server, serverKey := newService(t)
	lambda, lambdaKey := newService(t)
	if serverKey != lambdaKey {
		t.Fatal("the two services differ")
	}
	created := ""
	run := func(c call) answered {
		if c.header["Authorization"] == "" && c.name != "no API key" {
			header := map[string]string{"Authorization": "Bearer " + serverKey}
			for name, value := range c.header {
				header[name] = value
			}
			c.header = header
		}
		var onLambda answered
		t.Run(c.name, func(t *testing.T) {
			onLambda = overLambda(t, lambda, c.event(t))
			onServer := overHTTP(t, server, c.overHTTP())
			if onLambda.header["X-Request-Id"] == "" || onServer.header["X-Request-Id"] == "" {
				t.Error("no X-Request-Id")
			}
			delete(onLambda.header, "X-Request-Id")
			delete(onServer.header, "X-Request-Id")
			compare(t, onLambda, onServer)
		})
		return onLambda
	}
	for _, c := range calls {
		got := run(c)
		if c.name == "create" {
			created = strings.TrimPrefix(got.header["Location"], "/webhooks/")
		}
	}
	for _, method := range []string{"GET", "DELETE", "DELETE", "GET"} {
		run(call{name: method + " what was made", method: method, route: one, id: created})
	}
	if got := run(call{name: "list at the end", method: "GET", route: "/webhooks"}); !strings.Contains(got.body, `"count":2`) {
		t.Errorf("the requests did not do what they should: %+v", got)
	}
}
