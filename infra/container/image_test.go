// Package container_test builds the container image and runs it.
package container_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// run runs a program and returns its output.
func run(t *testing.T, program string, args ...string) string {
	t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v", program, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out))
}

func TestImage(t *testing.T) {
	if err := exec.CommandContext(t.Context(), "docker", "version").Run(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("Docker is required in CI: %v", err)
		}
		t.Skipf("Docker is not available: %v", err)
	}
	image := fmt.Sprintf("webhooks:test-%d", os.Getpid())
	t.Setenv("VERSION", "v0.0.0-test")
	run(t, "./image", image)
	t.Cleanup(func() { run(t, "docker", "rmi", "--force", image) })

	// As docs/server.md runs it.
	container := run(t, "docker", "run", "--detach", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--publish", "127.0.0.1::3000", image)
	t.Cleanup(func() { run(t, "docker", "rm", "--force", "--volumes", container) })
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if health := run(t, "docker", "inspect", "--format", "{{.State.Health.Status}}", container); health == "healthy" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the container is %s\n%s", health, run(t, "docker", "logs", container))
		}
	}

	webhookctl := func(args string) string {
		return run(t, "docker", append([]string{"exec", container, "/webhookctl"}, strings.Fields(args)...)...)
	}
	webhookctl("types add a.b")
	key := webhookctl("keys create --company acme --permissions webhooks:read")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+run(t, "docker", "port", container, "3000/tcp")+"/webhooks/types", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+key)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK || string(body) != `["a.b"]` {
		t.Errorf("GET /webhooks/types: %d %s, %v", response.StatusCode, body, err)
	}
	webhookctl("backup /data/backup.db")

	run(t, "docker", "stop", container)
	if got := run(t, "docker", "inspect", "--format", "{{.State.ExitCode}} {{.Config.User}}", container); got != "0 65532:65532" {
		t.Errorf("exit status and user are %q, want 0 and 65532:65532", got)
	}
	log, err := exec.CommandContext(t.Context(), "docker", "logs", container).CombinedOutput()
	if err != nil || strings.Contains(string(log), "certificate authorit") || !strings.Contains(string(log), `"version":"v0.0.0-test"`) {
		t.Errorf("the log must have the version and no warning about certificate authorities (%v):\n%s", err, log)
	}
}
