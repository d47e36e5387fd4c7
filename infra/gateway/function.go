package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os/exec"
	"sync"
	"time"
)

// Reasons why an invocation ended without a result.
var (
	ErrTimedOut = errors.New("the invocation timed out")
	ErrExited   = errors.New("the function's process exited")
)

// Config is the configuration of a function.
type Config struct {
	// Name is the name of the function's directory, Bootstrap the path of the built program.
	Name, Bootstrap string
	// Settings are the environment variables that the template sets.
	Settings map[string]string
	// Timeout limits an invocation, and also the start of a process.
	Timeout time.Duration
	// Concurrency is the maximum number of processes. Each runs one invocation at a time.
	Concurrency int
	// Output receives what the processes print. Nil discards it.
	Output io.Writer
}

// Function runs invocations in processes of a bootstrap. As in Lambda, a process that exited or timed out is replaced.
type Function struct {
	Config
	slots chan struct{} // one per running invocation

	mu      sync.Mutex
	idle    []*process
	running map[*process]bool
}

// NewFunction returns a Function. Its first process starts with its first invocation.
func NewFunction(config Config) *Function {
	return &Function{Config: config, slots: make(chan struct{}, config.Concurrency), running: make(map[*process]bool)}
}

// Invoke runs the function once: in an idle process, in a new one, or when one becomes idle.
func (f *Function) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p := f.takeIdle()
	if p == nil {
		var err error
		if p, err = f.start(); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	f.running[p] = true
	f.mu.Unlock()
	// A client that disconnects does not end the invocation.
	out, err := p.invoke(context.WithoutCancel(ctx), payload, f.Timeout)
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.running, p)
	f.idle = append(f.idle, p)
	return out, err
}

// Kill kills the processes that run an invocation now, as a crash would, and returns their number. Invoke returns [ErrExited].
func (f *Function) Kill() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.running {
		_ = p.command.Process.Kill() // it may have exited
	}
	return len(f.running)
}

// takeIdle returns a process that waits for work, or nil.
func (f *Function) takeIdle() *process {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.idle) > 0 {
		p := f.idle[len(f.idle)-1]
		f.idle = f.idle[:len(f.idle)-1]
		if p.exited.Err() == nil {
			return p
		}
		p.stop()
	}
	return nil
}

// Stop waits for running invocations and stops all processes.
func (f *Function) Stop() {
	for range f.Concurrency {
		f.slots <- struct{}{}
	}
	for p := f.takeIdle(); p != nil; p = f.takeIdle() {
		p.stop()
	}
	for range f.Concurrency {
		<-f.slots
	}
}

// process is one execution environment.
type process struct {
	api     *RuntimeAPI
	command *exec.Cmd
	exited  context.Context // canceled when the process has exited
}

// start starts a process and waits until it asks for its first invocation.
func (f *Function) start() (*process, error) {
	api, err := NewRuntimeAPI(f.Name)
	if err != nil {
		return nil, err
	}
	exited, exit := context.WithCancel(context.Background())
	p := &process{api: api, command: exec.Command(f.Bootstrap), exited: exited}
	p.command.Env = Environment(f.Name, api.Addr(), f.Settings)
	p.command.Stdout, p.command.Stderr = f.Output, f.Output
	if err := p.command.Start(); err != nil {
		exit()
		_ = api.Close()
		return nil, fmt.Errorf("starting %s: %w", f.Name, err)
	}
	go func() {
		_ = p.command.Wait()
		exit()
	}()
	select {
	case <-api.Ready():
		return p, nil
	case <-exited.Done():
		err = ErrExited
	case <-time.After(f.Timeout):
		err = ErrTimedOut
	}
	p.stop()
	return nil, fmt.Errorf("starting %s: %w", f.Name, err)
}

// invoke runs one invocation. If it times out, the process is stopped.
func (p *process) invoke(ctx context.Context, payload []byte, timeout time.Duration) ([]byte, error) {
	ctx, stopTimer := context.WithTimeoutCause(ctx, timeout, ErrTimedOut)
	defer stopTimer()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stopWatching := context.AfterFunc(p.exited, func() { cancel(ErrExited) })
	defer stopWatching()
	out, err := p.api.Invoke(ctx, payload)
	if ctx.Err() != nil {
		p.stop()
		return nil, context.Cause(ctx)
	}
	return out, err
}

// stop kills the process, as Lambda does, and waits until it has exited.
func (p *process) stop() {
	_ = p.command.Process.Kill()
	<-p.exited.Done()
	_ = p.api.Close()
}

// Environment returns the environment of a function's process: the variables that Lambda sets, overridden by the
// function's settings, and nothing of this process's own environment. The credentials are dummies.
func Environment(function, runtimeAPI string, settings map[string]string) []string {
	variables := map[string]string{
		"AWS_LAMBDA_RUNTIME_API":          runtimeAPI,
		"AWS_LAMBDA_FUNCTION_NAME":        function,
		"AWS_LAMBDA_FUNCTION_VERSION":     "$LATEST",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_FORMAT":           "JSON",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/" + function,
		"AWS_LAMBDA_LOG_STREAM_NAME":      "2026/01/02/[$LATEST]00000000000000000000000000000000",
		"AWS_REGION":                      region,
		"AWS_DEFAULT_REGION":              region,
		"AWS_ACCESS_KEY_ID":               "ASIADUMMY",
		"AWS_SECRET_ACCESS_KEY":           "dummy",
		"AWS_SESSION_TOKEN":               "dummy",
		"LAMBDA_TASK_ROOT":                "/var/task",
		"LAMBDA_RUNTIME_DIR":              "/var/runtime",
		"_HANDLER":                        "bootstrap",
		"LANG":                            "en_US.UTF-8",
		"TZ":                              ":UTC",
		"PATH":                            "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
	}
	maps.Copy(variables, settings)
	environment := make([]string, 0, len(variables))
	for name, value := range variables {
		environment = append(environment, name+"="+value)
	}
	return environment
}
