package main

import (
	"context"
	"errors"
	"os/signal"
	"syscall"
)

// untilSignal does what must clean up behind it when a signal ends it.
func untilSignal(ctx context.Context, do func(ctx context.Context) error) error {
	ctx, restore := signal.NotifyContext(ctx, syscall.SIGINT, syscall.SIGTERM)
	defer restore()
	context.AfterFunc(ctx, restore) // so that a second signal ends the process
	err := do(ctx)
	if err != nil && ctx.Err() != nil {
		return errors.New("ended by a signal before it was done: run it again")
	}
	return err
}
