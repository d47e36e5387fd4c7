package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSignalLetsRequestsFinish(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := place{dir: t.TempDir()}
		key := newKey(t, p)
		s := startServer(t, p, "--dev", "--tls-check", "off")
		body := creation("https://example.com/")
		conn, responses := s.beginRequest(t, key, body)
		_ = s.cmd.Process.Signal(signal)
		s.waitFor(t, "the listener to close", func() bool {
			c, err := net.Dial("tcp", s.addr)
			if err == nil {
				_ = c.Close()
			}
			return err != nil
		})
		_, err := io.WriteString(conn, body)
		must(t, err)
		response, err := http.ReadResponse(responses, nil)
		if err != nil || response.StatusCode != http.StatusCreated {
			t.Fatalf("after %v: got %v and %v, want 201 Created", signal, response, err)
		}
		if got := s.wait(t); got.code != 0 {
			t.Errorf("got exit code %d after %v, want 0\nstderr: %s", got.code, signal, got.stderr)
		}
	}
}

func TestSecondSignalStopsImmediately(t *testing.T) {
	s := startServer(t, place{dir: t.TempDir()}, "--dev")
	s.beginRequest(t, s.devKey(t), "{}")
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	s.waitFor(t, "the first signal to work", func() bool { return strings.Contains(s.stderr.String(), "stopping") })
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	s.wait(t) // it would take 30 s after only one signal
	if state := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !state.Signaled() {
		t.Errorf("it exited with %v, want it killed by the signal", s.cmd.ProcessState)
	}
}

// TestSignalWhileDatabaseHangs checks that a signal stops the wait, and that an interrupted export leaves no files.
func TestSignalWhileDatabaseHangs(t *testing.T) {
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer hanging.Close()
	for _, tt := range []struct {
		args string
		code int
		want string
	}{
		{"serve --addr 127.0.0.1:0 --sqs-endpoint http://127.0.0.1:1", 0, `"level":"INFO","msg":"stopped by a signal before the service was ready"`},
		{"types list", 1, "webhookctl: interrupted by a signal before it was done: run it again\n"},
		{"export --company acme --export-key-file acme.key --output acme.jsonl", 1, "webhookctl: interrupted by a signal before it was done: run it again\n"},
	} {
		tool := newTool(t, t.TempDir(), append(strings.Fields(tt.args), "--store", "dynamodb", "--dynamodb-endpoint", "http://"+hanging.Addr().String())...)
		run := start(t, tool)
		conn, err := hanging.Accept()
		must(t, err)
		defer conn.Close()
		_ = tool.Process.Signal(syscall.SIGINT)
		if got := run.wait(t); got.code != tt.code || strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, tt.want) {
			t.Errorf("%s: got exit code %d, stderr %q, want %d and one line with %q", tt.args, got.code, got.stderr, tt.code, tt.want)
		}
		if files, err := os.ReadDir(tool.Dir); err != nil || len(files) != 0 {
			t.Errorf("%s left %v, %v", tt.args, files, err)
		}
	}
}

// TestSignalWhileImportReads checks that one signal stops an import that waits for a pipe.
func TestSignalWhileImportReads(t *testing.T) {
	const header = `{"kind":"header","format":"webhooks-export","version":2,"company":"acme"}` + "\n"
	for _, tt := range []struct{ written, logged string }{
		{"", ""},
		{header, "created a new database"},
	} {
		dir := t.TempDir()
		must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
		tool := newTool(t, dir, "import", "pipe", "--export-key-file", newKeyFile(t))
		run := start(t, tool)
		pipe, err := os.OpenFile(filepath.Join(dir, "pipe"), os.O_WRONLY, 0) // waits for the reader
		must(t, err)
		defer pipe.Close()
		_, err = io.WriteString(pipe, tt.written)
		must(t, err)
		run.waitFor(t, "the import to start", func() bool { return strings.Contains(run.stderr.String(), tt.logged) })
		_ = tool.Process.Signal(syscall.SIGINT)
		const want = "webhookctl: interrupted by a signal before it was done: run it again\n"
		if got := run.wait(t); got.code != 1 || !strings.HasSuffix(got.stderr, want) {
			t.Errorf("after %q: got exit code %d, stderr %q, want 1 and %q", tt.written, got.code, got.stderr, want)
		}
	}
}

func TestTLSCheckSettings(t *testing.T) {
	url, caFile := receiver(t)
	const unreachable, untrusted = "the host could not be reached", "authority"
	for _, tt := range []struct {
		name  string
		flags []string
		want  int
		body  string // a part of it
	}{
		{"only the authority", []string{"--ca-file", caFile}, 400, unreachable},
		{"only the network", []string{"--allow-network", "127.0.0.0/8"}, 400, untrusted},
		{"both", []string{"--allow-network", "127.0.0.0/8", "--ca-file", caFile}, 201, ""},
		{"the sandbox has another authority", []string{"--dev"}, 400, untrusted},
		{"dev and the authority", []string{"--dev", "--ca-file", caFile}, 201, ""},
		{"dev without the check", []string{"--dev", "--tls-check", "off"}, 201, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := place{dir: t.TempDir()}
			key := newKey(t, p)
			s := startServer(t, p, tt.flags...)
			status, _, body := s.request(t, "POST", "/webhooks", key, creation(url))
			if status != tt.want || !strings.Contains(body, tt.body) {
				t.Errorf("got %d %s, want %d and %q", status, body, tt.want, tt.body)
			}
		})
	}
}

func TestNoAuthorities(t *testing.T) {
	t.Setenv("SSL_CERT_FILE", "/nowhere")
	t.Setenv("SSL_CERT_DIR", "/nowhere")
	s := startServer(t, place{dir: t.TempDir()})
	if !strings.Contains(s.stderr.String(), "this machine trusts no certificate authorities") {
		t.Errorf("no warning\nstderr: %s", &s.stderr)
	}
}

// TestHealth checks a service that returns one status after another.
func TestHealth(t *testing.T) {
	statuses := make(chan int, 10)
	for _, status := range []int{200, 302, 503, 404, 503, 503, 200} {
		statuses <- status
	}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/")
		w.WriteHeader(<-statuses)
	}))
	defer service.Close()
	addr := strings.TrimPrefix(service.URL, "http://")
	for _, tt := range []struct{ wait, want string }{
		{"0s", "The service on ADDR is healthy.\n<nil>"},
		{"0s", "the server on ADDR is not this service, it returned status 302: check --addr"},
		{"0s", "the service on ADDR is running, but its database does not respond: see its log"},
		{"50s", "The service on ADDR is healthy.\n<nil>"},
	} {
		var stdout strings.Builder
		err := run(t.Context(), []string{"health", "--addr", addr, "--wait", tt.wait}, &stdout, io.Discard)
		if got := stdout.String() + fmt.Sprint(err); got != strings.ReplaceAll(tt.want, "ADDR", addr) {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
	if len(statuses) != 0 {
		t.Errorf("--wait left %d statuses", len(statuses))
	}
}
