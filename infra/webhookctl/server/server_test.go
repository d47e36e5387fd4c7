package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func dial(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestClientLimits(t *testing.T) {
	s := httptest.NewUnstartedServer(nil)
	s.Config = newHTTPServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if c := s.Config; c.ReadHeaderTimeout <= 0 || c.ReadTimeout <= 0 || c.WriteTimeout <= 0 || c.IdleTimeout <= 0 {
		t.Errorf("a timeout is missing: %+v", c)
	}
	s.Config.ReadHeaderTimeout /= 100
	s.Start()
	defer s.Close()
	for _, tt := range []struct{ name, sent, want string }{
		{"a header of 32 KiB", "GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 32<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
		{"a client that sends half a header", "GET / HTTP/1.1\r\nHost:", ""},
	} {
		conn := dial(t, s.Listener.Addr())
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		_, _ = io.WriteString(conn, tt.sent)
		got, err := bufio.NewReader(conn).ReadString('\n')
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %q, %v, want %q or the connection closed", tt.name, got, err, tt.want)
		}
	}
}

// Clients that only hold connections must leave the process the file descriptors that it needs, and keep nobody out.
func TestConnectionsAreLimited(t *testing.T) {
	var descriptors syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &descriptors))
	few := descriptors
	few.Cur = 40
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(t.Context(), "127.0.0.1:0")
	if err := errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &descriptors)); err != nil {
		t.Fatal(err)
	}
	const limit = 20
	release := make(chan struct{})
	server := newHTTPServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Admitted(r.Context())
		if r.URL.Path != "/fast" {
			<-release
		}
	}), slog.New(slog.DiscardHandler))
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	// open sends the first line of a request, or nothing, and waits until the server has seen it.
	open := func(path string, use int) net.Conn {
		t.Helper()
		before := listener.count(use)
		conn := dial(t, listener.Addr())
		if path != "" {
			_, _ = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n")
		}
		for range 500 {
			if listener.count(use) > before {
				return conn
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatalf("%q: there are still %d connections of use %d", path, before, use)
		return nil
	}
	closed := func(conn net.Conn) bool {
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err := bufio.NewReader(conn).ReadString('x')
		return !errors.Is(err, os.ErrDeadlineExceeded)
	}

	var silent []net.Conn // one more than a quarter
	for range limit/4 + 1 {
		silent = append(silent, open("", withoutKey))
	}
	idler := open("/fast", idle)
	for range limit - len(silent) - 1 {
		open("/slow", active)
	}
	// A client with a key that holds all other connections cannot keep those without a key from sending their first request.
	for i, victim := range slices.Concat(silent[:1], []net.Conn{idler}, silent[1:]) {
		open("/slow", active)
		if !closed(victim) {
			t.Errorf("connection %d was not replaced by a new one", i)
		}
	}
	waiting := dial(t, listener.Addr())
	_, _ = io.WriteString(waiting, "GET /fast HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = waiting.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
	if n, err := waiting.Read(make([]byte, 1)); n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a connection beyond the limit got %d bytes, %v", n, err)
	}
	close(release)
	_ = waiting.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := http.ReadResponse(bufio.NewReader(waiting), nil); err != nil {
		t.Errorf("the connection that waited: %v", err)
	}
}

// count returns the number of connections of a use.
func (l *Listener) count(use int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.uses[use].Len()
}

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{
		":3000": "127.0.0.1:3000", "0.0.0.0:3000": "127.0.0.1:3000", "[::ffff:0:0]:80": "127.0.0.1:80",
		"[::]:3000": "[::1]:3000", "10.1.2.3:3000": "10.1.2.3:3000", "example.com:3000": "example.com:3000",
	} {
		if got := reachable(addr); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}

// pingStore is a store that only responds to pings.
type pingStore struct {
	webhook.Store
	pings   int
	failure error
}

func (s *pingStore) Ping(context.Context) error {
	s.pings++
	return s.failure
}

// TestPublicPaths sends requests one after another. The store is pinged at most once per second.
func TestPublicPaths(t *testing.T) {
	const healthy, unavailable, noPath = `{"status":"ok","store":"ok"}`, `{"status":"unavailable","store":"unavailable"}`, `{"error":"Path not found."}`
	gone := errors.New("gone")
	synctest.Test(t, func(t *testing.T) {
		store, log := &pingStore{}, &bytes.Buffer{}
		service := api.Service{Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now, Random: rand.Reader}
		handler, err := Handler(service, api.Creator{}, store, nil, http.NotFoundHandler())
		must(t, err)
		for _, tt := range []struct {
			wait         time.Duration // since the previous request
			failure      error         // of the store
			method, path string
			status       int
			body         string // the beginning
			pings        int    // so far
		}{
			{0, nil, "GET", "/healthz", 200, healthy, 1},
			{healthTTL - 1, gone, "GET", "/healthz?verbose=1", 200, healthy, 1},
			{1, webhook.Unavailable(gone), "GET", "/healthz", 503, unavailable, 2},
			{healthTTL / 2, nil, "GET", "/healthz", 503, unavailable, 2},
			{healthTTL, gone, "GET", "/healthz", 503, unavailable, 3},
			{healthTTL, nil, "HEAD", "/healthz", 200, "", 4},
			{healthTTL, nil, "POST", "/healthz", 405, `{"error":"Method not allowed.`, 4},
			{0, nil, "GET", "/openapi.json", 200, `{`, 4},
			{0, nil, "GET", "/healthz/", 200, healthy, 5},
			{0, nil, "GET", "//healthz", 404, noPath, 5},
			{0, nil, "GET", "//", 404, noPath, 5},
		} {
			time.Sleep(tt.wait)
			store.failure = tt.failure
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(tt.method, tt.path, nil))
			if w.Code != tt.status || !strings.HasPrefix(w.Body.String(), tt.body) || w.Header().Get("X-Request-Id") == "" || store.pings != tt.pings {
				t.Errorf("%s %s: got %d %.100s, header %v, after %d pings, want %+v", tt.method, tt.path, w.Code, w.Body, w.Header(), store.pings, tt)
			}
		}
		for _, want := range []string{"the store does not respond", "cause=gone", "the store responds again"} {
			if strings.Count(log.String(), want) != 1 {
				t.Errorf("logged\n%s\nwant %q once", log, want)
			}
		}
	})
}

// TestHealthOfHangingStore checks clients that wait at the same time and have disconnected.
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
