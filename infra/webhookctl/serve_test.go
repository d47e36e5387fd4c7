package main

import (
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"webhooks/shared/api/openapi"
	"webhooks/shared/dynamo/dynamotest"
)

func TestSignalLetsRequestsFinish(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(signal.String(), func(t *testing.T) {
			s := startServer(t, place{dir: t.TempDir()}, "--dev", "--tls-check", "off")
			body := strings.Replace(creation("https://example.com/"), "a.b", "RecurringPayments.charge.paid", 1)
			conn, answers := s.beginRequest(t, s.devKey(t), body)
			s.signal(t, signal)
			s.waitFor(t, "the listener to close", func() bool {
				c, err := net.Dial("tcp", s.addr)
				if err == nil {
					_ = c.Close()
				}
				return err != nil
			})
			if s.hasEnded() {
				t.Fatal("it ended with a request in flight")
			}
			if _, err := io.WriteString(conn, body); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(answers, nil)
			if err != nil || answer.StatusCode != http.StatusCreated {
				t.Fatalf("got %v and %v, want 201 Created", answer, err)
			}
			s.waitFor(t, "the end", s.hasEnded)
			if code := s.cmd.ProcessState.ExitCode(); code != 0 {
				t.Errorf("exit code %d, want 0\nstderr: %s", code, &s.stderr)
			}
		})
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	s := startServer(t, place{dir: t.TempDir()}, "--dev")
	s.beginRequest(t, s.devKey(t), "{}")
	s.signal(t, syscall.SIGTERM)
	s.waitFor(t, "the first signal to work", func() bool { return strings.Contains(s.stderr.String(), "stopping") })
	s.signal(t, syscall.SIGTERM)
	began := time.Now()
	s.waitFor(t, "the end", s.hasEnded)
	if state := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !state.Signaled() || time.Since(began) > stopTimeout/2 {
		t.Errorf("it ended by %v after %v, want an end by the signal, at once", s.cmd.ProcessState, time.Since(began))
	}
}

func TestPathsOfServeAlone(t *testing.T) {
	s := startServer(t, place{dir: t.TempDir()})
	description, err := openapi.JSON()
	if err != nil {
		t.Fatal(err)
	}
	const healthy = `{"status":"ok","store":"ok"}`
	tests := []struct {
		method, path string
		status       int
		body, allow  string
	}{
		{"GET", "/healthz", 200, healthy, ""},
		{"HEAD", "/healthz", 200, "", ""},
		{"GET", "/healthz?verbose=1", 200, healthy, ""},
		{"POST", "/healthz", 405, `{"error":"Method not allowed. This path allows: GET, HEAD."}`, "GET, HEAD"},
		{"GET", "/openapi.json", 200, string(description), ""},
		{"HEAD", "/openapi.json", 200, "", ""},
		{"DELETE", "/openapi.json", 405, `{"error":"Method not allowed. This path allows: GET, HEAD."}`, "GET, HEAD"},
		{"GET", "/healthz/", 404, `{"error":"Path not found."}`, ""},
		{"GET", "//healthz", 404, `{"error":"Path not found."}`, ""},
		{"GET", "/metrics", 404, `{"error":"Path not found."}`, ""},
		{"GET", "/webhooks", 401, `{"error":"Invalid token"}`, ""},
	}
	for _, tt := range tests {
		t.Run(tt.method+" "+tt.path, func(t *testing.T) {
			status, header, body := s.request(t, tt.method, tt.path, "", "")
			if status != tt.status || body != tt.body || header.Get("Allow") != tt.allow {
				t.Errorf("got %d, Allow %q, %.200s\nwant %d, Allow %q, %.200s", status, header.Get("Allow"), body, tt.status, tt.allow, tt.body)
			}
			for name, want := range map[string]string{
				"Content-Type": "application/json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
			} {
				if got := header.Get(name); got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			if id := header.Get("X-Request-Id"); len(id) != len("req_")+26 {
				t.Errorf("X-Request-Id: got %q", id)
			}
		})
	}
}

func TestHealthWithoutDatabase(t *testing.T) {
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	p := onDynamoDB(t, proxy.URL)
	mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
	s := startServer(t, p)
	if status, _, body := s.request(t, "GET", "/healthz", "", ""); status != 200 {
		t.Errorf("with its database: got %d %s", status, body)
	}
	proxy.Every(func(dynamotest.Call) dynamotest.Fault { return dynamotest.Reset() })
	s.waitFor(t, "the store to be missed", func() bool {
		status, _, body := s.request(t, "GET", "/healthz", "", "")
		return status == 503 && body == `{"status":"unavailable","store":"unavailable"}`
	})
	proxy.Every(nil)
	s.waitFor(t, "the store to be back", func() bool {
		status, _, _ := s.request(t, "GET", "/healthz", "", "")
		return status == 200
	})
}

func TestRestartKeepsWebhooks(t *testing.T) {
	eachStore(t, func(t *testing.T, p place) {
		mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
		key := newKey(t, p)
		url, caFile := receiver(t)
		trusting := []string{"--allow-network", "127.0.0.0/8", "--ca-file", caFile}
		s := startServer(t, p, trusting...)
		status, header, body := s.request(t, "POST", "/webhooks", key, creation(url))
		if status != 201 {
			t.Fatalf("got %d %s", status, body)
		}
		s.stop(t)
		s = startServer(t, p, trusting...)
		if status, _, body := s.request(t, "GET", header.Get("Location"), key, ""); status != 200 {
			t.Errorf("after a restart: got %d %s", status, body)
		}
		checkLog(t, s.stderr.String(), key)
	})
}

// checkLog finds what must not be in a log, which is one JSON object a line.
func checkLog(t *testing.T, log, key string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is no JSON: %s", line)
		}
		if strings.Contains(line, key) || strings.Contains(line, "whsec_") || strings.Contains(line, "/hook") {
			t.Errorf("the log has a secret or a customer's URL in it: %s", line)
		}
	}
}

func TestServerLimits(t *testing.T) {
	server := newServer(nil, newLogger(io.Discard, "json"))
	if server.ReadHeaderTimeout <= 0 || server.ReadTimeout <= 0 || server.WriteTimeout <= 0 || server.IdleTimeout <= 0 || server.MaxHeaderBytes <= 0 {
		t.Errorf("a limit is missing: %+v", server)
	}
	s := startServer(t, place{dir: t.TempDir()})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.addr+"/webhooks", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Large", strings.Repeat("x", 32<<10))
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d for a header of 32 KiB, want 431", answer.StatusCode)
	}
}

// Clients that hold connections and ask for nothing must leave the process the descriptors that it
// needs for its own work.
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
	listener, err := listen(t.Context(), "127.0.0.1:0", false)
	err = errors.Join(err, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &descriptors))
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan net.Conn)
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				close(accepted)
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
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
}
