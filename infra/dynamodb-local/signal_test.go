package dynamodblocal_test

import (
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// silentJava is a stand-in that never answers; it ends by itself after a minute.
const silentJava = `#!/bin/sh
if [ "$1" = -version ]; then echo 'openjdk version "21" 2025-01-01' >&2; exit; fi
echo Started ServerConnector
for i in $(seq 600); do sleep 0.1; done
`

// A signal that comes while the script waits for an answer of what it has started ends both, with the
// signal's exit code.
func TestSignalWhileItStarts(t *testing.T) {
	tests := []struct {
		name     string
		signal   syscall.Signal
		wantCode int
	}{
		{"SIGHUP", syscall.SIGHUP, 129},
		{"SIGINT", syscall.SIGINT, 130},
		{"SIGTERM", syscall.SIGTERM, 143},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// A signal that is ignored here would be in the script, too; one that is caught is not.
			caught := make(chan os.Signal, 1)
			signal.Notify(caught, tt.signal)
			defer signal.Stop(caught)
			path := pathOf(t, map[string]string{"java": silentJava})
			s := newScript(t, "PATH="+path+":"+os.Getenv("PATH"), "JAVA_HOME=")
			pretendInstalled(t, s)
			listener, port := listen(t)
			// Whatever runs yet has the other end of it.
			alive, inherited, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer alive.Close()

			cmd := s.command("start", "--port", port)
			var output strings.Builder
			cmd.Stdout, cmd.Stderr = &output, &output
			cmd.ExtraFiles = make([]*os.File, 3) // 3 to 5, of which the script uses the first itself
			cmd.ExtraFiles[2] = inherited
			err = cmd.Start()
			inherited.Close()
			if err != nil {
				t.Fatal(err)
			}
			connection, err := listener.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := connection.Read(make([]byte, 1)); err != nil { // its question: from now on it waits
				t.Fatal(err)
			}
			if err := cmd.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			connection.Close() // bash heeds the signal when that wait is over
			err = cmd.Wait()
			if _, exited := errors.AsType[*exec.ExitError](err); !exited || cmd.ProcessState.ExitCode() != tt.wantCode {
				t.Errorf("it ended with %v, want exit code %d; it said %q", err, tt.wantCode, output.String())
			}
			if left := s.leftovers(); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			if err := alive.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := alive.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
				t.Errorf("after its end something of it runs on: %v", err)
			}
		})
	}
}

// pretendInstalled makes the script believe that it need not fetch anything.
func pretendInstalled(t *testing.T, s *script) {
	t.Helper()
	folder := filepath.Join(s.home(), jarFolder)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "DynamoDBLocal.jar"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

// listen has a port of its own that does not answer.
func listen(t *testing.T) (listener net.Listener, port string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	_, port, err = net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return listener, port
}
