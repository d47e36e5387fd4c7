package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"webhooks/infra/webhookctl/sandbox"
	"webhooks/shared/dynamo/dynamotest"
)

// beTool makes the test binary run as webhookctl, so that tests run the real program in its own process,
// with the race detector if the tests have it.
const beTool = "WEBHOOKCTL_TEST_BE_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(beTool) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// newTool prepares a run of webhookctl in a directory, without the tests' own settings in its environment.
// It is killed after the test.
func newTool(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	cmd.Env = append(cleanEnvironment(), beTool+"=1", "GORACE=atexit_sleep_ms=0") // else the race detector waits a second
	return cmd
}

// cleanEnvironment returns the environment without what webhookctl or the AWS SDK would read, and with
// the SDK kept from looking for credentials on the network.
func cleanEnvironment() []string {
	var kept []string
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "WEBHOOKS_") && !strings.HasPrefix(setting, "AWS_") {
			kept = append(kept, setting)
		}
	}
	return append(kept, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
}

// outcome is the result of a run of webhookctl.
type outcome struct {
	stdout, stderr string
	code           int
}

// runTool runs webhookctl until it exits.
func runTool(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	return startTool(t, cmd)()
}

// startTool starts webhookctl and returns a function that waits until it exits.
func startTool(t *testing.T, cmd *exec.Cmd) (wait func() outcome) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() outcome {
		_ = cmd.Wait()
		return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	}
}

// mustRun runs webhookctl, which must succeed.
func mustRun(t *testing.T, cmd *exec.Cmd) (stdout, stderr string) {
	t.Helper()
	got := runTool(t, cmd)
	if got.code != 0 {
		t.Fatalf("%v: exit code %d, want 0\nstderr: %s", cmd.Args[1:], got.code, got.stderr)
	}
	return got.stdout, got.stderr
}

// mustRefuse runs webhookctl, which must fail and print only the error want. If want ends with "…", the
// error continues.
func mustRefuse(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	got := runTool(t, cmd)
	prefix, continues := strings.CutSuffix("webhookctl: "+want, "…")
	matches := got.stderr == prefix+"\n" || continues && strings.HasPrefix(got.stderr, prefix)
	if got.code != 1 || got.stdout != "" || !matches || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("%v:\n got exit code %d, stdout %q, stderr %q\nwant exit code 1, stderr %q", cmd.Args[1:], got.code, got.stdout, got.stderr, prefix)
	}
}

// place is a store for one test: a directory to run in, and the flags for the store.
type place struct {
	dir   string
	flags []string
	env   []string // additional variables for services
}

// args returns a command with the flags of the place.
func (p place) args(command ...string) []string { return append(command, p.flags...) }

// eachStore runs a test on SQLite and on DynamoDB Local.
func eachStore(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("sqlite", func(t *testing.T) { test(t, place{dir: t.TempDir()}) })
	t.Run("dynamodb", func(t *testing.T) { test(t, onDynamoDB(t, dynamotest.Endpoint(t))) })
}

// onDynamoDB returns a place at an endpoint, which may be a proxy of DynamoDB Local, with table names of
// its own.
func onDynamoDB(t *testing.T, endpoint string) place {
	t.Helper()
	return place{
		dir:   t.TempDir(),
		flags: []string{"--store", "dynamodb", "--dynamodb-endpoint", endpoint, "--table-prefix", "ctl-" + rand.Text() + "-"},
	}
}

// patience is how long a test waits for something that should happen immediately.
const patience = 20 * time.Second

// output collects the output of a running process.
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

// service is a running "webhookctl serve".
type service struct {
	cmd            *exec.Cmd
	stdout, stderr output
	addr           string        // host:port
	exited         chan struct{} // closed when it has
}

// startServer starts serve on a free port and waits until it is ready.
func startServer(t testing.TB, p place, flags ...string) *service {
	t.Helper()
	cmd := newTool(t, p.dir, p.args(append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...)...)...)
	cmd.Env = append(cmd.Env, p.env...)
	s := &service{cmd: cmd, exited: make(chan struct{})}
	s.cmd.Stdout, s.cmd.Stderr = &s.stdout, &s.stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = s.cmd.Wait() // see its ProcessState
		close(s.exited)
	}()
	t.Cleanup(func() { <-s.exited })
	s.waitFor(t, "the address", func() bool {
		s.addr = s.logged("serving", "addr")
		return s.addr != ""
	})
	return s
}

// logged returns a field of the first log line with a message, or an empty string.
func (s *service) logged(message, field string) string {
	for line := range strings.Lines(s.stderr.String()) {
		var record map[string]any
		if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == message {
			value, _ := record[field].(string)
			return value
		}
	}
	return ""
}

func (s *service) waitFor(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s\nstdout: %s\nstderr: %s", what, &s.stdout, &s.stderr)
		}
	}
}

func (s *service) hasExited() bool {
	select {
	case <-s.exited:
		return true
	default:
		return false
	}
}

// stop stops the service as an operator does. It must exit with status 0.
func (s *service) stop(t testing.TB) {
	t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	s.waitFor(t, "the exit", s.hasExited)
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("exit code %d, want 0\nstderr: %s", code, &s.stderr)
	}
}

// request sends a request and returns the response's status, header and body.
func (s *service) request(t *testing.T, method, path, key, body string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

// beginRequest sends the head of a request and waits until the API reads its body.
func (s *service) beginRequest(t *testing.T, key, body string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "POST /webhooks HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n", key, len(body))
	responses := bufio.NewReader(conn)
	const want = "HTTP/1.1 100 Continue\r\n\r\n"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(responses, got); err != nil || string(got) != want {
		t.Fatalf("got %q and %v, want the server to ask for the body", got, err)
	}
	return conn, responses
}

// newKey creates a key and the event type a.b.
func newKey(t *testing.T, p place) string {
	t.Helper()
	mustRun(t, newTool(t, p.dir, p.args("types", "add", "a.b")...))
	key, _ := mustRun(t, newTool(t, p.dir, p.args("keys", "create", "--company", "acme", "--permissions", "webhooks:read,webhooks:write")...))
	return strings.TrimSuffix(key, "\n")
}

// creation returns the body of a request that creates a webhook for a URL.
func creation(url string) string {
	return `{"webhook":{"name":"n","url":"` + url + `","events":["a.b"]}}`
}

// receiver starts a TLS server on loopback. It returns its URL and a file with its own certificate
// authority.
func receiver(t *testing.T) (url, caFile string) {
	t.Helper()
	dir := t.TempDir()
	authority, err := sandbox.LoadOrCreateAuthority(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := authority.Leaf(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.TLS = &tls.Config{Certificates: []tls.Certificate{leaf}}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL + "/hook", filepath.Join(dir, sandbox.AuthorityFile)
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func checkMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Error(err)
	} else if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

// checkLog finds what must not be in a log, which has one JSON object per line.
func checkLog(t *testing.T, log, key string) {
	t.Helper()
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("a log line is not JSON: %s", line)
		}
		if strings.Contains(line, key) || strings.Contains(line, "whsec_") || strings.Contains(line, "/hook") {
			t.Errorf("the log contains a secret or a customer's URL: %s", line)
		}
	}
}
