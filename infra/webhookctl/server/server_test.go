package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

func dial(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
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
			t.Errorf("%s: got %q, %v, want %q or the end", tt.name, got, err, tt.want)
		}
	}
}

// Clients that only hold connections must leave the process the file descriptors that it needs.
func TestConnectionsAreLimited(t *testing.T) {
	var descriptors syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
		t.Fatal(err)
	}
	few := descriptors
	few.Cur = 200
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	listener, err := Listen(t.Context(), "127.0.0.1:0")
	if err := errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &descriptors)); err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn)
	t.Cleanup(func() { listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			accepted <- conn
		}
	}()
	const half = 100
	for range half + 1 {
		dial(t, listener.Addr())
	}
	first := <-accepted
	for range half - 1 {
		defer (<-accepted).Close()
	}
	select {
	case <-accepted:
		t.Fatalf("connection %d was accepted with 200 descriptors", half+1)
	case <-time.After(50 * time.Millisecond):
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	defer (<-accepted).Close()
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
