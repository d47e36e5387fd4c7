package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// beTool makes the test binary be webhookctl, so that tests run the real program: as a process of
// its own, and with the race detector when the tests have it.
const beTool = "WEBHOOKCTL_TEST_BE_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(beTool) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// newTool prepares a run of webhookctl in a folder, with nothing of the tests' own settings in its
// environment.
func newTool(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, args...)
	cmd.Dir = dir
	cmd.Env = append(cleanEnvironment(), beTool+"=1", "GORACE=atexit_sleep_ms=0") // the race detector waits a second
	return cmd
}

// cleanEnvironment is the present one without what webhookctl or the AWS SDK would read, and with
// the SDK kept from looking for credentials in the network.
func cleanEnvironment() []string {
	var kept []string
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "WEBHOOKS_") && !strings.HasPrefix(setting, "AWS_") {
			kept = append(kept, setting)
		}
	}
	return append(kept, "AWS_EC2_METADATA_DISABLED=true", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null")
}

// outcome is what a run of webhookctl that ended left behind.
type outcome struct {
	stdout, stderr string
	code           int
}

// runTool runs webhookctl to its end.
func runTool(t *testing.T, cmd *exec.Cmd) outcome {
	t.Helper()
	return startTool(t, cmd)()
}

// startTool starts webhookctl and gives what waits for its end.
func startTool(t *testing.T, cmd *exec.Cmd) (wait func() outcome) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	limit := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	return func() outcome {
		t.Helper()
		defer limit.Stop()
		err := cmd.Wait()
		if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
			t.Fatal(err)
		}
		return outcome{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
	}
}

// mustRun runs webhookctl and gives its stdout and stderr; it must succeed.
func mustRun(t *testing.T, cmd *exec.Cmd) (stdout, stderr string) {
	t.Helper()
	got := runTool(t, cmd)
	if got.code != 0 {
		t.Fatalf("%v: exit code %d, want 0\nstderr: %s", cmd.Args[1:], got.code, got.stderr)
	}
	return got.stdout, got.stderr
}

// mustRefuse runs webhookctl, which must say exactly one line and fail.
func mustRefuse(t *testing.T, cmd *exec.Cmd, want string) {
	t.Helper()
	got := runTool(t, cmd)
	if got.code != 1 || got.stdout != "" || got.stderr != "webhookctl: "+want+"\n" {
		t.Errorf("%v:\n got exit code %d, stdout %q, stderr %q\nwant exit code 1, stderr %q",
			cmd.Args[1:], got.code, got.stdout, got.stderr, "webhookctl: "+want+"\n")
	}
}

func TestRunReportsErrorsToItsCaller(t *testing.T) {
	err := run(context.Background(), []string{"keys", "revoke", "nonsense"}, new(bytes.Buffer), new(bytes.Buffer))
	const want = `that is no key id: those begin with key_, and "webhookctl keys list --company C" shows them`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}
