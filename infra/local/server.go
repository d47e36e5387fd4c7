package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running service, or a directory with programs.
type server struct {
	name, address string
	log           *os.File  // what it prints; deleted while open
	stdin         io.Closer // the server stops when this is closed
	done          chan struct{}
}

// watched runs its arguments until standard input ends, as it does when the process at its other end dies. Then it ends its own
// process group.
const watched = `exec 3<&0
"$@" </dev/null & server=$!
(read -r _ <&3; kill "$server"; sleep 20; kill -KILL "$server") &
wait "$server"
kill 0`

// startServer runs the command for a free port and returns when it responds to HTTP requests. The port is appended to address.
func startServer(ctx context.Context, name, address string, command func(port string) []string) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s := &server{name: name, address: address + port, done: make(chan struct{})}
	if s.log, err = os.CreateTemp("", "local-*.log"); err != nil {
		return nil, err
	}
	_ = os.Remove(s.log.Name())
	cmd := exec.Command("sh", append([]string{"-c", watched, "sh"}, command(port)...)...)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C in the terminal must not reach it
	if s.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
		close(s.done)
	}()
	if err := s.waitUntilReady(ctx, port); err != nil {
		defer s.stop()
		return nil, fmt.Errorf("%w: %s", err, s.output())
	}
	return s, nil
}

// freePort returns a port below those that Linux and macOS choose for outgoing connections.
func freePort() (string, error) {
	for range 100 {
		port := strconv.Itoa(20000 + rand.IntN(10000))
		if listener, err := net.Listen("tcp", ":"+port); err == nil {
			return port, listener.Close()
		}
	}
	return "", errors.New("no free port between 20000 and 29999")
}

func (s *server) waitUntilReady(ctx context.Context, port string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("did not start within 2 minutes"))
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1:"+port, nil)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 5 * time.Second}
	for ctx.Err() == nil && !s.exited() {
		if response, err := client.Do(request); err == nil {
			return response.Body.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return cmp.Or(context.Cause(ctx), errors.New("exited while starting"))
}

func (s *server) exited() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

func (s *server) stop() {
	if s.stdin != nil {
		_ = s.stdin.Close()
		<-s.done
	}
}

// output returns the last lines that the server printed.
func (s *server) output() string {
	text, _ := io.ReadAll(io.NewSectionReader(s.log, 0, 1<<20))
	return lastLines(text, 5)
}

func lastLines(text []byte, n int) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
