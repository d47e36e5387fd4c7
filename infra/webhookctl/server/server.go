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
	"syscall"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// stopTimeout is how long a shutdown waits for requests in flight. No request may take longer.
	stopTimeout = 30 * time.Second

	// maxConnections limits the open connections. Further clients wait for one to close, which an
	// idle connection does within 30 seconds.
	maxConnections = 4096
)

// Listen listens on addr, a TCP host and port. Its connections use at most half of the process's file
// descriptors, whatever clients do: the rest is for the database and for TLS checks. There is no limit
// per client, so that a proxy in front can use them all.
func Listen(ctx context.Context, addr string) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		if reason, ok := errors.AsType[syscall.Errno](err); ok {
			err = reason // without the address, which the message has
		}
		return nil, fmt.Errorf("cannot listen on %s: %w: pass another address with --addr (make run: PORT=3001)", addr, err)
	}
	var descriptors syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot read the limit on open files: %w", err), listener.Close())
	}
	return netutil.LimitListener(listener, int(min(maxConnections, max(1, descriptors.Cur/2)))), nil
}

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

// newHTTPServer limits what one client can tie up. The API stops its own work after 10 seconds, so
// WriteTimeout leaves room for reading a request (15 seconds at most) and sending the response.
func newHTTPServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		// The API responds to "OPTIONS *" too, as to any request without a route.
		DisableGeneralOptionsHandler: true,
	}
}
