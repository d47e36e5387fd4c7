package main

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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

// must fails the test if a step of its setup fails.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newTool prepares a run of webhookctl in a directory. The environment has none of the tests' own settings. The process is
// killed when the test ends.
func newTool(t *testing.T, dir string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = dir
	cmd.Env = append(cleanEnvironment(), beTool+"=1", "GORACE=atexit_sleep_ms=0") // otherwise the race detector sleeps for a second
	return cmd
}

// cleanEnvironment returns the environment without the variables that webhookctl or the AWS SDK reads. It also keeps the SDK
// from looking for credentials in files and on the network.
func cleanEnvironment() []string {
	kept := slices.DeleteFunc(os.Environ(), func(setting string) bool {
		return strings.HasPrefix(setting, "WEBHOOKS_") || strings.HasPrefix(setting, "AWS_")
	})
	return append(kept, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
}

// patience is how long a test waits for something that should happen immediately, for example for a command to exit.
const patience = 10 * time.Second

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

// process is a running webhookctl.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr output
	exited         chan struct{} // closed when it has exited
}

// start starts webhookctl.
func start(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.stdout, &p.stderr
	must(t, cmd.Start())
	go func() {
		_ = cmd.Wait() // see its ProcessState
		close(p.exited)
	}()
	t.Cleanup(func() { <-p.exited })
	return p
}

// waitFor waits until done returns true.
func (p *process) waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s\nstdout: %s\nstderr: %s", what, &p.stdout, &p.stderr)
		}
	}
}

// outcome is the result of a run of webhookctl.
type outcome struct {
	stdout, stderr string
	code           int
}

// wait waits until the process has exited.
func (p *process) wait(t *testing.T) outcome {
	t.Helper()
	select {
	case <-p.exited:
	case <-time.After(patience):
		t.Fatalf("%v did not exit\nstdout: %s\nstderr: %s", p.cmd.Args[1:], &p.stdout, &p.stderr)
	}
	return outcome{p.stdout.String(), p.stderr.String(), p.cmd.ProcessState.ExitCode()}
}

// mustRun runs webhookctl, which must succeed.
func mustRun(t *testing.T, cmd *exec.Cmd) (stdout, stderr string) {
	t.Helper()
	got := start(t, cmd).wait(t)
	if got.code != 0 {
		t.Fatalf("%v: exit code %d, want 0\nstderr: %s", cmd.Args[1:], got.code, got.stderr)
	}
	return got.stdout, got.stderr
}

// mustFail runs webhookctl, which must fail and print only the error want. If want ends with "…", the error continues.
func mustFail(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	got := start(t, cmd).wait(t)
	prefix, continues := strings.CutSuffix("webhookctl: "+want, "…")
	matches := got.stderr == prefix+"\n" || continues && strings.HasPrefix(got.stderr, prefix)
	if got.code != 1 || got.stdout != "" || !matches || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("%v:\n got exit code %d, stdout %q, stderr %q\nwant exit code 1, stderr %q", cmd.Args[1:], got.code, got.stdout, got.stderr, prefix)
	}
}

// motoEndpoint is the variable with the URL of moto server, which emulates SQS and KMS.
const motoEndpoint = "WEBHOOKS_TEST_MOTO_ENDPOINT"

// place is a store for one test: the directory to run webhookctl in, and its flags.
type place struct {
	dir   string
	flags []string
}

// args returns a command with the flags of the place.
func (p place) args(command ...string) []string { return append(command, p.flags...) }

// eachStore runs a test on SQLite and on DynamoDB Local.
func eachStore(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("sqlite", func(t *testing.T) { test(t, place{dir: t.TempDir()}) })
	t.Run("dynamodb", func(t *testing.T) { test(t, onDynamoDB(t)) })
}

// onDynamoDB returns a place on DynamoDB Local and moto's SQS with its own names of tables and queues.
func onDynamoDB(t *testing.T) place {
	t.Helper()
	return place{dir: t.TempDir(), flags: []string{
		"--store", "dynamodb", "--dynamodb-endpoint", dynamotest.Endpoint(t), "--sqs-endpoint", dynamotest.Service(t, motoEndpoint),
		"--table-prefix", "ctl-" + rand.Text() + "-",
	}}
}

// service is a running "webhookctl serve".
type service struct {
	*process
	addr string // host:port
}

// startServer starts serve on a free port and waits until it is ready.
func startServer(t *testing.T, p place, flags ...string) *service {
	t.Helper()
	if slices.Contains(flags, "--dev") { // accept data that other commands created
		must(t, os.MkdirAll(filepath.Join(p.dir, ".webhooks", "dev"), 0o700))
	}
	return startService(t, newTool(t, p.dir, p.args(append([]string{"serve", "--addr", "127.0.0.1:0"}, flags...)...)...))
}

// startService starts a command that serves and waits until it is ready.
func startService(t *testing.T, serve *exec.Cmd) *service {
	t.Helper()
	s := &service{process: start(t, serve)}
	serving := regexp.MustCompile(`"msg":"serving","addr":"([^"]+)"`)
	s.waitFor(t, "the address", func() bool { return serving.MatchString(s.stderr.String()) })
	s.addr = serving.FindStringSubmatch(s.stderr.String())[1]
	return s
}

// stop stops the service as an operator does. It must exit with status 0.
func (s *service) stop(t *testing.T) {
	t.Helper()
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	if got := s.wait(t); got.code != 0 {
		t.Errorf("exit code %d, want 0\nstderr: %s", got.code, got.stderr)
	}
}

// request sends a request with an API key and returns the response's status, header and body. The optional arguments are names
// and values of further request headers.
func (s *service) request(t *testing.T, method, path, key, body string, more ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.addr+path, strings.NewReader(body))
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+key)
	for pair := range slices.Chunk(more, 2) {
		r.Header.Set(pair[0], pair[1])
	}
	response, err := http.DefaultClient.Do(r)
	must(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, response.Header, string(text)
}

// create creates a webhook and returns its ID and token.
func (s *service) create(t *testing.T, key, url string) (id, token string) {
	t.Helper()
	status, _, body := s.request(t, "POST", "/webhooks", key, creation(url))
	var created struct{ ID, Token string }
	if err := json.Unmarshal([]byte(body), &created); err != nil || status != 201 {
		t.Fatalf("got %d %s, %v", status, body, err)
	}
	return created.ID, created.Token
}

// beginRequest sends the head of a request and waits until the API reads its body.
func (s *service) beginRequest(t *testing.T, key, body string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	must(t, err)
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

// receiver starts a TLS server on loopback. It returns its URL and a file with its certificate, which is self-signed.
func receiver(t *testing.T) (url, caFile string) {
	t.Helper()
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	must(t, os.WriteFile(caFile, certificate, 0o600))
	return server.URL + "/hook", caFile
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return text
}

func checkMode(t *testing.T, path string, want os.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	must(t, err)
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has mode %o, want %o", path, got, want)
	}
}

// checkLog checks that a log has one JSON object per line, without secrets and customers' URLs.
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
