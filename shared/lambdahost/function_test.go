package lambdahost

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

// keys answers every look-up with one error.
type keys struct {
	err     error
	lookups int
}

func (k *keys) KeyByHash(context.Context, access.Hash) (access.Key, error) {
	k.lookups++
	return access.Key{}, k.err
}

// lambdaID is Lambda's id of every invocation here.
const lambdaID = "11111111-2222"

func newStarter(out io.Writer, environment map[string]string) starter {
	getenv := func(name string) string { return environment[name] }
	return starter{getenv: getenv, log: newLog(out, getenv), now: time.Now, random: rand.Reader}
}

func invoke(t *testing.T, h *Host, event string) answered {
	t.Helper()
	ctx := lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: lambdaID})
	out, err := h.Invoke(ctx, []byte(event))
	if err != nil {
		t.Fatal(err)
	}
	return decode(t, out)
}

// lines reads a log.
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

const getEvent = `{"version":"2.0","routeKey":"GET /webhooks/{webhookId}","rawPath":"/webhooks/wh_1","rawQueryString":"",
	"headers":{"authorization":"Bearer whk_x","host":"example.com"},"pathParameters":{"webhookId":"wh_1"},
	"requestContext":{"http":{"method":"GET","path":"/webhooks/wh_1","protocol":"HTTP/1.1","sourceIp":"192.0.2.7"}}}`

func TestMisconfiguredFunctionSaysSoAndAnswers(t *testing.T) {
	tests := []struct {
		name, cause string
		wire        Wire
	}{
		{"wiring fails", "WEBHOOKS_SUBSCRIPTIONS_TABLE is not set", func(func(string) string) (Function, error) {
			return Function{}, errors.New("WEBHOOKS_SUBSCRIPTIONS_TABLE is not set")
		}},
		{"wiring panics", "panic while starting: boom", func(func(string) string) (Function, error) { panic("boom") }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			host := newStarter(&log, nil).start(context.Background(), test.wire)
			started := lines(t, &log)
			if len(started) != 1 || started[0]["cause"] != test.cause || started[0]["level"] != "ERROR" {
				t.Errorf("log %v, want one line with the cause %q", started, test.cause)
			}
			wantInternalError(t, invoke(t, host, getEvent), lambdaID)
			if got := lines(t, &log); len(got) != 1 || got[0]["lambda_request_id"] != lambdaID || got[0]["request_id"] != lambdaID ||
				!strings.Contains(got[0]["cause"].(string), test.cause) {
				t.Errorf("log of the request %v", got)
			}
		})
	}
}

func wantInternalError(t *testing.T, got answered, id string) {
	t.Helper()
	want := map[string]string{
		"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store", "X-Request-Id": id,
	}
	if id == "" {
		want["X-Request-Id"] = got.header["X-Request-Id"]
	}
	compare(t, got, answered{http.StatusInternalServerError, want, `{"error":"Internal error"}`})
	if got.header["X-Request-Id"] == "" {
		t.Error("no X-Request-Id")
	}
}

func TestStartLooksForWhatItNeeds(t *testing.T) {
	noTable := &webhook.Error{Message: "Internal error", Cause: errors.New(`there is no table "Subscriptions"`)}
	away := webhook.Unavailable(errors.New("connection refused"))
	tests := []struct {
		name       string
		found      error // of looking up a key
		check      error
		level      string // of the one line, empty for none
		cause      string
		wantStatus int
	}{
		{"all there", webhook.ErrNotFound, nil, "", "", http.StatusUnauthorized},
		{"no table", noTable, nil, "ERROR", `there is no table "Subscriptions"`, http.StatusInternalServerError},
		{"database away", away, nil, "WARN", "connection refused", http.StatusServiceUnavailable},
		{"key service away", webhook.ErrNotFound, fmt.Errorf("checking: %w", away), "WARN", "connection refused", http.StatusUnauthorized},
		{"no key service", webhook.ErrNotFound, errors.New("no permission for kms:Decrypt"), "ERROR", "no permission for kms:Decrypt", http.StatusUnauthorized},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			found := &keys{err: test.found}
			host := newStarter(&log, nil).start(context.Background(), func(func(string) string) (Function, error) {
				return Function{Keys: found, Endpoint: api.GetWebhook(nil), Check: func(context.Context) error { return test.check }}, nil
			})
			started := lines(t, &log)
			switch {
			case test.level == "" && len(started) != 0:
				t.Errorf("log %v, want nothing", started)
			case test.level != "" && (len(started) != 1 || started[0]["level"] != test.level || started[0]["cause"] != test.cause):
				t.Errorf("log %v, want one line, %s, with the cause %q and no more", started, test.level, test.cause)
			}
			if found.lookups != 1 {
				t.Errorf("%d reads at the start, want 1", found.lookups)
			}
			secret, err := access.NewSecret(rand.Reader)
			if err != nil {
				t.Fatal(err)
			}
			got := invoke(t, host, strings.Replace(getEvent, "whk_x", secret, 1))
			if got.status != test.wantStatus {
				t.Errorf("status %d, want %d", got.status, test.wantStatus)
			}
			if got.status == http.StatusInternalServerError {
				wantInternalError(t, got, "")
			}
			for _, line := range lines(t, &log) {
				if line["message"] == "request failed" && line["cause"] != test.cause {
					t.Errorf("line %v, want the cause %q and no more", line, test.cause)
				}
				if line["lambda_request_id"] != lambdaID || line["request_id"] != got.header["X-Request-Id"] || line["timestamp"] == nil {
					t.Errorf("line %v lacks an id or its time", line)
				}
			}
		})
	}
}

// A look that hangs is given up in time for Lambda, and the function starts.
func TestStartDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		began := time.Now()
		newStarter(&log, nil).start(context.Background(), func(func(string) string) (Function, error) {
			return Function{Keys: &keys{err: webhook.ErrNotFound}, Endpoint: api.GetWebhook(nil), Check: func(ctx context.Context) error {
				<-ctx.Done()
				return webhook.Unavailable(ctx.Err())
			}}, nil
		})
		if took := time.Since(began); took != checkTimeout {
			t.Errorf("took %v, want %v", took, checkTimeout)
		}
		if got := lines(t, &log); len(got) != 1 || got[0]["level"] != "WARN" {
			t.Errorf("log %v", got)
		}
	})
}
