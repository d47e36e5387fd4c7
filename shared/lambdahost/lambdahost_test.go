package lambdahost

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

const (
	lambdaID = "11111111-2222"
	getEvent = `{"version":"2.0","routeKey":"GET /webhooks/{webhookId}","rawPath":"/webhooks/wh_1","rawQueryString":"",
		"headers":{"authorization":"Bearer whk_uws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuwsxoxzpqu","host":"example.com"},"pathParameters":{"webhookId":"wh_1"},
		"requestContext":{"http":{"method":"GET","path":"/webhooks/wh_1","protocol":"HTTP/1.1","sourceIp":"192.0.2.7"}}}`
)

func noSettings(string) string { return "" }

// invoke returns the response to an event, with its body decoded.
func invoke(t *testing.T, h *Host, event string) events.APIGatewayV2HTTPResponse {
	t.Helper()
	ctx := lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: lambdaID})
	out, err := h.Invoke(ctx, []byte(event))
	var response events.APIGatewayV2HTTPResponse
	if err := errors.Join(err, json.Unmarshal(out, &response)); err != nil {
		t.Fatal(err)
	}
	return response
}

// lines returns the lines of a log and empties it.
func lines(t *testing.T, log *bytes.Buffer) []map[string]any {
	t.Helper()
	var read []map[string]any
	for line := range strings.Lines(log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		read = append(read, fields)
	}
	log.Reset()
	return read
}

func wantInternalError(t *testing.T, got events.APIGatewayV2HTTPResponse, id string) {
	t.Helper()
	want := map[string]string{
		"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Request-Id": id,
	}
	delete(got.Headers, "Content-Length")
	if got.StatusCode != http.StatusInternalServerError || got.Body != `{"error":"Internal error"}` || !reflect.DeepEqual(got.Headers, want) {
		t.Errorf("got %+v, want the internal error with the ID %s", got, id)
	}
}

// keys returns one error for every lookup.
type keys struct{ err error }

func (k keys) KeyByHash(context.Context, access.Hash) (access.Key, error) { return access.Key{}, k.err }

func (k keys) RecordKeyUse(context.Context, access.Hash, time.Time) error { return nil }

func TestStart(t *testing.T) {
	noTable := &webhook.Error{Message: "Internal error", Cause: errors.New(`no table "Subscriptions"`)}
	down := webhook.Unavailable(errors.New("connection refused"))
	wired := func(lookup, check error, warnings ...string) Wire {
		return func(func(string) string) (Function, error) {
			return Function{Keys: keys{lookup}, Endpoint: api.GetWebhook(nil), Warnings: warnings, Check: func(ctx context.Context) error {
				if errors.Is(check, context.DeadlineExceeded) {
					<-ctx.Done()
				}
				return check
			}}, nil
		}
	}
	for _, test := range []struct {
		name         string
		wire         Wire
		level, cause string // of the line at startup; empty if there is none
		status       int    // of a request
		failure      string // cause in the log of the request; empty if there is none
	}{
		{"wiring fails", func(func(string) string) (Function, error) { return Function{}, errors.New("X is not set") },
			"ERROR", "X is not set", 500, "the function is misconfigured: X is not set"},
		{"wiring panics", func(func(string) string) (Function, error) { panic("boom") },
			"ERROR", "panic at startup: boom", 500, "the function is misconfigured: panic at startup: boom"},
		{"no problem", wired(webhook.ErrNotFound, nil), "", "", 401, ""},
		{"no table", wired(noTable, nil), "ERROR", `no table "Subscriptions"`, 500, `no table "Subscriptions"`},
		{"database down", wired(down, nil), "WARN", "connection refused", 503, "connection refused"},
		{"KMS down", wired(webhook.ErrNotFound, fmt.Errorf("checking: %w", down)), "WARN", "connection refused", 401, ""},
		{"KMS hangs", wired(webhook.ErrNotFound, webhook.Unavailable(context.DeadlineExceeded)), "WARN", "context deadline exceeded", 401, ""},
		{"no KMS permission", wired(webhook.ErrNotFound, errors.New("no permission")), "ERROR", "no permission", 401, ""},
		{"warning", wired(webhook.ErrNotFound, nil, "unsafe"), "WARN", "", 401, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			var host *Host
			synctest.Test(t, func(t *testing.T) { // fails if it hangs
				host = starter{getenv: noSettings, log: newLog(&log, noSettings), now: time.Now, random: rand.Reader}.start(t.Context(), test.wire)
			})
			startup := lines(t, &log)
			if test.level == "" && len(startup) > 0 || test.level != "" && (len(startup) != 1 || startup[0]["level"] != test.level ||
				test.cause != "" && startup[0]["cause"] != test.cause) {
				t.Errorf("startup log %v, want one line of level %s with the cause %q", startup, test.level, test.cause)
			}
			got := invoke(t, host, getEvent)
			if got.StatusCode != test.status {
				t.Errorf("status %d, want %d", got.StatusCode, test.status)
			}
			if test.status == http.StatusInternalServerError {
				wantInternalError(t, got, got.Headers["X-Request-Id"])
			}
			failure := ""
			for _, line := range lines(t, &log) {
				if line["message"] == "request failed" {
					failure, _ = line["cause"].(string)
				}
				if line["lambda_request_id"] != lambdaID || line["request_id"] != got.Headers["X-Request-Id"] || line["timestamp"] == nil {
					t.Errorf("log line %v lacks an ID or its time", line)
				}
			}
			if failure != test.failure {
				t.Errorf("cause %q, want %q", failure, test.failure)
			}
		})
	}
}

func TestPanic(t *testing.T) {
	for _, id := range []string{"", "req_1"} {
		var log bytes.Buffer
		host := New(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", id)
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, "half of it")
			panic("boom")
		}), newLog(&log, noSettings))
		want := cmp.Or(id, lambdaID)
		wantInternalError(t, invoke(t, host, getEvent), want)
		got := lines(t, &log)
		if len(got) != 1 || got[0]["request_id"] != want || got[0]["panic"] != "boom" || !strings.Contains(got[0]["stack"].(string), "lambdahost_test.go") {
			t.Errorf("log %v, want one line with the panic, its stack and the ID %s", got, want)
		}
	}
}

func TestInvalidEvents(t *testing.T) {
	var log bytes.Buffer
	host := New(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), newLog(&log, noSettings))
	for _, payload := range []string{``, `[]`, `"GET /"`, `{"rawPath":1}`, `{"headers":{"a":["b"]}}`} {
		if out, err := host.Invoke(t.Context(), []byte(payload)); err == nil || !strings.HasPrefix(err.Error(), "not an event of an API Gateway HTTP API") {
			t.Errorf("%s: got %s, error %v", payload, out, err)
		}
	}
	for _, row := range []struct{ event, cause string }{
		{strings.Replace(getEvent, `"rawQueryString"`, `"body":"{}","isBase64Encoded":true,"rawQueryString"`, 1), "the event's body is not valid base64"},
		{getEvent, "the handler wrote no response"},
		{`{}`, `the event has the payload format ""`},
		{`{"version":"1.0","resource":"/webhooks","path":"/webhooks","httpMethod":"GET","headers":{},"requestContext":{"httpMethod":"GET"}}`,
			`the event has the payload format "1.0"`},
		{`{"requestContext":{"elb":{"targetGroupArn":"arn:x"}},"httpMethod":"GET","path":"/","headers":{}}`, `the event has the payload format ""`},
		{`{"Records":[]}`, `the event has the payload format ""`},
	} {
		wantInternalError(t, invoke(t, host, row.event), lambdaID)
		got := lines(t, &log)
		if len(got) != 1 || got[0]["level"] != "ERROR" || got[0]["request_id"] != lambdaID || !strings.HasPrefix(got[0]["cause"].(string), row.cause) {
			t.Errorf("%s: got the log %v, want an error with the cause %q", row.event, got, row.cause)
		}
	}
}

// A request's context ends early enough for a response to reach Lambda before it ends the invocation.
func TestDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		host := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			w.WriteHeader(http.StatusServiceUnavailable)
		}), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
		defer cancel()
		out, err := host.Invoke(ctx, []byte(getEvent))
		if took := time.Since(began); err != nil || !strings.Contains(string(out), `"statusCode":503`) || took != 5500*time.Millisecond {
			t.Errorf("got %s, error %v after %v, want 503 after 5.5s", out, err, took)
		}
	})
}

// The rows are what a gateway may put into an event and no client can send through infra/gateway.
func TestNewRequest(t *testing.T) {
	const route = `"routeKey":"GET /webhooks/{webhookId}",`
	for _, test := range []struct {
		name, event string
		path        string // escaped
	}{
		{"special characters", route + `"rawPath":"/webhooks/%41#?","pathParameters":{"webhookId":"%41#?"}`, "/webhooks/%2541%23%3F"},
		{"slash", route + `"rawPath":"/webhooks/a/b","pathParameters":{"webhookId":"a/b"}`, "/webhooks/a%2Fb"},
		{"stage", route + `"rawPath":"/production/webhooks/a","pathParameters":{"webhookId":"a"}`, "/webhooks/a"},
		{"parameter missing", route + `"rawPath":"/webhooks/a#"`, "/webhooks/a%23"},
		{"no route", `"routeKey":"$default","rawPath":"/a#/%/?"`, "/a%23/%25/%3F"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var event events.APIGatewayV2HTTPRequest
			if err := json.Unmarshal([]byte(`{`+test.event+`}`), &event); err != nil {
				t.Fatal(err)
			}
			r, err := newRequest(t.Context(), event)
			if err != nil || r.URL.EscapedPath() != test.path || r.RequestURI != test.path {
				t.Errorf("got %+v, error %v, want the path %s", r, err, test.path)
			}
		})
	}
	event := events.APIGatewayV2HTTPRequest{
		RouteKey: "POST /webhooks", RawQueryString: "x=%zz;&a=+", Cookies: []string{"a=1", `b="x,y"`}, Body: "/wBh", IsBase64Encoded: true,
		Headers: map[string]string{"Host": "example.com", "authorization": "Bearer a,Bearer b", "x-golambdaproxy-apigw-context": "{}"},
	}
	event.RequestContext.HTTP.Method, event.RequestContext.HTTP.Protocol, event.RequestContext.HTTP.SourceIP = "POST", "HTTP/1.0", "192.0.2.7"
	r, err := newRequest(t.Context(), event)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	err = r.Write(&got) // without the version, which it always writes as 1.1
	const want = "POST /webhooks?x=%zz;&a=+ HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: 3\r\n" +
		"Authorization: Bearer a,Bearer b\r\nCookie: a=1; b=\"x,y\"\r\nX-Golambdaproxy-Apigw-Context: {}\r\n\r\n\xff\x00a"
	if err != nil || got.String() != want || r.RemoteAddr != "192.0.2.7:0" || r.ProtoMajor != 1 || r.ProtoMinor != 0 {
		t.Errorf("got %q from %s in HTTP/%d.%d, error %v", got.String(), r.RemoteAddr, r.ProtoMajor, r.ProtoMinor, err)
	}
}

func TestLogLevel(t *testing.T) {
	for level, want := range map[string]slog.Level{
		"": slog.LevelInfo, "TRACE": slog.LevelInfo, "DEBUG": slog.LevelDebug, "WARN": slog.LevelWarn, "ERROR": slog.LevelError,
	} {
		log := newLog(io.Discard, func(name string) string { return map[string]string{"AWS_LAMBDA_LOG_LEVEL": level}[name] })
		if !log.Enabled(t.Context(), want) || log.Enabled(t.Context(), want-1) {
			t.Errorf("level %q: want lines of level %v and higher", level, want)
		}
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]int{"": 0, "1": 1, "1000": 1000, "0": -1, "-1": -1, "many": -1, "1.5": -1, "99999999999999999999": -1} {
		got, err := Number(func(string) string { return text }, "WEBHOOKS_QUOTA")
		if (err == nil) != (want >= 0) || err == nil && got != want ||
			err != nil && err.Error() != fmt.Sprintf("WEBHOOKS_QUOTA is %q: it must be a whole number of at least 1, or empty", text) {
			t.Errorf("%q: got %d, error %v", text, got, err)
		}
	}
}
