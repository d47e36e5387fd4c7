package server

import (
	"bufio"
	"context"
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

func TestClientLimits(t *testing.T) {
	server := newHTTPServer(nil, slog.New(slog.DiscardHandler))
	if server.ReadHeaderTimeout <= 0 || server.ReadTimeout <= 0 || server.WriteTimeout <= 0 || server.IdleTimeout <= 0 {
		t.Errorf("a timeout is missing: %+v", server)
	}
	s := httptest.NewUnstartedServer(nil)
	s.Config = newHTTPServer(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	s.Config.ReadHeaderTimeout /= 100
	s.Start()
	defer s.Close()
	for name, tt := range map[string]struct{ sent, want string }{
		"a header of 32 KiB":                     {"GET / HTTP/1.1\r\nHost: x\r\nX-Large: " + strings.Repeat("x", 32<<10) + "\r\n\r\n", "HTTP/1.1 431 "},
		"a client that does not send its header": {"GET / HTTP/1.1\r\nHost:", ""},
	} {
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, tt.sent); err != nil {
			t.Fatal(err)
		}
		got, err := bufio.NewReader(conn).ReadString('\n')
		if !strings.HasPrefix(got, tt.want) || tt.want == "" && !errors.Is(err, io.EOF) {
			t.Errorf("%s: got %q, %v, want %q or the end", name, got, err, tt.want)
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
	err = errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &descriptors))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			accepted <- conn
		}
	}()
	const half = 100
	for range half + 1 {
		client, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
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

func TestCheckHealth(t *testing.T) {
	var status int
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/")
		w.WriteHeader(status)
	}))
	_, port, err := net.SplitHostPort(service.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	check := func(want string) {
		t.Helper()
		got := ""
		if err := CheckHealth(context.Background(), ":"+port); err != nil {
			got = strings.ReplaceAll(err.Error(), "127.0.0.1:"+port, "ADDR")
		}
		if !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("status %d: got %q, want %q", status, got, want)
		}
	}
	for code, want := range map[int]string{
		200: "",
		503: "the service on ADDR is running, but its database does not respond: see its log",
		302: "the server on ADDR is not this service, it returned status 302: check --addr",
		404: "the server on ADDR is not this service, it returned status 404: check --addr",
	} {
		status = code
		check(want)
	}
	service.Close()
	check("the service on ADDR does not respond: check that it is running, and --addr: ")
}

func TestReachable(t *testing.T) {
	for addr, want := range map[string]string{
		":3000":            "127.0.0.1:3000",
		"0.0.0.0:3000":     "127.0.0.1:3000",
		"[::]:3000":        "[::1]:3000",
		"[::ffff:0:0]:80":  "127.0.0.1:80",
		"[::1]:3000":       "[::1]:3000",
		"10.1.2.3:3000":    "10.1.2.3:3000",
		"example.com:3000": "example.com:3000",
	} {
		if got := reachable(addr); got != want {
			t.Errorf("%s: got %s, want %s", addr, got, want)
		}
	}
}
