package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/api"
	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

// The status, message, Retry-After and log line for every sort of error.
func TestFailures(t *testing.T) {
	inner := errors.New("table Subscriptions is gone")
	const internal, busy = "Internal error", "The service is busy. Try again later."
	later := &webhook.Error{Kind: webhook.KindUnavailable, Message: "Later.", RetryAfter: 1500 * time.Millisecond, Cause: inner}
	tests := []struct {
		name    string
		err     error
		status  int
		message string
		retry   string
		cause   string // of the line at ERROR, or at WARN for an outage of the network; empty if there must be none
	}{
		{"unclassified", fmt.Errorf("reading: %w", inner), 500, internal, "", "reading: " + inner.Error()},
		{"internal", &webhook.Error{Message: "secret detail", Cause: inner}, 500, internal, "", inner.Error()},
		{"internal without a cause", webhook.Errorf(webhook.KindInternal, "broken"), 500, internal, "", "broken"},
		{"busy", fmt.Errorf("reading: %w", webhook.Unavailable(inner)), 503, busy, "1", inner.Error()},
		{"busy for longer", later, 503, "Later.", "2", inner.Error()},
		{"no name server", webhook.Unavailable(endpoint.ErrNoNameServer), 503, busy, "1", endpoint.ErrNoNameServer.Error()},
		{"unclassified deadline", context.DeadlineExceeded, 503, busy, "1", context.DeadlineExceeded.Error()},
		{"conflict to retry", &webhook.Error{Kind: webhook.KindConflict, Message: "Later.", RetryAfter: time.Minute}, 409, "Later.", "60", ""},
		{"too slow", webhook.Errorf(webhook.KindTooSlow, "Slow."), 408, "Slow.", "", ""},
		{"joined", errors.Join(errors.New("x"), webhook.Errorf(webhook.KindConflict, "Taken.")), 409, "Taken.", "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.store.fails("ListWebhooks", test.err)
			r := f.do(call{})
			r.want(t, test.status, errorBody(test.message))
			if got := r.header.Get("Retry-After"); got != test.retry {
				t.Errorf("got Retry-After %q, want %q", got, test.retry)
			}
			if test.cause == "" {
				if log := f.logs.String(); strings.Contains(log, `"level":"ERROR"`) {
					t.Errorf("got the log %s", log)
				}
				return
			}
			level := "ERROR"
			if errors.Is(test.err, endpoint.ErrNoNameServer) {
				level = "WARN"
			}
			if line := f.line("request failed"); line["level"] != level || line["cause"] != test.cause {
				t.Errorf("got the line %v, want level %s and the cause %q", line, level, test.cause)
			}
		})
	}
}

// Every endpoint reports that the store could not be reached in time.
func TestStoreIsUnavailable(t *testing.T) {
	for _, c := range []call{
		{}, create("a", ""), {target: "/webhooks/types"}, {target: "/webhooks/x"}, {method: "DELETE", target: "/webhooks/x"},
		publish(`{"event":{"type":"a","data":{}}}`), {target: "/events/x"}, {target: "/webhooks/x/deliveries"},
		{target: "/webhooks/x/deliveries/y"}, {method: "POST", target: "/webhooks/x/deliveries/y/retry"}, {target: "/webhooks/x/status"},
	} {
		f := newFixture(t)
		f.service.Timeout = 1
		f.do(c).want(t, 503, errorBody("The service is busy. Try again later."))
	}
}

// A request counts towards its company's limits until its response has been sent, also if it has no permission.
func TestLimitsOfACompany(t *testing.T) {
	f := newFixture(t)
	f.service.Limits = api.NewLimits(70)
	handler := f.handler()
	for range 140 {
		send(handler, call{method: "DELETE", key: readerKey}.request(t.Context())).want(t, 403, errorBody(`The API key does not have the "webhooks:write" permission.`))
	}
	r := send(handler, call{key: readerKey}.request(t.Context()))
	r.want(t, 429, errorBody("The company has sent more than 70 requests per second."))
	if got := r.header.Get("Retry-After"); got != "1" {
		t.Errorf("got Retry-After %q, want 1", got)
	}
	if log := f.logs.String(); strings.Contains(log, "ERROR") {
		t.Errorf("got the log %s", log)
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	f := newFixture(t)
	f.store.before = func(context.Context, string) error { panic("index out of range") }
	f.do(call{}).want(t, 500, errorBody("Internal error"))
	line := f.line("panic")
	if stack, _ := line["stack"].(string); line["panic"] != "index out of range" || !strings.Contains(stack, "service_test.go") {
		t.Errorf("got %v, want the panic with its stack", line)
	}
}

func TestDefaultTimeout(t *testing.T) {
	f := newFixture(t)
	f.store.before = func(ctx context.Context, _ string) error {
		<-ctx.Done()
		return ctx.Err()
	}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		send(f.handler(), call{}.request(t.Context())).want(t, 503, errorBody("The service is busy. Try again later."))
		if took := time.Since(began); took != api.DefaultTimeout {
			t.Errorf("the response took %v, want %v", took, api.DefaultTimeout)
		}
	})
}

// A client that does not wait for its response is not a failure of the service.
func TestClientThatWentAway(t *testing.T) {
	f := newFixture(t)
	f.store.fails("ListWebhooks", webhook.Unavailable(context.Canceled))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	send(f.handler(), call{}.request(ctx))
	f.line("the client went away")
	if log := f.logs.String(); strings.Contains(log, `"level":"ERROR"`) {
		t.Errorf("got the log %s", log)
	}
}

// brokenWriter is a connection that is gone when the response is written.
type brokenWriter struct{ *httptest.ResponseRecorder }

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestResponseThatCannotBeSent(t *testing.T) {
	f := newFixture(t)
	f.handler().ServeHTTP(brokenWriter{httptest.NewRecorder()}, call{}.request(t.Context()))
	if line := f.line("the response could not be sent"); line["level"] != "DEBUG" || line["cause"] != "broken pipe" {
		t.Errorf("got the line %v", line)
	}
}

func TestAccessLine(t *testing.T) {
	const acme, acmesKey = "acme", "key_acme_1"
	tests := []struct {
		name                   string
		call                   call
		method, route          string
		status                 float64
		company, keyID, reason string
	}{
		{"a path is logged as its pattern", call{target: "/webhooks/wh_1?webhookId=wh_2"}, "GET", "/webhooks/{webhookId}", 404, acme, acmesKey, ""},
		{"an unknown path", call{target: "/whk_SECRET"}, "GET", "none", 404, "", "", ""},
		{"an unknown method", call{method: "whk_SECRET"}, "other", "none", 405, "", "", ""},
		{"no permission", call{method: "DELETE", target: "/webhook", key: readerKey}, "DELETE", "/webhook", 403, acme, acmesKey, ""},
		{"an unknown key, for a reason that the client does not see", call{key: "Bearer whk_x"}, "GET", "/webhooks", 401, "", "", "unknown key"},
		{"a failed TLS check, for a reason that the client does not see", create("a", ""), "POST", "/webhooks", 400, acme, acmesKey, "timed out"},
		{"an error that says everything", call{method: "POST", body: "{}"}, "POST", "/webhooks", 400, acme, acmesKey, ""},
		{"success", call{}, "GET", "/webhooks", 200, acme, acmesKey, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.tls.err = unreachable()
			f.store.before = func(ctx context.Context, _ string) error { // as a store may log
				f.service.Log.InfoContext(ctx, "called")
				return nil
			}
			r := f.do(test.call)
			line := f.line("request")
			reason, _ := line["reason"].(string)
			if line["method"] != test.method || line["route"] != test.route || line["status"] != test.status ||
				line["company"] != test.company || line["key_id"] != test.keyID || reason != test.reason {
				t.Errorf("got %v, want %+v", line, test)
			}
			if _, ok := line["duration_ms"].(float64); !ok || line["request_id"] != r.header.Get("X-Request-Id") {
				t.Errorf("got %v, want the duration and the ID %s", line, r.header.Get("X-Request-Id"))
			}
			if strings.Contains(r.body, "unknown key") || strings.Contains(r.body, "timed out") {
				t.Errorf("the response shows the reason: %s", r.body)
			}
		})
	}
}

// What any layer logs through a logger with this handler has the attributes of its context, once.
func TestLogHandler(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(api.NewLogHandler(api.NewLogHandler(slog.NewTextHandler(&out, nil)))).With("layer", "store").WithGroup("g")
	parent := api.WithLogAttrs(t.Context(), slog.Int("a", 1), slog.Int("b", 2))
	parent = api.WithLogAttrs(parent, slog.Int("c", 3))
	child := api.WithLogAttrs(parent, slog.Int("d", 4))
	api.WithLogAttrs(parent, slog.Int("d", 5)) // must not change its sibling
	for _, test := range []struct {
		ctx  context.Context
		want string
	}{
		{t.Context(), "layer=store g.x=y\n"},
		{parent, "layer=store g.x=y g.c=3 g.a=1 g.b=2\n"},
		{child, "layer=store g.x=y g.d=4 g.c=3 g.a=1 g.b=2\n"},
	} {
		out.Reset()
		log.InfoContext(test.ctx, "called", "x", "y")
		if got := out.String(); !strings.HasSuffix(got, " msg=called "+test.want) {
			t.Errorf("got %s, want it to end with %s", got, test.want)
		}
	}
}

// A Lambda function serves the routes of one endpoint, and nothing else. For the routes of other functions, it returns 404.
func TestHandlerOfOneEndpoint(t *testing.T) {
	f := newFixture(t)
	h := f.service.Handler(api.DeleteWebhook(f.store))
	r := send(h, call{target: "/webhooks/x"}.request(t.Context()))
	r.want(t, 405, errorBody("Method not allowed. This path allows: DELETE."))
	if got := r.header.Get("Allow"); got != "DELETE" {
		t.Errorf("got Allow %q", got)
	}
	for _, c := range []call{{target: "/webhook/types"}, publish(""), {target: "/webhooks/x/status"}} {
		send(h, c.request(t.Context())).want(t, 404, errorBody("Path not found."))
	}
}
