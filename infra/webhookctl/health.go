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

// healthBody is the body of GET /healthz.
type healthBody struct {
	Status string `json:"status"`
	Store  string `json:"store"`
}

// respond returns the response to GET /healthz. Why the store fails is only in the log.
func (h *health) respond(ctx context.Context) (status int, body any) {
	if h.ok(ctx) {
		return http.StatusOK, healthBody{Status: "ok", Store: "ok"}
	}
	return http.StatusServiceUnavailable, healthBody{Status: "unavailable", Store: "unavailable"}
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
