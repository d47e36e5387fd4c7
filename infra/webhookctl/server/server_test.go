package server

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"
	"time"
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
