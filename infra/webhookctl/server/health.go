package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"webhooks/shared/api"
)

const (
	// healthTTL is how long a result is reused, so that frequent health checks cost the store nothing.
	healthTTL = time.Second
	// pingTimeout is how long the store may take to respond.
	pingTimeout = 2 * time.Second
	// checkTimeout is how long the service may take to respond to CheckHealth: longer than it waits
	// for its store.
	checkTimeout = 2 * pingTimeout
)

// health checks whether the store responds. It is safe for concurrent use by multiple goroutines.
type health struct {
	ping func(ctx context.Context) error
	now  func() time.Time
	log  *slog.Logger

	mu      sync.Mutex // held during a ping: concurrent callers wait for its result
	checked time.Time
	failed  bool
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
	if now := h.now(); h.checked.IsZero() || now.Sub(h.checked) >= healthTTL {
		h.check(ctx)
	}
	return !h.failed
}

// check continues when its client disconnects, because others use the result as well.
func (h *health) check(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pingTimeout)
	defer cancel()
	err := h.ping(ctx)
	switch {
	case err != nil && !h.failed:
		h.log.Error("the store does not respond", "cause", api.Cause(err))
	case err == nil && h.failed:
		h.log.Info("the store responds again")
	}
	h.checked, h.failed = h.now(), err != nil
}

// CheckHealth returns nil if the service that listens on addr, and its store, respond. It connects to
// loopback if addr has no host or an unspecified one.
func CheckHealth(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	addr = reachable(addr)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz", nil)
	if err != nil {
		return err
	}
	response, err := (&http.Transport{}).RoundTrip(request) // no proxy, no redirects
	if err != nil {
		return fmt.Errorf("the service on %s does not respond: check that it is running, and --addr: %w", addr, err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusServiceUnavailable:
		return fmt.Errorf("the service on %s is running, but its database does not respond: see its log", addr)
	}
	return fmt.Errorf("the server on %s is not this service, it returned status %d: check --addr", addr, response.StatusCode)
}

// reachable returns the address to connect to for an address to listen on.
func reachable(listenAddr string) string {
	host, port, err := net.SplitHostPort(listenAddr)
	if err != nil {
		return listenAddr
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && ip.Unmap() == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
