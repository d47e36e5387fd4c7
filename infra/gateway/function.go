package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// What ends an invocation without a result.
var (
	// ErrTimedOut is for one that took longer than the function's timeout.
	ErrTimedOut = errors.New("the invocation timed out")
	// ErrExited is for one whose process ended.
	ErrExited = errors.New("the function's process ended")
)

// Config says what a function runs with.
type Config struct {
	// Name is that of the function's folder, Bootstrap the path of the built program.
	Name, Bootstrap string
	// Settings are the environment variables that the template would give it.
	Settings map[string]string
	// Timeout is the longest that an invocation may take, and also the start of a process.
	Timeout time.Duration
	// Concurrency is how many processes there are at most; each takes one invocation at a time.
	Concurrency int
	// Output gets what the processes print. Nil throws it away.
	Output io.Writer
}

// Function runs invocations in processes of a bootstrap. A process that has ended, or was ended
// because its invocation timed out, is replaced by a new one, as in Lambda.
type Function struct {
	Config
	idle   chan *process // started and without work
	places chan struct{} // for processes that are not started
}

// NewFunction makes a Function. Its first process starts with its first invocation.
func NewFunction(config Config) *Function {
	f := &Function{
		Config: config,
		idle:   make(chan *process, config.Concurrency),
		places: make(chan struct{}, config.Concurrency),
	}
	for range config.Concurrency {
		f.places <- struct{}{}
	}
	return f
}

// Invoke runs the function once, in a process that is idle, or else in a new one, or else when one
// becomes idle.
func (f *Function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	p, err := f.take(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { f.put(p) }()
	if p == nil || p.hasEnded() {
		p.stop()
		if p, err = f.start(); err != nil {
			return nil, err
		}
	}
	// A client that goes away ends nothing: Lambda runs to the end what it has begun.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.Timeout)
	defer cancel()
	return p.invoke(ctx, payload)
}

// take gives a process, or nil for the right to start one.
func (f *Function) take(ctx context.Context) (*process, error) {
	select {
	case p := <-f.idle:
		return p, nil
	default:
	}
	select {
	case p := <-f.idle:
		return p, nil
	case <-f.places:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *Function) put(p *process) {
	if p == nil {
		f.places <- struct{}{}
		return
	}
	f.idle <- p
}

// Stop ends all processes, after the invocations that are running.
func (f *Function) Stop() {
	for range f.Concurrency {
		p, _ := f.take(context.Background())
		p.stop()
	}
	for range f.Concurrency {
		f.put(nil)
	}
}

// process is one execution environment.
type process struct {
	api     *RuntimeAPI
	command *exec.Cmd
	ended   chan struct{}
}

// start starts a process and waits until it asks for its first invocation.
func (f *Function) start() (*process, error) {
	api, err := NewRuntimeAPI(f.Name)
	if err != nil {
		return nil, err
	}
	p := &process{api: api, ended: make(chan struct{})}
	p.command = exec.Command(f.Bootstrap)
	p.command.Env = Environment(f.Name, api.Addr(), f.Settings)
	p.command.Stdout, p.command.Stderr = f.Output, f.Output
	if err := p.command.Start(); err != nil {
		_ = api.Close()
		return nil, fmt.Errorf("starting %s: %w", f.Name, err)
	}
	go func() {
		_ = p.command.Wait()
		close(p.ended)
	}()
	select {
	case <-api.Ready():
		return p, nil
	case <-p.ended:
		err = ErrExited
	case <-time.After(f.Timeout):
		err = ErrTimedOut
	}
	p.stop()
	return nil, fmt.Errorf("starting %s: %w", f.Name, err)
}

func (p *process) invoke(ctx context.Context, payload []byte) ([]byte, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watching := make(chan struct{})
	defer close(watching)
	go func() {
		select {
		case <-p.ended:
			cancel(ErrExited)
		case <-watching:
		}
	}()
	out, err := p.api.Invoke(ctx, payload)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		p.stop()
		return nil, ErrTimedOut
	case errors.Is(err, context.Canceled):
		return nil, context.Cause(ctx)
	}
	return out, err
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

// stop kills the process, as Lambda does, and waits for its end. A nil process has ended.
func (p *process) stop() {
	if p == nil {
		return
	}
	_ = p.command.Process.Kill()
	<-p.ended
	_ = p.api.Close()
}
