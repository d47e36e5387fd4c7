package main

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"webhooks/shared/api"
)

const (
	// healthTTL is how long an answer of the store is given again, so that asking for the health
	// often costs it nothing.
	healthTTL = time.Second
	// pingTimeout is how long the store may take to answer.
	pingTimeout = 2 * time.Second
)

// health knows whether the store answers. It may be used from many goroutines.
type health struct {
	ping func(ctx context.Context) error
	now  func() time.Time
	log  *slog.Logger

	mu     sync.Mutex // held while the store is asked: the others wait for that answer
	asked  time.Time
	failed bool
}

// answer gives the status and body of GET /healthz. Why the store fails is for the log alone.
func (h *health) answer(ctx context.Context) (status int, body []byte) {
	if h.ok(ctx) {
		return http.StatusOK, []byte(`{"status":"ok","store":"ok"}`)
	}
	return http.StatusServiceUnavailable, []byte(`{"status":"unavailable","store":"unavailable"}`)
}

func (h *health) ok(ctx context.Context) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := h.now(); h.asked.IsZero() || now.Sub(h.asked) >= healthTTL {
		h.ask(ctx)
	}
	return !h.failed
}

// ask does not end when the client goes away, because its answer is for others as well.
func (h *health) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	err := h.ping(ctx)
	switch {
	case err != nil && !h.failed:
		h.log.Error("the store does not answer", "cause", api.Cause(err))
	case err == nil && h.failed:
		h.log.Info("the store answers again")
	}
	h.asked, h.failed = h.now(), err != nil
}
