package lambdahost

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPanicCostsOneRequest(t *testing.T) {
	tests := []struct {
		name    string
		handler http.HandlerFunc
		want    string
		id      string // of the answer and of the line
	}{
		{"before anything", func(http.ResponseWriter, *http.Request) { panic("boom") }, "boom", lambdaID},
		{"after a part of the answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Secret", "a")
			w.WriteHeader(http.StatusOK)
			_, _ = io.WriteString(w, "half of it")
			panic(errors.New("boom"))
		}, "boom", lambdaID},
		{"of a request that has an id already", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Request-Id", "req_1")
			panic("boom")
		}, "boom", "req_1"},
		{"with an impossible status", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(42) }, "invalid WriteHeader code 42", lambdaID},
		{"to abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "net/http: abort Handler", lambdaID},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var log bytes.Buffer
			panics := true
			host := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if panics {
					test.handler(w, r)
				}
			}), newLog(&log, func(string) string { return "" }))
			wantInternalError(t, invoke(t, host, getEvent), test.id)
			got := lines(t, &log)
			if len(got) != 1 || got[0]["request_id"] != test.id || got[0]["lambda_request_id"] != lambdaID || got[0]["panic"] != test.want || !strings.Contains(got[0]["stack"].(string), "host_test.go") {
				t.Errorf("log %v, want one line with the panic, its stack and the ids", got)
			}
			panics = false
			if got := invoke(t, host, getEvent); got.status != http.StatusOK {
				t.Errorf("the request after it: %+v", got)
			}
		})
	}
}

func TestEventsThatAreNone(t *testing.T) {
	host := New(http.HandlerFunc(echo), slog.New(slog.DiscardHandler))
	const wrong = "this is no event of an API Gateway HTTP API with payload format 2.0: "
	for _, payload := range []string{``, `[]`, `"GET /"`, `{"rawPath":1}`, `{"headers":{"a":["b"]}}`} {
		t.Run(payload, func(t *testing.T) {
			if out, err := host.Invoke(context.Background(), []byte(payload)); err == nil || !strings.HasPrefix(err.Error(), wrong) {
				t.Errorf("got %s, error %v", out, err)
			}
		})
	}
	t.Run("body that is not base64", func(t *testing.T) {
		var log bytes.Buffer
		host := New(http.HandlerFunc(echo), newLog(&log, func(string) string { return "" }))
		wantInternalError(t, invoke(t, host, event(`"routeKey":"POST /webhooks","rawPath":"/webhooks","body":"{}","isBase64Encoded":true`)), lambdaID)
		if got := lines(t, &log); len(got) != 1 || got[0]["level"] != "ERROR" || got[0]["request_id"] != lambdaID ||
			!strings.HasPrefix(got[0]["cause"].(string), "the event's body is not base64") {
			t.Errorf("log %v, want one line with the cause and the id", got)
		}
	})
	t.Run("event of another source", func(t *testing.T) {
		if got := invoke(t, host, `{"Records":[]}`); got.status != http.StatusOK || !strings.Contains(got.body, `"path":""`) {
			t.Errorf("got %+v", got)
		}
	})
}

// A request's context ends early enough for an answer to reach Lambda before it ends the invocation.
func TestContextEndsBeforeTheInvocation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		host := New(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			w.WriteHeader(http.StatusServiceUnavailable)
		}), slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithTimeout(context.Background(), 6*time.Second)
		defer cancel()
		out, err := host.Invoke(ctx, []byte(getEvent))
		if err != nil {
			t.Fatal(err)
		}
		if got := decode(t, out); got.status != http.StatusServiceUnavailable {
			t.Errorf("got %+v", got)
		}
		if took := time.Since(began); took != 6*time.Second-answerMargin {
			t.Errorf("took %v", took)
		}
	})
}

func TestLogLevels(t *testing.T) {
	tests := []struct {
		level string
		want  string
	}{
		{"", "INFO WARN"}, {"TRACE", "INFO WARN"}, {"DEBUG", "DEBUG INFO WARN"}, {"INFO", "INFO WARN"}, {"WARN", "WARN"}, {"ERROR", ""},
	}
	for _, test := range tests {
		t.Run(test.level, func(t *testing.T) {
			var out bytes.Buffer
			log := newLog(&out, func(name string) string {
				if name == "AWS_LAMBDA_LOG_LEVEL" {
					return test.level
				}
				return ""
			}).With("a", 1).WithGroup("g")
			log.Debug("x")
			log.Info("x")
			log.Warn("x")
			var got []string
			for _, line := range lines(t, &out) {
				got = append(got, line["level"].(string))
				if line["message"] != "x" || line["a"] != 1.0 {
					t.Errorf("line %v", line)
				}
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("levels %v, want %q", got, test.want)
			}
		})
	}
}
