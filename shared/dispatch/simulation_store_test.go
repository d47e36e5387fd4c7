package dispatch_test

import (
	"context"
	"errors"
	"time"

	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/webhook"
)

// gatedStore is what the engine of a process has as a store: each call is a step and may fail.
type gatedStore struct{ *process }

// call is a step that calls the store, unless it fails before. It may also fail after that.
func call[T any](s *process, name string, effect func() (T, error)) (result T, err error) {
	name = s.label + name
	if !s.step(s, "%s", name) {
		return result, errCrashed
	}
	fault := noFault
	if !s.calm && s.chance(s.storeFaults) {
		fault = s.storeFaultKinds[s.random.IntN(len(s.storeFaultKinds))]
	}
	if fault != noFault {
		s.note("  fails: %s", fault)
	}
	unavailable := webhook.Unavailable(errors.New(string(fault)))
	if fault == failsBefore {
		return result, unavailable
	}
	if fault == slow {
		time.Sleep(s.between(time.Millisecond, 5*time.Second))
		if !s.step(s, "%s at last", name) {
			return result, errCrashed
		}
	}
	s.alone(func() { result, err = effect() })
	// What is on a disk has its own timers, so the engine's may run at the same time.
	if s.onDisk && !s.step(s, "%s has ended", name) {
		return *new(T), errCrashed
	}
	if fault == failsAfter {
		return *new(T), unavailable
	}
	return result, err
}

// storeFault is how a call of the store fails.
type storeFault string

const (
	noFault     storeFault = ""
	failsBefore storeFault = "before it had an effect"
	failsAfter  storeFault = "after it had an effect"
	slow        storeFault = "slow"
)

// Arrived implements [webhook.Backlog].
func (s *gatedStore) Arrived(ctx context.Context, after int64, limit int) ([]webhook.Pending, error) {
	return call(s.process, "read arrivals", func() ([]webhook.Pending, error) { return s.backlog.Arrived(ctx, after, limit) })
}

// LastNumber implements [webhook.Backlog].
func (s *gatedStore) LastNumber(ctx context.Context) (int64, error) {
	return call(s.process, "read the last number", func() (int64, error) { return s.backlog.LastNumber(ctx) })
}

// Lanes implements [webhook.Backlog].
func (s *gatedStore) Lanes(ctx context.Context, after int64, limit int) ([]webhook.Pending, error) {
	return call(s.process, "read lanes", func() ([]webhook.Pending, error) { return s.backlog.Lanes(ctx, after, limit) })
}

// Due implements [webhook.Backlog].
func (s *gatedStore) Due(ctx context.Context, lane int64, limit int, now time.Time) ([]webhook.Pending, error) {
	return call(s.process, "read what is due", func() ([]webhook.Pending, error) { return s.backlog.Due(ctx, lane, limit, now) })
}

// Granted implements [webhook.Backlog].
func (s *gatedStore) Granted(ctx context.Context, after int64, limit int) ([]webhook.Pending, error) {
	return call(s.process, "read grants", func() ([]webhook.Pending, error) { return s.backlog.Granted(ctx, after, limit) })
}

// FanOut implements [webhook.Backlog].
func (s *gatedStore) FanOut(ctx context.Context) (bool, error) {
	return call(s.process, "fan out", func() (bool, error) { return s.backlog.FanOut(ctx) })
}

// Upkeep implements [webhook.Backlog].
func (s *gatedStore) Upkeep(ctx context.Context, now, keepFrom time.Time) (bool, error) {
	return call(s.process, "upkeep", func() (bool, error) { return s.backlog.Upkeep(ctx, now, keepFrom) })
}

// Work implements the engine's interface, and records what was read.
func (s *gatedStore) Work(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Work, error) {
	return call(s.process, "read work", func() ([]webhook.Work, error) {
		works, err := s.backlog.Work(ctx, refs, now)
		for _, w := range works {
			s.recorder.Add(deliverytest.Read{Webhook: w.WebhookID, Event: w.EventID, Number: w.Made + 1})
		}
		return works, err
	})
}

// Record implements the engine's interface, and records the outcome.
func (s *gatedStore) Record(ctx context.Context, o webhook.Outcome) (bool, error) {
	return call(s.process, "record "+name(o.Ref), func() (bool, error) {
		applied, err := s.backlog.Record(ctx, o)
		switch {
		case applied:
			s.note("  %s %d %s", o.Status, o.Attempt.StatusCode, o.Attempt.Error)
			s.recorder.Add(deliverytest.Recorded{Outcome: o})
		case err == nil:
			s.recorder.Add(deliverytest.Dropped{Webhook: o.WebhookID, Event: o.EventID})
		}
		return applied, err
	})
}
