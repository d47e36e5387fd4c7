package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/mattn/go-isatty"

	"webhooks/shared/api"
)

// console is a command's environment, apart from its flags and the store.
type console struct {
	out io.Writer // results, for people and scripts
	err io.Writer // notes, for people
	now func() time.Time
	// random is the source of keys and IDs.
	random io.Reader
	log    *slog.Logger
}

// stdio is the path that stands for stdin or stdout.
const stdio = "-"

// timestamp returns the current time as stores keep it: UTC, in milliseconds.
func (c *console) timestamp() time.Time { return c.now().UTC().Truncate(time.Millisecond) }

// newLogger returns a logger for a format: "json", "text", or "auto", which is text if out is a
// terminal and JSON otherwise. Lines that belong to a request include its ID.
func newLogger(out io.Writer, format string) *slog.Logger {
	if format == "text" || format == "auto" && isTerminal(out) {
		return slog.New(api.NewLogHandler(slog.NewTextHandler(out, nil)))
	}
	return slog.New(api.NewLogHandler(slog.NewJSONHandler(out, nil)))
}

// isTerminal reports whether out is a terminal, rather than a file, a pipe or a device like /dev/null.
func isTerminal(out io.Writer) bool {
	file, ok := out.(*os.File)
	return ok && isatty.IsTerminal(file.Fd())
}

// withSignals returns a context that SIGINT and SIGTERM cancel. A second signal stops the process: that works by the time at which the
// context ends, unlike with [signal.NotifyContext].
func withSignals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		select {
		case <-signals:
		case <-ctx.Done():
		}
		signal.Stop(signals)
		cancel()
	}()
	return ctx, cancel
}

// untilSignal runs a function that has to clean up when a signal interrupts it.
func untilSignal(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, restore := withSignals(ctx)
	defer restore()
	err := do(ctx)
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted by a signal before it was done: run it again")
	}
	return err
}

// await makes a call that may block until ctx is done. The call then continues in the background.
func await[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := call()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

// ioCall is a Read or Write method.
type ioCall func(p []byte) (int, error)

// Read makes the call.
func (call ioCall) Read(p []byte) (int, error) { return call(p) }

// Write makes the call.
func (call ioCall) Write(p []byte) (int, error) { return call(p) }

// interruptible returns a Read or Write method that returns an error when ctx is done, even while the
// call blocks, as it does on a pipe or a terminal.
func interruptible(ctx context.Context, call ioCall) ioCall {
	return func(p []byte) (int, error) {
		if ctx.Err() != nil {
			return 0, ctx.Err()
		}
		return await(ctx, func() (int, error) { return call(p) })
	}
}
