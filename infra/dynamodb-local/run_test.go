package dynamodblocal_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestRunGivesTheCommandItsOwn(t *testing.T) {
	s := newInstalledScript(t)
	const command = `echo "$ENDPOINT"; curl -s "$ENDPOINT" >/dev/null && echo up; echo "$AWS_ACCESS_KEY_ID $AWS_REGION"; cat; exit 7`
	cmd := s.command("run", "--variable", "ENDPOINT", "--", "sh", "-c", command)
	cmd.Env = append(cmd.Env, "AWS_REGION=eu-central-1", "AWS_ACCESS_KEY_ID=")
	cmd.Stdin = strings.NewReader("input")
	output, _ := cmd.Output()
	if code := cmd.ProcessState.ExitCode(); code != 7 {
		t.Errorf("exit code %d, want the command's own, 7", code)
	}
	endpoint, rest, _ := strings.Cut(string(output), "\n")
	if want := "up\nlocal eu-central-1\ninput"; rest != want {
		t.Errorf("the command printed %q, want %q", rest, want)
	}
	if answers(t, endpoint) {
		t.Errorf("it still answers at %s after the command", endpoint)
	}
	if left := s.leftovers(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestRunTwiceAtOnce(t *testing.T) {
	s := newInstalledScript(t)
	first, firstEndpoint := s.startCommand("exec sleep 60")
	_, secondEndpoint := s.startCommand("exec sleep 60")
	if firstEndpoint == secondEndpoint {
		t.Fatalf("both got %s", firstEndpoint)
	}
	if err := first.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := first.Wait(); err == nil || first.ProcessState.ExitCode() != 128+int(syscall.SIGTERM) {
		t.Errorf("SIGTERM ended it with %v, want exit code 143", err)
	}
	if answers(t, firstEndpoint) {
		t.Error("the first answers after SIGTERM")
	}
	if !answers(t, secondEndpoint) {
		t.Error("the second went with the first")
	}
}

func TestRunKilled(t *testing.T) {
	s := newInstalledScript(t)
	cmd, endpoint := s.startCommand("exec sleep 5")
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the killed script's instance stops", func() bool { return !answers(t, endpoint) })
	eventually(t, "nothing is left behind", func() bool { return len(s.leftovers()) == 0 })
}

func TestStartAndStop(t *testing.T) {
	s := newInstalledScript(t)
	t.Cleanup(func() { s.run("stop") })
	endpoint, said, code := s.run("start")
	if code != 0 {
		t.Fatalf("start: exit code %d: %s", code, said)
	}
	s.wantWarning(said, endpoint)
	if !answers(t, endpoint) {
		t.Fatalf("nothing answers at %q", endpoint)
	}
	if again := s.mustRun("start"); again != endpoint {
		t.Errorf("a second start printed %q, want the running one's %q", again, endpoint)
	}
	if told := s.mustRun("endpoint"); told != endpoint {
		t.Errorf("endpoint printed %q, want %q", told, endpoint)
	}
	if _, stderr, code := s.run("start", "--port", "1"); code != 1 || !strings.Contains(stderr, "one runs already, with other options") {
		t.Errorf("a start with other options: exit code %d, %q", code, stderr)
	}
	s.mustRun("stop")
	if answers(t, endpoint) {
		t.Error("it answers after stop")
	}
	if left := s.leftovers(); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// wantWarning checks what start said of the jar's port, which is open on every address; a container's is on loopback alone.
func (s *script) wantWarning(said, endpoint string) {
	s.t.Helper()
	record, err := os.ReadFile(filepath.Join(s.home(), "started"))
	if err != nil {
		s.t.Fatal(err)
	}
	want := ""
	if strings.HasPrefix(string(record), "java ") {
		want = "dynamodb-local: whoever reaches port " + endpoint[strings.LastIndex(endpoint, ":")+1:] + " of this machine can read and write it: " +
			"it listens on every address; on a network that you do not trust, close it in the firewall"
	}
	if said != want {
		s.t.Errorf("start said %q, want %q", said, want)
	}
}

func TestDataOutlivesTheInstance(t *testing.T) {
	s := newInstalledScript(t)
	data := filepath.Join(t.TempDir(), "the data")
	const table = `{"TableName":"kept","AttributeDefinitions":[{"AttributeName":"k","AttributeType":"S"}],` +
		`"KeySchema":[{"AttributeName":"k","KeyType":"HASH"}],"BillingMode":"PAY_PER_REQUEST"}`
	t.Cleanup(func() { s.run("stop") })
	if answer := request(t, s.mustRun("start", "--data", data), "CreateTable", table); !strings.Contains(answer, `"TableName":"kept"`) {
		t.Fatalf("CreateTable answered %s", answer)
	}
	s.mustRun("stop")
	if answer := request(t, s.mustRun("start", "--data", data), "ListTables", "{}"); answer != `{"TableNames":["kept"]}` {
		t.Errorf("after a restart ListTables answered %s", answer)
	}
}

func TestPortInUse(t *testing.T) {
	s := newInstalledScript(t)
	_, port := listen(t)
	_, stderr, code := s.run("run", "--port", port, "--", "true")
	if want := "dynamodb-local: port " + port + " is in use: choose another with --port, or leave it out"; code != 1 || stderr != want {
		t.Errorf("exit code %d, %q; want 1, %q", code, stderr, want)
	}
}

// The record may outlive what it names, and its pid may have gone to another process since.
func TestStaleRecord(t *testing.T) {
	s := newInstalledScript(t)
	stranger := exec.Command("sleep", "60")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if stranger.Process.Kill() != nil {
			t.Error("the process that it had not started is gone")
		}
		_ = stranger.Wait() // killed
	})
	record := "java " + strconv.Itoa(stranger.Process.Pid) + " 1-2-3 20000 \n"
	for _, command := range []string{"stop", "start"} {
		if err := os.WriteFile(filepath.Join(s.home(), "started"), []byte(record), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, stderr, code := s.run("endpoint"); code != 1 || stderr != "dynamodb-local: none is running: start one with dynamodb-local start" {
			t.Errorf("endpoint: exit code %d, %q", code, stderr)
		}
		s.mustRun(command)
	}
	s.mustRun("stop")
}
