package webhook

import "time"

// The circuit: when a lane is failing, and how it is probed.
const (
	// FailuresToOpen is how many attempts in a row must fail, over at least FailingSpan, before a lane is failing.
	FailuresToOpen = 5
	FailingSpan    = 30 * time.Second
)

// ReasonGone is why a webhook was disabled: its receiver responded with 410 or asked for it.
const ReasonGone = "gone"

// Lane is what deliveries change about a webhook. A store applies each [LaneOp] to the lane as it is stored, not to one that
// was read before, because attempts of one webhook run at the same time.
type Lane struct {
	// Failures is the number of failed attempts since the last success, FirstFailure when the first of them ended.
	Failures     int
	FirstFailure time.Time
	// FailingSince is zero unless the lane is failing. Then one attempt is made at a time, the next one at ProbeAt.
	// Probes is how many of them have failed.
	FailingSince, ProbeAt time.Time
	Probes                int
	// PausedUntil is the time until which the receiver asked for a pause.
	PausedUntil time.Time
	// DisabledReason is empty if the webhook is enabled.
	DisabledReason string
	// HeldBefore is when the webhook was last enabled again: unfinished deliveries of events accepted earlier are held.
	HeldBefore time.Time
	// SlowUntil is until when the lane counts as slow, see [SlowAttempt]. It is zero in stores that have no [QueueStore].
	SlowUntil time.Time
}

// LaneOp is a change of a lane.
type LaneOp int

// All changes of a lane.
const (
	LaneUnchanged   LaneOp = iota
	LaneSucceeded          // an attempt succeeded although the lane had failures
	LaneFailed             // an attempt failed that was not a probe, perhaps of a lane that is failing by now
	LaneProbeFailed        // a probe of a failing lane failed
	LaneDisabled           // the receiver does not want any more events
)

// IsFailing reports whether the circuit is open.
func (l Lane) IsFailing() bool { return !l.FailingSince.IsZero() }

// IsSlow reports whether attempts may keep others waiting: the lane was slow lately, or its last attempt failed.
func (l Lane) IsSlow(now time.Time) bool { return l.Failures > 0 || l.SlowUntil.After(now) }

// IsHealthy reports whether a success would not change the lane.
func (l Lane) IsHealthy() bool { return l.Failures == 0 && !l.IsFailing() }

// Holds reports whether unfinished deliveries of an event that was accepted at a time are held.
func (l Lane) Holds(acceptedAt time.Time) bool {
	return l.DisabledReason != "" || acceptedAt.Before(l.HeldBefore)
}

// OpensAt returns the time from which on the lane allows an attempt, or the zero time if it always does: the end of a pause, or
// the time of the next probe.
func (l Lane) OpensAt() time.Time {
	if l.IsFailing() && l.ProbeAt.After(l.PausedUntil) {
		return l.ProbeAt
	}
	return l.PausedUntil
}

// Apply returns the lane after a change at a time. If an attempt failed, pausedUntil is the time until which the receiver asked
// for a pause, or zero.
func (l Lane) Apply(op LaneOp, at, pausedUntil time.Time) Lane {
	switch op {
	case LaneSucceeded:
		return Lane{PausedUntil: l.PausedUntil, DisabledReason: l.DisabledReason, HeldBefore: l.HeldBefore, SlowUntil: l.SlowUntil}
	case LaneFailed, LaneProbeFailed:
		l = l.failed(at, op == LaneProbeFailed)
		if pausedUntil.After(l.PausedUntil) {
			l.PausedUntil = pausedUntil
		}
	case LaneDisabled:
		l.DisabledReason = ReasonGone
	}
	return l
}

func (l Lane) failed(at time.Time, probe bool) Lane {
	if l.Failures == 0 {
		l.FirstFailure = at
	}
	l.Failures++
	switch {
	case l.IsFailing() && probe:
		l.Probes++
		l.ProbeAt = at.Add(probeDelay(l.Probes))
	case !l.IsFailing() && l.Failures >= FailuresToOpen && at.Sub(l.FirstFailure) >= FailingSpan:
		l.FailingSince = l.FirstFailure
		l.ProbeAt = at.Add(probeDelay(0))
	}
	return l
}

// probeDelay returns how long to wait for the next probe after a number of failed ones.
func probeDelay(failed int) time.Duration {
	delays := [...]time.Duration{30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}
	return delays[min(failed, len(delays)-1)]
}
