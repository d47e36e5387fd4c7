package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 35 * time.Second
)

// process is a running `webhookctl serve`.
type process struct {
	command *exec.Cmd
	url     string
	log     *logBuffer
	ended   chan struct{}
	err     error // of its end; read after ended is closed
}

// serve starts `webhookctl serve` on a free port of loopback. It is ended with the test.
func (o *ownTarget) serve(t *testing.T, flags ...string) *process {
	t.Helper()
	p := &process{log: newLogBuffer(), ended: make(chan struct{})}
	ctx, kill := context.WithCancel(context.WithoutCancel(t.Context()))
	args := append([]string{"serve", "--addr", "127.0.0.1:0", "--log-format", "json"}, flags...)
	p.command = exec.CommandContext(ctx, o.binary, args...)
	p.command.Env = o.environ()
	p.command.Stderr = p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.command.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		kill()
		<-p.ended
		if t.Failed() {
			t.Logf("the end of the log of webhookctl serve:\n%s", p.log.tail())
		}
	})
	select {
	case address := <-p.log.serving:
		p.url = "http://" + address
	case <-p.ended:
		t.Fatalf("webhookctl serve ended: %v\n%s", p.err, p.log)
	case <-time.After(startTimeout):
		t.Fatalf("webhookctl serve does not say that it serves\n%s", p.log)
	}
	return p
}

// stop ends the process as an operator does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	select {
	case <-p.ended:
		if p.err != nil {
			t.Errorf("webhookctl serve ended with %v", p.err)
		}
	case <-time.After(stopTimeout):
		t.Errorf("webhookctl serve did not end within %v of SIGTERM", stopTimeout)
	}
}

// logBuffer keeps a log and tells the address in its line "serving".
type logBuffer struct {
	serving chan string

	mu   sync.Mutex
	text bytes.Buffer
	read int // how much of text was searched for the line
}

func newLogBuffer() *logBuffer { return &logBuffer{serving: make(chan string, 1)} }

// Write adds to the log.
func (b *logBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Write(data)
	for {
		line, _, found := bytes.Cut(b.text.Bytes()[b.read:], []byte("\n"))
		if !found {
			return len(data), nil
		}
		b.read += len(line) + 1
		var entry struct{ Msg, Addr string }
		if json.Unmarshal(line, &entry) == nil && entry.Msg == "serving" {
			select {
			case b.serving <- entry.Addr:
			default: // nobody waits for a second one
			}
		}
	}
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// tail gives the last lines.
func (b *logBuffer) tail() string {
	const most = 4000
	text := b.String()
	return text[max(0, len(text)-most):]
}
