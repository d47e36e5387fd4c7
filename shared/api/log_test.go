package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

// A logger that a host made with NewLogHandler adds the id to what any layer logs, once.
func TestLogHandler(t *testing.T) {
	var out bytes.Buffer
	handler := api.NewLogHandler(api.NewLogHandler(slog.NewTextHandler(&out, nil)))
	log := slog.New(handler).With("layer", "store").WithGroup("g")
	w := newWorld(t, func(w *world) {
		w.store.before = func(ctx context.Context, method string) error {
			log.InfoContext(ctx, "called", "method", method)
			return nil
		}
	})
	r := w.do(call{target: "/webhooks"})
	for line := range strings.Lines(out.String()) {
		want := "g.request_id=" + r.header.Get("X-Request-Id")
		if strings.Count(line, "request_id") != 1 || !strings.Contains(line, want) || !strings.Contains(line, "layer=store") {
			t.Errorf("got %s, want it to have %s once", line, want)
		}
	}
	if strings.Count(out.String(), "\n") != 2 {
		t.Errorf("got %s, want two lines", out.String())
	}
	out.Reset()
	log.Info("outside of a request")
	if strings.Contains(out.String(), "request_id") {
		t.Errorf("got %s, want no id", out.String())
	}
}

// A service whose logger adds ids already does not add them twice.
func TestServiceLogsTheRequestIDOnce(t *testing.T) {
	w := newWorld(t, func(w *world) { w.service.Log = slog.New(api.NewLogHandler(w.service.Log.Handler())) })
	w.accessLine(w.do(call{target: "/webhooks"}))
	if got := strings.Count(w.logs.String(), "request_id"); got != 1 {
		t.Errorf("got %d ids in %s", got, w.logs)
	}
}

// Whichever part of the store fails, its endpoint says so.
func TestStoreFailures(t *testing.T) {
	for method, failed := range map[string]call{
		"ListWebhooks":  {target: "/webhooks"},
		"EventTypes":    {target: "/webhooks/types"},
		"Webhook":       {target: "/webhooks/x"},
		"DeleteWebhook": {method: "DELETE", target: "/webhooks/x"},
	} {
		t.Run(method, func(t *testing.T) {
			newWorld(t, failing(method, webhook.Unavailable(errors.New("throttled")))).do(failed).
				want(t, 503, refused("The service is busy. Try again later."))
			newWorld(t, failing(method, errors.New("broken"))).do(failed).want(t, 500, refused("Internal error"))
		})
	}
}

// Why a request was refused is in its access line where the answer tells less.
func TestAccessLineTellsTheReason(t *testing.T) {
	check := &webhook.Error{Kind: webhook.KindInvalid, Message: "TLS certificate validation failed: the host could not be reached", Cause: errors.New("timed out")}
	tests := []struct {
		name string
		call call
		want string
	}{
		{"no key", call{target: "/webhooks", key: "none"}, "no bearer token in the Authorization header"},
		{"a TLS check", post(newBody("a", "https://hooks.example/a", paid)), "timed out"},
		{"told in the answer", post(`{}`), ""},
		{"not refused", call{target: "/webhooks"}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.tls.err = check
			line := w.accessLine(w.do(test.call))
			if got, _ := line["reason"].(string); got != test.want {
				t.Errorf("got reason %q, want %q in %v", got, test.want, line)
			}
		})
	}
}

// Why a request failed is in the log without what the client is told, and whole where nothing else is
// known.
func TestFailureTellsTheCauseAlone(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"unavailable", fmt.Errorf("sealing: %w", webhook.Unavailable(errors.New("throttled"))), "throttled"},
		{"internal", &webhook.Error{Message: "Internal error", Cause: errors.New(`table "x": denied`)}, `table "x": denied`},
		{"internal without a cause", webhook.Errorf(webhook.KindInternal, "broken"), "broken"},
		{"of another kind", fmt.Errorf("reading: %w", errors.New("broken")), "reading: broken"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t, failing("ListWebhooks", test.err))
			w.do(call{target: "/webhooks"})
			var failed struct{ Cause string }
			line, _, _ := strings.Cut(w.logs.String(), "\n")
			if err := json.Unmarshal([]byte(line), &failed); err != nil {
				t.Fatal(err)
			}
			if failed.Cause != test.want {
				t.Errorf("got %s, want the cause %q", line, test.want)
			}
		})
	}
}
