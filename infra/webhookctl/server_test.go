package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long a test waits for what should be there at once.
const patience = 20 * time.Second

// output gathers what a process prints while it runs.
type output struct {
	mu   sync.Mutex
	text strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// server is "webhookctl serve" in a process of its own.
type server struct {
	cmd            *exec.Cmd
	stdout, stderr output
	addr           string        // host:port
	ended          chan struct{} // closed after it
}

// startServer starts serve on a free port and waits until it is ready. It ends with the test.
func startServer(t testing.TB, p place, flags ...string) *server {
	t.Helper()
	cmd := newTool(t, p.dir, p.args(append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...)...)...)
	cmd.Env = append(cmd.Env, p.env...)
	s := startProcess(t, cmd)
	s.waitFor(t, "the address", func() bool {
		s.addr = s.logged("serving", "addr")
		return s.addr != ""
	})
	return s
}

// startProcess starts a prepared command. It ends with the test.
func startProcess(t testing.TB, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{cmd: cmd, ended: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // its state tells
		close(s.ended)
	}()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill() // it has ended as a rule
		<-s.ended
	})
	return s
}

// logged gives a field of the first log line with a message, or nothing.
func (s *server) logged(message, field string) string {
	for line := range strings.Lines(s.stderr.String()) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			value, _ := record[field].(string)
			return value
		}
	}
	return ""
}

func (s *server) waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s\nstdout: %s\nstderr: %s", what, &s.stdout, &s.stderr)
		}
	}
}

func (s *server) hasEnded() bool {
	select {
	case <-s.ended:
		return true
	default:
		return false
	}
}

func (s *server) signal(t testing.TB, signal os.Signal) {
	t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// stop ends the server as an operator does; it must exit with 0.
func (s *server) stop(t testing.TB) {
	t.Helper()
	s.signal(t, syscall.SIGTERM)
	s.waitFor(t, "the end", s.hasEnded)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0\nstderr: %s", code, &s.stderr)
	}
}

// request makes a request and gives the status, header and body of the answer.
func (s *server) request(t *testing.T, method, path, key, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

// beginRequest sends the head of a request and waits until the API reads its body.
func (s *server) beginRequest(t *testing.T, key, body string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.addr+"/webhooks", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	var head strings.Builder
	r.Header.Set("Authorization", "Bearer "+key)
	r.Header.Set("Expect", "100-continue")
	if err := r.Write(&head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, strings.TrimSuffix(head.String(), body)); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || line != "HTTP/1.1 100 Continue\r\n" {
		t.Fatalf("got %q and %v, want the server to ask for the body", line, err)
	}
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return conn, answers
}
