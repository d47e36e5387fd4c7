package lambdahost

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-lambda-go/lambda"

	"webhooks/shared/api"
)

// ScheduleFunction is what a Lambda function does at the times of a schedule.
type ScheduleFunction struct {
	// Handle does it before ctx ends.
	Handle func(ctx context.Context) error
	// Metrics are printed after every call; nil if there are none.
	Metrics *Metrics
}

// WireSchedule builds a ScheduleFunction, like [WireQueue].
type WireSchedule func(getenv func(string) string, log *slog.Logger) (ScheduleFunction, error)

// RunSchedule runs a function that a schedule invokes, and does not return. If wire fails, the function logs why and returns an error
// for every invocation.
func RunSchedule(wire WireSchedule) {
	lambda.Start(newStarter().startSchedule(context.Background(), wire))
}

func (s starter) startSchedule(ctx context.Context, wire WireSchedule) *scheduleHost {
	f, err := wired(func() (ScheduleFunction, error) { return wire(s.getenv, s.log) })
	if err != nil {
		s.log.ErrorContext(ctx, "the function is misconfigured and does nothing", "cause", err.Error())
		return &scheduleHost{broken: err}
	}
	return &scheduleHost{ScheduleFunction: f, starter: s}
}

// scheduleHost handles events of EventBridge Scheduler.
type scheduleHost struct {
	ScheduleFunction
	starter
	broken error // why there is no function; nil if there is one
}

// Invoke calls Handle, whatever the event. An error counts as an error of the Lambda function.
func (h *scheduleHost) Invoke(ctx context.Context, _ []byte) ([]byte, error) {
	if h.broken != nil {
		return nil, fmt.Errorf("the function is misconfigured: %w", h.broken)
	}
	ctx, cancel := invocation(ctx)
	defer cancel()
	defer h.Metrics.print(h.out, h.now)
	if err := h.handle(ctx); err != nil {
		h.log.ErrorContext(ctx, "invocation failed", "cause", api.Cause(err))
		return nil, err
	}
	return []byte("{}"), nil
}

// handle calls Handle and turns a panic into an error.
func (h *scheduleHost) handle(ctx context.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			logPanic(ctx, h.log, p)
			err = errors.New("panic")
		}
	}()
	return h.Handle(ctx)
}
