// Package container_test builds the image and runs it.
package container_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// needDocker skips where no Docker answers; in CI one must.
func needDocker(t *testing.T) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "docker", "version", "--format", "{{.Server.Version}}").CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatalf("Docker does not answer (%v): in CI this test must run\n%s", err, out)
	default:
		t.Skipf("Docker does not answer on this machine (%v)", err)
	}
}

// docker runs a command of Docker and gives its stdout.
func docker(t *testing.T, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command("docker", args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("docker %s: %v\n%s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(stdout.String())
}

// newImage builds an image that goes with the test.
func newImage(t *testing.T) (image string) {
	t.Helper()
	needDocker(t)
	image = fmt.Sprintf("webhooks:test-%d-%d", os.Getpid(), time.Now().UnixNano())
	build := exec.CommandContext(t.Context(), "./image", image)
	build.Env = append(os.Environ(), "VERSION=v0.0.0-test")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the image: %v\n%s", err, out)
	}
	t.Cleanup(func() { docker(t, "rmi", "--force", image) })
	return image
}

func TestImage(t *testing.T) {
	image := newImage(t)
	t.Run("files", func(t *testing.T) { checkFiles(t, image) })
	t.Run("service", func(t *testing.T) { checkService(t, image) })
}

// checkFiles looks at all that is in the image but what Docker puts into every container.
func checkFiles(t *testing.T, image string) {
	container := docker(t, "create", image)
	defer docker(t, "rm", "--volumes", container)
	export, err := exec.CommandContext(t.Context(), "docker", "export", container).Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for files := tar.NewReader(bytes.NewReader(export)); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch h.Name {
		case ".dockerenv", "dev/", "dev/console", "dev/pts/", "dev/shm/", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc/", "sys/":
		default:
			got = append(got, fmt.Sprintf("%v %d %s", h.FileInfo().Mode(), h.Uid, h.Name))
		}
	}
	slices.SortFunc(got, func(a, b string) int {
		return strings.Compare(a[strings.LastIndex(a, " "):], b[strings.LastIndex(b, " "):])
	})
	want := []string{
		"drwx------ 65532 data/",
		"drwxr-xr-x 0 etc/",
		"drwxr-xr-x 0 etc/ssl/",
		"drwxr-xr-x 0 etc/ssl/certs/",
		"-rw-r--r-- 0 etc/ssl/certs/ca-certificates.crt",
		"dtrwxrwxrwx 0 tmp/",
		"-rwxr-xr-x 0 webhookctl",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// checkService runs the image as docs/server.md does, on a port that is free.
func checkService(t *testing.T, image string) {
	container := docker(t, "run", "--detach", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL",
		"--security-opt", "no-new-privileges", "--publish", "127.0.0.1::3000", image)
	defer docker(t, "rm", "--force", "--volumes", container)
	waitHealthy(t, container)
	docker(t, "exec", container, "/webhookctl", "types", "add", "a.b")
	key := docker(t, "exec", container, "/webhookctl", "keys", "create", "--company", "acme", "--permissions", "webhooks:read")

	address := docker(t, "port", container, "3000/tcp")
	for _, tt := range []struct{ path, want string }{
		{"/healthz", `{"status":"ok","store":"ok"}`},
		{"/webhooks/types", `["a.b"]`},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Authorization", "Bearer "+key)
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || string(body) != tt.want {
			t.Errorf("%s: got %d %s, %v, want 200 %s", tt.path, answer.StatusCode, body, err, tt.want)
		}
	}
	for _, command := range []string{"backup /data/backup.db", "export --company acme --output /data/acme.jsonl", "import /data/acme.jsonl"} {
		docker(t, append([]string{"exec", container, "/webhookctl"}, strings.Fields(command)...)...)
	}

	docker(t, "stop", container)
	if got := docker(t, "inspect", "--format", "{{.State.ExitCode}} {{.Config.User}}", container); got != "0 65532:65532" {
		t.Errorf("exit code and user are %q, want 0 and 65532:65532", got)
	}
	log, err := exec.CommandContext(t.Context(), "docker", "logs", container).CombinedOutput()
	if err != nil || strings.Contains(string(log), "certificate authority") || !strings.Contains(string(log), `"version":"v0.0.0-test"`) {
		t.Errorf("the log, %v, should have the version and no word of certificate authorities:\n%s", err, log)
	}
}

func waitHealthy(t *testing.T, container string) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		health := docker(t, "inspect", "--format", "{{.State.Health.Status}}", container)
		switch {
		case health == "healthy":
			return
		case time.Now().After(deadline):
			t.Fatalf("the container is %s\n%s", health, docker(t, "logs", container))
		}
	}
}
