package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

// pingStore is a store that only responds to pings.
type pingStore struct {
	webhook.Store
	err error
}

func (s *pingStore) Ping(context.Context) error { return s.err }

func TestPublicPaths(t *testing.T) {
	store := &pingStore{}
	service := api.Service{Log: slog.New(slog.DiscardHandler), Now: time.Now, Random: rand.Reader}
	for _, tt := range []struct {
		method, path string
		failure      error
		status       int
		body         string // the beginning
	}{
		{"GET", "/healthz", nil, 200, `{"status":"ok","store":"ok"}`},
		{"GET", "/healthz?verbose=1", nil, 200, `{"status":"ok","store":"ok"}`},
		{"GET", "/healthz", errors.New("gone"), 503, `{"status":"unavailable","store":"unavailable"}`},
		{"HEAD", "/healthz", nil, 200, ""},
		{"POST", "/healthz", nil, 405, `{"error":"Method not allowed.`},
		{"GET", "/openapi.json", nil, 200, `{`},
		{"GET", "/healthz/", nil, 404, `{"error":"Path not found."}`},
		{"GET", "//healthz", nil, 404, `{"error":"Path not found."}`},
	} {
		store.err = tt.failure
		handler, err := Handler(service, api.Creator{}, store)
		if err != nil {
			t.Fatal(err)
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
		if w.Code != tt.status || !strings.HasPrefix(w.Body.String(), tt.body) || w.Header().Get("X-Request-Id") == "" {
			t.Errorf("%s %s: got %d %.100s, header %v, want %d %s", tt.method, tt.path, w.Code, w.Body, w.Header(), tt.status, tt.body)
		}
	}
}

func TestHealthPingsOncePerSecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pings := 0
		var failure error
		var log bytes.Buffer
		h := &health{
			ping: func(context.Context) error { pings++; return failure },
			now:  time.Now,
			log:  slog.New(slog.NewTextHandler(&log, nil)),
		}
		for _, s := range []struct {
			name    string
			wait    time.Duration
			failure error
			status  int
			pings   int
		}{
			{"first", 0, nil, 200, 1},
			{"soon after", healthTTL - 1, errors.New("gone"), 200, 1},
			{"a second later", 1, webhook.Unavailable(errors.New("gone")), 503, 2},
			{"soon after a failure", healthTTL / 2, nil, 503, 2},
			{"still failing", healthTTL, errors.New("gone"), 503, 3},
			{"back", healthTTL, nil, 200, 4},
		} {
			time.Sleep(s.wait)
			failure = s.failure
			status, body := h.respond(t.Context())
			if status != s.status || pings != s.pings || strings.Contains(fmt.Sprint(body), "gone") {
				t.Errorf("%s: got %d %v after %d pings, want %d after %d", s.name, status, body, pings, s.status, s.pings)
			}
		}
		for _, want := range []string{"the store does not respond", "cause=gone", "the store responds again"} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("logged\n%s\nwant %q once", &log, want)
			}
		}
	})
}

// TestHealthOfHangingStore has clients that wait together. All of them have disconnected.
func TestHealthOfHangingStore(t *testing.T) {
	h := &health{
		ping: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		now:  time.Now,
		log:  slog.New(slog.DiscardHandler),
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	began := time.Now()
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			if status, _ := h.respond(gone); status != 503 {
				t.Errorf("got %d, want 503", status)
			}
		})
	}
	clients.Wait()
	if took := time.Since(began); took < pingTimeout || took > 3*pingTimeout {
		t.Errorf("20 clients waited %v, want them to share one wait of %v", took, pingTimeout)
	}
}
