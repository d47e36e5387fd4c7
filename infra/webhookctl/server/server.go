// Package server runs the API as an HTTP server. It adds the endpoints that need no API key, limits
// what clients can tie up, and shuts down gracefully.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// stopTimeout is how long a shutdown waits for requests in flight. No request may take longer.
const stopTimeout = 45 * time.Second

// Serve serves handler on listener until ctx is done, and then until the requests in flight have
// completed. It closes listener.
func Serve(ctx context.Context, handler http.Handler, listener net.Listener, log *slog.Logger) error {
	server := newHTTPServer(handler, log)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping after the requests in flight; a second signal stops the process immediately")
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		return errors.Join(fmt.Errorf("requests were still in flight after %v: %w", stopTimeout, err), server.Close())
	}
	log.Info("stopped")
	return nil
}

// newHTTPServer limits what one client can tie up. The API stops its own work 10 seconds after the body has arrived, and
// gives a client 10 seconds to receive the response. Proxies keep idle connections for up to 2 minutes (Caddy), and must
// be the first to close them, or a request could be lost.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       3 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ConnContext:       connContext,
		ConnState:         connState,
		// The API responds to "OPTIONS *" too, as to any request without a route.
		DisableGeneralOptionsHandler: true,
	}
}
