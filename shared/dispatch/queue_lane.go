package dispatch

import (
	"context"
	"time"

	"webhooks/shared/webhook"
)

const (
	// lookLimit is the minimum number of waiting deliveries that a look at a lane reads.
	lookLimit = 25
	// maxRelease is the maximum number of deliveries that are released from a lane at once.
	maxRelease = 256
	// releaseInterval is the time between releases: attempts of the ones before may already have failed.
	releaseInterval = time.Second
	// recheck is when a lane is looked at again after a probe has begun. By then the attempt has ended.
	recheck = time.Minute
	// releaseTime is when a lane is looked at again after a release. It is longer than a sweep looks ahead by as much time as the
	// message for the next release has to arrive: otherwise every sweep would begin to release the same deliveries again.
	releaseTime = SweepInterval + time.Minute
	// idleTime is how long a lane must look empty before it is forgotten. What was parked before is visible by then.
	idleTime = 2 * time.Minute
)

// laneMessage returns the message to look at the lane of a delivery.
func laneMessage(r webhook.Ref) webhook.Message {
	return webhook.Message{Kind: webhook.MessageLane, Ref: webhook.Ref{Company: r.Company, WebhookID: r.WebhookID}, Slow: true, Count: 1}
}

// lane looks at a lane for which deliveries wait. If the lane is failing, it makes the probe. If it is open, it releases some of the
// deliveries, first one, then two, four, and so on. Until nothing waits for it, the lane always waits for a time itself, so that it is
// looked at again after a crash.
func (c *Consumer) lane(ctx context.Context, m webhook.Message) error {
	l, err := c.Store.LookLane(ctx, m.Company, m.WebhookID, m.After, max(min(m.Count, maxRelease), lookLimit))
	if err != nil {
		return err
	}
	now := c.Now()
	opensAt := l.Lane.OpensAt()
	switch {
	case !l.Exists || l.Lane.DisabledReason != "":
		return c.move(ctx, l, webhook.LaneMove{})
	case opensAt.After(now):
		return c.move(ctx, l, webhook.LaneMove{At: opensAt})
	case m.After != "" && (len(l.Waiting) == 0 || l.Lane.IsFailing()): // the end, or the attempts have failed
		return c.move(ctx, l, webhook.LaneMove{At: now.Add(releaseTime)})
	case len(l.Waiting) == 0 && l.IdleUntil.IsZero():
		return c.move(ctx, l, webhook.LaneMove{At: now.Add(idleTime), Idle: true})
	case len(l.Waiting) == 0 && l.IdleUntil.After(now): // another message was handled since the last look
		return c.move(ctx, l, webhook.LaneMove{At: l.IdleUntil, Idle: true})
	case len(l.Waiting) == 0:
		return c.move(ctx, l, webhook.LaneMove{})
	case l.Lane.IsFailing():
		return c.probe(ctx, l)
	default:
		return c.release(ctx, m, l)
	}
}

// move changes when a lane is looked at again. If the lane has changed since, it is looked at when the change says, or when the claim
// of the sweep is lost.
func (c *Consumer) move(ctx context.Context, l webhook.LaneLook, m webhook.LaneMove) error {
	_, err := c.Store.MoveLane(ctx, l, m)
	return err
}

// probe attempts the oldest delivery that waits for a failing lane, unless another call already does. It looks at one at a time:
// usually that is enough, and their events can be large.
func (c *Consumer) probe(ctx context.Context, l webhook.LaneLook) error {
	if !c.hasTime(ctx, attemptTime) {
		return errNoTime
	}
	claimed, err := c.Store.MoveLane(ctx, l, webhook.LaneMove{At: c.Now().Add(recheck), Probe: true})
	for claimed && err == nil && len(l.Waiting) > 0 {
		for _, r := range l.Waiting {
			now := c.Now()
			looks, err := c.Store.Look(ctx, []webhook.Ref{r}, now)
			if err != nil {
				return err
			}
			switch w := looks[0].Work; {
			case looks[0].State == webhook.LookReady && w.Lane.PausedUntil.After(now):
				return nil
			case looks[0].State == webhook.LookReady:
				return c.attempt(ctx, w, true)
			case looks[0].State == webhook.LookExpired:
				if err := c.Store.Settle(ctx, w); err != nil {
					return err
				}
			}
		}
		last := l.Waiting[len(l.Waiting)-1]
		l, err = c.Store.LookLane(ctx, l.Company, l.WebhookID, last.DeliveryID(), lookLimit)
	}
	return err
}

// release sends the messages of some deliveries that wait for an open lane, and the message to release more of them.
func (c *Consumer) release(ctx context.Context, m webhook.Message, l webhook.LaneLook) error {
	if err := c.move(ctx, l, webhook.LaneMove{At: c.Now().Add(releaseTime)}); err != nil {
		return err
	}
	released := l.Waiting[:min(m.Count, len(l.Waiting))]
	messages := deliveryMessages(released)
	for i := range messages {
		messages[i].Slow = true
	}
	if len(released) == m.Count {
		next := laneMessage(m.Ref)
		next.Count, next.After, next.Delay = min(2*m.Count, maxRelease), released[m.Count-1].DeliveryID(), releaseInterval
		messages = append(messages, next)
	}
	return c.Queue.Send(ctx, messages...)
}
