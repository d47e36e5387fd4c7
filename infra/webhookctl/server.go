package main

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

// stopTimeout is how long requests in flight may take after a signal: longer than any may take.
const stopTimeout = 30 * time.Second

// mostConnections is how many clients may be connected at once; more wait until others leave, which
// an idle one has to within 30 s.
const mostConnections = 4096

// limitConnections keeps half of the process's descriptors for the database and for TLS checks,
// whatever clients do. A proxy in front should limit each of them: this limits only their sum.
func limitConnections(listener net.Listener) (net.Listener, error) {
	var descriptors syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
		return nil, fmt.Errorf("cannot read how many descriptors this process may have: %w", err)
	}
	return netutil.LimitListener(listener, int(min(mostConnections, max(1, descriptors.Cur/2)))), nil
}

// listen opens the address. In development mode an error tells how to choose another with make as well.
func listen(ctx context.Context, addr string, dev bool) (net.Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		text := addr + " is in use by another program: stop that, or choose another address with --addr (port 0 takes a free one)"
		if dev {
			text += " (make run ARGS='--addr 127.0.0.1:0')"
		}
		return nil, errors.New(text)
	case errors.Is(err, syscall.EACCES):
		return nil, fmt.Errorf("this user may not listen on %s: choose a port above 1023 with --addr", addr)
	case err != nil:
		return nil, fmt.Errorf("cannot listen on %s: %w: choose another address with --addr", addr, err)
	}
	return limitConnections(listener)
}

// newServer limits what one client can hold up. The API ends its own work after 10 s, so that
// reading a request (15 s at most) and answering it fit into the time for writing.
func newServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       30 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		// "OPTIONS *" too is answered by the API, as every other request that has no route.
		DisableGeneralOptionsHandler: true,
	}
}

// serveUntil serves on the listener until ctx is done, and then until the requests in flight are
// answered.
func serveUntil(ctx context.Context, server *http.Server, listener net.Listener, log *slog.Logger) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	log.Info("stopping: requests in flight are answered first, a second signal ends it at once")
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(stopping); err != nil {
		return errors.Join(fmt.Errorf("requests were still in flight after %v: %w", stopTimeout, err), server.Close())
	}
	log.Info("stopped")
	return nil
}
