package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"webhooks/shared/dynamo/dynamotest"
)

func TestVersion(t *testing.T) {
	for _, argument := range []string{"version", "--version"} {
		stdout, _ := mustRun(t, newTool(t, t.TempDir(), argument))
		if !regexp.MustCompile(`^webhookctl development \(go1\.\S+, \w+/\w+\)\n$`).MatchString(stdout) {
			t.Errorf("%s printed %q", argument, stdout)
		}
	}
	s := startServer(t, place{dir: t.TempDir()})
	if got := s.logged("serving", "version"); got != "development" {
		t.Errorf("serve logs version %q", got)
	}
}

func TestHealth(t *testing.T) {
	s := startServer(t, place{dir: t.TempDir()})
	_, port, err := net.SplitHostPort(s.addr)
	if err != nil {
		t.Fatal(err)
	}
	for _, addr := range []string{s.addr, ":" + port, "0.0.0.0:" + port, "localhost:" + port} {
		tool := newTool(t, t.TempDir(), "health")
		tool.Env = append(tool.Env, "WEBHOOKS_ADDR="+addr, "HTTP_PROXY=http://127.0.0.1:1", "http_proxy=http://127.0.0.1:1")
		stdout, _ := mustRun(t, tool)
		if !regexp.MustCompile(`^The service on \S+:` + port + ` works \(\S+\)\.\n$`).MatchString(stdout) {
			t.Errorf("%s: printed %q", addr, stdout)
		}
	}
	s.stop(t)
	got := runTool(t, newTool(t, t.TempDir(), "health", "--addr", s.addr))
	want := "webhookctl: the service does not answer on " + s.addr + ": check that it runs, and --addr: "
	if got.code != 1 || !strings.HasPrefix(got.stderr, want) {
		t.Errorf("got exit code %d, stderr %q", got.code, got.stderr)
	}
}

func TestHealthOfOthers(t *testing.T) {
	for status, want := range map[int]string{
		http.StatusServiceUnavailable: "the service on ADDR runs, but its database does not answer: see its log",
		http.StatusFound:              "what answers on ADDR with status 302 is not this service: check --addr",
		http.StatusNotFound:           "what answers on ADDR with status 404 is not this service: check --addr",
	} {
		other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/")
			w.WriteHeader(status)
		}))
		addr := other.Listener.Addr().String()
		mustRefuse(t, newTool(t, t.TempDir(), "health", "--addr", addr), strings.ReplaceAll(want, "ADDR", addr))
		other.Close()
	}
}

// TestHealthWaits has a service that works from the fourth question on.
func TestHealthWaits(t *testing.T) {
	var asked atomic.Int32
	starting := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked.Add(1) < 4 {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer starting.Close()
	addr := starting.Listener.Addr().String()
	const failed = "the service on ADDR runs, but its database does not answer: see its log"
	mustRefuse(t, newTool(t, t.TempDir(), "health", "--addr", addr), strings.ReplaceAll(failed, "ADDR", addr))
	if got := asked.Load(); got != 1 {
		t.Fatalf("without --wait it asked %d times", got)
	}
	mustRun(t, newTool(t, t.TempDir(), "health", "--addr", addr, "--wait", "50s"))
	if got := asked.Load(); got != 4 {
		t.Errorf("it asked %d times, want 4", got)
	}
}

// TestHealthWaitsForAStart asks before anything listens, and gives up on what never does.
func TestHealthWaitsForAStart(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	got := runTool(t, newTool(t, t.TempDir(), "health", "--addr", addr, "--wait", "300ms"))
	if want := "webhookctl: the service does not answer on " + addr + ": "; got.code != 1 || !strings.HasPrefix(got.stderr, want) || !strings.Contains(got.stderr, "refused") {
		t.Errorf("got exit code %d, stderr %q", got.code, got.stderr)
	}
	wait := startTool(t, newTool(t, t.TempDir(), "health", "--addr", addr, "--wait", "50s"))
	tool := newTool(t, t.TempDir(), "serve", "--addr", addr)
	startProcess(t, tool)
	if got := wait(); got.code != 0 {
		t.Errorf("got exit code %d, stderr %q", got.code, got.stderr)
	}
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

// TestSignalBeforeReady ends serve while its database does not answer.
func TestSignalBeforeReady(t *testing.T) {
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hanging.Close()
	tool := newTool(t, t.TempDir(), "serve", "--addr", "127.0.0.1:0", "--store", "dynamodb", "--dynamodb-endpoint", "http://"+hanging.Addr().String())
	wait := startTool(t, tool)
	conn, err := hanging.Accept() // it asks
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	began := time.Now()
	if err := tool.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	got := wait()
	if got.code != 0 || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, `"level":"INFO","msg":"stopped by a signal before it was ready"`) {
		t.Errorf("got exit code %d, stderr %q, want 0 and one line", got.code, got.stderr)
	}
	if took := time.Since(began); took > startTimeout/2 {
		t.Errorf("it took %v", took)
	}
}

// TestSignalDuringAnExport checks that no half of a file is left.
func TestSignalDuringAnExport(t *testing.T) {
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	p := onDynamoDB(t, proxy.URL)
	mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
	newKey(t, p)
	asked := make(chan struct{}, 1)
	proxy.Every(func(dynamotest.Call) dynamotest.Fault {
		select {
		case asked <- struct{}{}:
		default:
		}
		return dynamotest.Reset()
	})
	tool := newTool(t, p.dir, p.args("export", "--company", "acme", "--output", "acme.jsonl")...)
	wait := startTool(t, tool)
	<-asked
	if err := tool.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	got := wait()
	if want := "webhookctl: ended by a signal before it was done: run it again\n"; got.code != 1 || got.stderr != want {
		t.Errorf("got exit code %d, stderr %q, want 1 and %q", got.code, got.stderr, want)
	}
	if files, err := os.ReadDir(p.dir); err != nil || len(files) != 0 {
		t.Errorf("it left %v, %v", files, err)
	}
	proxy.Every(nil)
}

func TestNoAuthorities(t *testing.T) {
	const want = "this machine trusts no certificate authority, so the TLS check refuses every webhook: install its certificates (the package ca-certificates), or give --ca-file"
	_, caFile := receiver(t)
	for _, tt := range []struct {
		name  string
		flags []string
		env   []string
		warns bool
	}{
		{"one", nil, []string{"SSL_CERT_FILE=" + caFile, "SSL_CERT_DIR=/nowhere"}, false},
		{"none", nil, []string{"SSL_CERT_FILE=/nowhere", "SSL_CERT_DIR=/nowhere"}, true},
		{"none, and --ca-file", []string{"--ca-file", caFile}, []string{"SSL_CERT_FILE=/nowhere", "SSL_CERT_DIR=/nowhere"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startServer(t, place{dir: t.TempDir(), env: tt.env}, tt.flags...)
			if got := s.logged(want, "level"); (got == "WARN") != tt.warns {
				t.Errorf("warned %q, want it %v\nstderr: %s", got, tt.warns, &s.stderr)
			}
		})
	}
}
