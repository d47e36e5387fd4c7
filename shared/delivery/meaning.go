package delivery

import (
	"net/http"
	"strings"
	"time"

	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

// meaning is what a response says about the delivery and the webhook.
type meaning struct {
	delivered bool
	// final is whether a failed delivery is not attempted again.
	final bool
	// disable is whether the receiver does not want any more events.
	disable bool
	// pausedUntil is the time until which the receiver asks for a pause, or zero.
	pausedUntil time.Time
}

// meaningOf returns the meaning of a response. Only the status and two headers count: Retry-After with 429 and 503, and
// webhook-delivery, with which a receiver can decline a message or all further events (proposed for Standard Webhooks, PR 291).
func meaningOf(r endpoint.Response, now time.Time) meaning {
	request := strings.ToLower(strings.TrimSpace(r.Header.Get("Webhook-Delivery")))
	m := meaning{
		delivered: r.Status >= 200 && r.Status < 300,
		disable:   r.Status == http.StatusGone || request == "disable",
	}
	m.final = !m.delivered && (m.disable || request == "abort-message")
	if r.Status == http.StatusTooManyRequests || r.Status == http.StatusServiceUnavailable {
		if until, ok := retryAfter(r.Header, now); ok {
			m.pausedUntil = until
		}
	}
	return m
}

// laneOp returns the change of the lane.
func (m meaning) laneOp(w webhook.Work) webhook.LaneOp {
	switch {
	case m.disable:
		return webhook.LaneDisabled
	case m.delivered && w.Lane.IsHealthy():
		return webhook.LaneUnchanged
	case m.delivered:
		return webhook.LaneSucceeded
	case isProbe(w):
		return webhook.LaneProbeFailed
	default:
		return webhook.LaneFailed
	}
}

// isProbe reports whether an attempt is the one that a failing lane is allowed.
func isProbe(w webhook.Work) bool { return w.Lane.IsFailing() && !w.Granted }
