package api_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

const invalidToken = `{"error":"Invalid token"}`

// authorization is a request with this Authorization, in as many headers as there are values.
func authorization(values ...string) call {
	return call{target: "/webhooks", key: "none", header: http.Header{"Authorization": values}}
}

func TestAuthentication(t *testing.T) {
	challenged := func(t *testing.T, w *world, r reply) {
		if got := r.header.Values("WWW-Authenticate"); !slices.Equal(got, []string{"Bearer"}) {
			t.Errorf("WWW-Authenticate: got %q", got)
		}
		if line := w.accessLine(r); line["company"] != "" || line["key_id"] != "" {
			t.Errorf("got the line %v", line)
		}
	}
	rows := []row{
		{name: "a good key", call: call{target: "/webhooks"}, status: 200},
		{name: "missing", call: call{target: "/webhooks", key: "none"}, status: 401},
		{name: "unknown", call: call{target: "/webhooks", key: "unknown"}, status: 401},
		{name: "expired", call: call{target: "/webhooks", key: "expired"}, status: 401},
		{name: "revoked", call: call{target: "/webhooks", key: "revoked"}, status: 401},
		{name: "empty", call: authorization(""), status: 401},
		{name: "no key", call: authorization("Bearer"), status: 401},
		{name: "another scheme", call: authorization("Basic dXNlcjpwYXNz"), status: 401},
		{name: "malformed", call: authorization("Bearer whk_x"), status: 401},
		{name: "beyond ASCII", call: authorization("Bearer \xff"), status: 401},
		{name: "very long", call: authorization("Bearer " + strings.Repeat("x", 100_000)), status: 401},
		{name: "before the permission, the size and everything else", status: 401,
			call: call{method: "POST", target: "/webhooks", key: "unknown", body: strings.Repeat("x", 70_000),
				header: http.Header{"Idempotency-Key": {""}}}},
	}
	for i := range rows {
		if rows[i].status == 401 {
			rows[i].body, rows[i].check = invalidToken, challenged
		}
	}
	run(t, rows)

	secret := func(w *world) string { return "Bearer " + w.keys["acme"] }
	t.Run("the scheme in any case", func(t *testing.T) {
		w := newWorld(t)
		w.do(authorization("bEARER "+w.keys["acme"])).want(t, 200, "")
	})
	t.Run("twice the same good key is joined by a comma, and no key", func(t *testing.T) {
		w := newWorld(t)
		w.do(authorization(secret(w), secret(w))).want(t, 401, invalidToken)
	})
	t.Run("a good key after an empty header is no key either", func(t *testing.T) {
		w := newWorld(t)
		w.do(authorization("", secret(w))).want(t, 401, invalidToken)
	})
	t.Run("a good key in other headers is none", func(t *testing.T) {
		w := newWorld(t)
		w.do(call{target: "/webhooks?access_token=" + w.keys["acme"], key: "none", header: http.Header{
			"X-Api-Key": {w.keys["acme"]}, "Proxy-Authorization": {secret(w)}, "X-Amzn-Remapped-Authorization": {secret(w)},
		}}).want(t, 401, invalidToken)
	})
	t.Run("the reason is in the log, not in the answer", func(t *testing.T) {
		w := newWorld(t)
		w.do(call{target: "/webhooks", key: "expired"}).want(t, 401, invalidToken)
		if !strings.Contains(w.logs.String(), "has expired or was revoked") {
			t.Errorf("got the log %s", w.logs)
		}
	})
	t.Run("a store that cannot tell is no refusal", func(t *testing.T) {
		w := newWorld(t, failing("KeyByHash", webhook.Unavailable(errors.New("throttled"))))
		w.do(call{target: "/webhooks"}).want(t, 503, "")
	})
}

func TestOrderBeforeTheEndpoint(t *testing.T) {
	large := strings.Repeat("x", 64<<10+1)
	key := http.Header{"Idempotency-Key": {""}}
	run(t, []row{
		{name: "an unknown path before authentication", call: call{target: "/x", key: "none"}, status: 404, body: refused("Path not found.")},
		{name: "a method before authentication", call: call{method: "PUT", target: "/webhooks", key: "none"}, status: 405},
		{name: "permission before size", call: call{method: "POST", target: "/webhooks", key: "reader", body: large}, status: 403},
		{name: "size before parameters", call: call{method: "POST", target: "/webhooks", body: large, header: key}, status: 413},
		{name: "size before parameters, in chunks", call: call{method: "POST", target: "/webhooks", reader: chunks(large), header: key}, status: 413},
		{name: "size before a query", call: call{target: "/webhooks?size=0", body: large}, status: 413},
	})
}

func TestBodySize(t *testing.T) {
	const limit = 64 << 10
	fit := func(length int) string {
		body := with(good)
		return body + strings.Repeat(" ", length-len(body))
	}
	tooLarge := refused("The body must have at most 65536 bytes.")
	run(t, []row{
		{name: "64 KiB", call: post(fit(limit)), status: 201},
		{name: "64 KiB in chunks", call: call{method: "POST", target: "/webhooks", reader: chunks(fit(limit))}, status: 201},
		{name: "a byte more", call: post(fit(limit + 1)), status: 413, body: tooLarge, check: nothingStored},
		{name: "a byte more in chunks", call: call{method: "POST", target: "/webhooks", reader: chunks(fit(limit + 1))}, status: 413, body: tooLarge},
		{name: "megabytes", call: post(fit(8 << 20)), status: 413, body: tooLarge},
		{name: "a body that nobody needs", given: created("a"), call: call{target: "/webhooks/{a}", body: "{"}, status: 200},
		{name: "one that nobody needs, but too large", given: created("a"), call: call{target: "/webhooks/{a}", body: fit(limit + 1)}, status: 413, body: tooLarge},
		{name: "one to be deleted with, but too large", given: created("a"),
			call: call{method: "DELETE", target: "/webhooks/{a}", body: fit(limit + 1)}, status: 413, body: tooLarge,
			check: func(t *testing.T, w *world, _ reply) { w.do(call{target: "/webhooks/{a}"}).want(t, 200, "") }},
	})
}

func TestRequestID(t *testing.T) {
	w := newWorld(t)
	given := http.Header{"X-Request-Id": {"req_01ARZ3NDEKTSV4RRFFQ69G5FAV"}}
	first := w.do(call{target: "/webhooks", header: given}).header.Get("X-Request-Id")
	second := w.do(call{target: "/webhooks", header: given}).header.Get("X-Request-Id")
	if first == second || first == given.Get("X-Request-Id") {
		t.Errorf("got %s and %s, want two made here", first, second)
	}
}

func TestFailures(t *testing.T) {
	inner := errors.New("table Subscriptions is gone")
	tests := []struct {
		name   string
		err    error
		status int
		body   string
		retry  string
		logged bool
	}{
		{"unclassified", inner, 500, "Internal error", "", true},
		{"classified as internal", &webhook.Error{Message: "secret detail", Cause: inner}, 500, "Internal error", "", true},
		{"of a kind there is not", &webhook.Error{Kind: 99, Message: "secret detail", Cause: inner}, 500, "Internal error", "", true},
		{"busy", webhook.Unavailable(inner), 503, "The service is busy. Try again later.", "1", true},
		{"busy for longer", &webhook.Error{Kind: webhook.KindUnavailable, Message: "Later.", RetryAfter: 1500 * time.Millisecond, Cause: inner}, 503, "Later.", "2", true},
		{"busy for a moment", &webhook.Error{Kind: webhook.KindUnavailable, Message: "Later.", RetryAfter: 1, Cause: inner}, 503, "Later.", "1", true},
		{"a conflict to be tried again", &webhook.Error{Kind: webhook.KindConflict, Message: "Later.", RetryAfter: time.Minute, Cause: inner}, 409, "Later.", "60", false},
		{"a deadline that nobody translated", context.DeadlineExceeded, 503, "The service is busy. Try again later.", "1", true},
		{"wrapped", errors.Join(errors.New("x"), webhook.Errorf(webhook.KindConflict, "Taken.")), 409, "Taken.", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, failing("PrepareCreation", test.err))
			r := w.do(post(with(good)))
			r.want(t, test.status, refused(test.body))
			if got := r.header.Get("Retry-After"); got != test.retry {
				t.Errorf("got Retry-After %q, want %q", got, test.retry)
			}
			if logged := strings.Contains(w.logs.String(), `"level":"ERROR"`) && strings.Contains(w.logs.String(), api.Cause(test.err)); logged != test.logged {
				t.Errorf("the cause is in the log: %t, want %t\n%s", logged, test.logged, w.logs)
			}
		})
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	w := newWorld(t, func(w *world) {
		w.store.before = func(context.Context, string) error { panic("index out of range") }
	})
	w.do(call{target: "/webhooks"}).want(t, 500, refused("Internal error"))
	if log := w.logs.String(); !strings.Contains(log, "index out of range") || !strings.Contains(log, "service_test.go") {
		t.Errorf("the log has no panic with its stack: %s", log)
	}
	w.store.before = nil
	w.do(call{target: "/webhooks"}).want(t, 200, "")
}

// blocking makes the store wait for the end of the request's context.
func blocking(w *world) {
	w.store.before = func(ctx context.Context, method string) error {
		if method == "KeyByHash" {
			return nil
		}
		<-ctx.Done()
		return webhook.Unavailable(ctx.Err())
	}
}

func TestTimeout(t *testing.T) {
	w := newWorld(t, blocking, func(w *world) { w.service.Timeout = 20 * time.Millisecond })
	w.do(call{target: "/webhooks"}).want(t, 503, refused("The service is busy. Try again later."))
}

func TestDefaultTimeout(t *testing.T) {
	w := newWorld(t)
	var left time.Duration
	w.store.before = func(ctx context.Context, _ string) error {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
		return nil
	}
	w.do(call{target: "/webhooks"}).want(t, 200, "")
	if left <= api.DefaultTimeout-time.Second || left > api.DefaultTimeout {
		t.Errorf("got %v left, want nearly %v", left, api.DefaultTimeout)
	}
}

// A client that does not wait for its answer is no error of ours.
func TestClientThatWentAway(t *testing.T) {
	w := newWorld(t, blocking)
	ctx, cancel := context.WithCancel(t.Context())
	request := w.request(call{target: "/webhooks"}).WithContext(ctx)
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := http.DefaultTransport.RoundTrip(request); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	for deadline := time.Now().Add(5 * time.Second); !strings.Contains(w.logs.String(), `"msg":"request"`); {
		if time.Now().After(deadline) {
			t.Fatal("the request did not end")
		}
		time.Sleep(time.Millisecond)
	}
	if log := w.logs.String(); strings.Contains(log, `"level":"ERROR"`) || !strings.Contains(log, "the client went away") {
		t.Errorf("got the log %s", log)
	}
}

// brokenWriter is a connection that is gone when the answer is written.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestAnswerThatCannotBeSent(t *testing.T) {
	w := newWorld(t)
	w.handler().ServeHTTP(brokenWriter{httptest.NewRecorder()}, w.request(call{target: "/webhooks"}))
	if log := w.logs.String(); strings.Contains(log, `"level":"ERROR"`) || !strings.Contains(log, "broken pipe") {
		t.Errorf("got the log %s", log)
	}
}

func TestAccessLine(t *testing.T) {
	tests := []struct {
		name string
		call call
		want map[string]any
	}{
		{"a webhook's path is its pattern", call{target: "/webhooks/{a}?webhookId=x"},
			map[string]any{"method": "GET", "route": "/webhooks/{webhookId}", "status": 200.0, "company": "acme"}},
		{"an unknown path is none", call{target: "/secret", key: "none"},
			map[string]any{"method": "GET", "route": "none", "status": 404.0, "company": ""}},
		{"an unknown method is another", call{method: "whk_SECRET", target: "/webhooks"},
			map[string]any{"method": "other", "route": "none", "status": 405.0, "company": ""}},
		{"a key without permission is named", call{method: "DELETE", target: "/webhook", key: "reader"},
			map[string]any{"method": "DELETE", "route": "/webhook", "status": 403.0, "company": "acme"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.create("a", call{})
			line := w.accessLine(w.do(test.call))
			for name, want := range test.want {
				if line[name] != want {
					t.Errorf("%s: got %v, want %v", name, line[name], want)
				}
			}
			if id, _ := line["key_id"].(string); line["company"] == "acme" && !strings.HasPrefix(id, "key_acme_") {
				t.Errorf("key_id: got %v", id)
			}
			if _, ok := line["duration_ms"].(float64); !ok {
				t.Errorf("got no duration: %v", line)
			}
		})
	}
}

// What deeper layers log of a request has its id.
func TestRequestIDInContext(t *testing.T) {
	w := newWorld(t)
	var id string
	w.store.before = func(ctx context.Context, _ string) error {
		id = api.RequestID(ctx)
		return nil
	}
	if r := w.do(call{target: "/webhooks"}); id == "" || id != r.header.Get("X-Request-Id") {
		t.Errorf("got %q, want %q", id, r.header.Get("X-Request-Id"))
	}
	if got := api.RequestID(t.Context()); got != "" {
		t.Errorf("got %q outside of a request", got)
	}
}

// Both permissions are needed exactly where the table of routes says so.
func TestPermissions(t *testing.T) {
	w := newWorld(t)
	for _, route := range api.Routes() {
		target := strings.ReplaceAll(route.Path, "{webhookId}", wellFormedID)
		for key, permission := range map[string]access.Permission{"reader": access.WebhooksRead, "writer": access.WebhooksWrite} {
			r := w.do(call{method: route.Method, target: target, key: key})
			if refusedForIt := r.status == 403; refusedForIt != (permission != route.Permission) {
				t.Errorf("%s %s by a %s: got %d", route.Method, route.Path, key, r.status)
			}
			if r.status == 403 {
				r.want(t, 403, refused(`The API key lacks the permission "`+string(route.Permission)+`".`))
			}
		}
	}
}
