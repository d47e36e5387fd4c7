package dispatch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

const (
	// attemptTime is how long an attempt can take, with what comes before and after it.
	attemptTime = 20 * time.Second
	// maxAhead is how often a message that is ahead of the store is sent again, and aheadDelay is its delay.
	maxAhead   = 3
	aheadDelay = time.Minute
)

// errNoTime is why messages return to their queue although nothing has failed.
var errNoTime = errors.New("there is not enough time left for an attempt")

// Consumer delivers on a host with queues: it handles their messages. What has to happen is in the store, so any number of processes
// can handle messages, and each message any number of times. A message is finished when what it asked for is done, or when the store
// or another message stands for it. All fields but Attempted are required. It is safe for concurrent use by multiple goroutines.
type Consumer struct {
	Store webhook.QueueStore
	Queue webhook.Queue
	// Attempter makes the attempts: a *delivery.Attempter. It is not needed to handle fan-out messages and to sweep.
	Attempter attempter
	// Now is the clock.
	Now func() time.Time
	// Log receives the failures of the store, of the queues, and of this service. No line contains anything that a customer or
	// receiver sent.
	Log *slog.Logger
	// Attempted, if it is not nil, is called after the outcome of an attempt has been stored, by multiple goroutines.
	Attempted func(w webhook.Work, o webhook.Outcome)
}

// Handle handles messages of one queue at the same time, usually up to ten, and returns the indexes of those that are not finished and
// must return to the queue. It begins no attempt that might not end before ctx's deadline. Messages for the same attempt are handled as
// one: copies of a message have the same ID, so if one of them returned to its queue, the others would, too, again and again.
func (c *Consumer) Handle(ctx context.Context, texts []string) (returned []int) {
	messages, errs := make([]webhook.Message, len(texts)), make([]error, len(texts))
	first := make([]int, len(texts)) // the message that stands for each of them
	var tasks sync.WaitGroup
	do := func(i int, task func() error) { tasks.Go(func() { errs[i] = guarded(task) }) }
	var deliveries []int
	for i, text := range texts {
		m, err := webhook.ParseMessage(text)
		messages[i], first[i] = m, i
		switch {
		case err != nil:
			do(i, func() error { return c.reject(ctx, text, err) })
		case m.Kind == webhook.MessageLane:
			do(i, func() error { return c.lane(ctx, m) })
		case m.Kind == webhook.MessageFanOut:
			do(i, func() error { return c.fanOut(ctx, m) })
		default:
			isSame := func(earlier int) bool { return messages[earlier].Ref == m.Ref }
			if n := slices.IndexFunc(deliveries, isSame); n >= 0 {
				first[i] = deliveries[n]
				continue
			}
			deliveries = append(deliveries, i)
		}
	}
	c.handleDeliveries(ctx, messages, deliveries, do)
	tasks.Wait()
	for i, task := range first {
		err := errs[task]
		if err == nil {
			continue
		}
		returned = append(returned, i)
		if task == i && !errors.Is(err, errNoTime) {
			c.Log.ErrorContext(ctx, "a message could not be handled, so it returns to its queue",
				"kind", string(messages[i].Kind), "webhook_id", messages[i].WebhookID, "event_id", messages[i].EventID, "cause", causeOf(err))
		}
	}
	return returned
}

// handleDeliveries reads what messages for different attempts need with one call, and starts a task for each. If what one of them
// needs cannot be read, because it is damaged, that does not delay the others.
func (c *Consumer) handleDeliveries(ctx context.Context, messages []webhook.Message, indexes []int, do func(i int, task func() error)) {
	if len(indexes) == 0 {
		return
	}
	refs := make([]webhook.Ref, len(indexes))
	for n, i := range indexes {
		refs[n] = messages[i].Ref
	}
	looks, err := c.Store.Look(ctx, refs, c.Now())
	for n, i := range indexes {
		do(i, func() error {
			if err == nil {
				return c.deliver(ctx, messages[i], looks[n])
			}
			if webhook.KindOf(err) != webhook.KindInternal {
				return err
			}
			alone, err := c.Store.Look(ctx, refs[n:n+1], c.Now())
			if err != nil {
				return err
			}
			return c.deliver(ctx, messages[i], alone[0])
		})
	}
}

// guarded runs a task. A panic is a fault of this service, like any other error.
func guarded(task func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return task()
}

func (c *Consumer) reject(ctx context.Context, text string, reason error) error {
	c.Log.ErrorContext(ctx, "a message is invalid and moves to the dead-letter queue", "cause", reason.Error())
	return c.Queue.Reject(ctx, text, reason.Error())
}

// deliver does what a delivery needs.
func (c *Consumer) deliver(ctx context.Context, m webhook.Message, look webhook.Look) error {
	switch look.State {
	case webhook.LookAhead:
		return c.repeatAhead(ctx, m)
	case webhook.LookHeld:
		return c.park(ctx, look.Work)
	case webhook.LookExpired:
		return c.Store.Settle(ctx, look.Work)
	case webhook.LookReady:
		return c.deliverReady(ctx, m, look.Work)
	}
	return nil
}

// repeatAhead sends a message again, later, that is ahead of the store. After a few times, the outcome that it followed cannot be on its
// way any more, because whoever sent the message has ended. Then the message of the attempt before was handled again, or will be.
func (c *Consumer) repeatAhead(ctx context.Context, m webhook.Message) error {
	if m.Count >= maxAhead {
		return nil
	}
	m.Count++
	m.Delay = aheadDelay
	return c.Queue.Send(ctx, m)
}

// deliverReady attempts a delivery, unless it has to wait for a time, for its lane, or for its turn among the slow ones.
func (c *Consumer) deliverReady(ctx context.Context, m webhook.Message, w webhook.Work) error {
	now := c.Now()
	wait := w.Due.Sub(now)
	switch {
	case !w.Granted && wait > webhook.MaxDelay: // it waits in the store
		return nil
	case !w.Granted && wait > 0:
		m.Delay = wait
		return c.Queue.Send(ctx, m)
	case !w.Granted && (w.Lane.IsFailing() || w.Lane.OpensAt().After(now)):
		return c.park(ctx, w)
	case !m.Slow && w.Lane.IsSlow(now):
		m.Slow = true
		return c.Queue.Send(ctx, m)
	}
	return c.attempt(ctx, w, m.Slow)
}

// park makes a delivery wait for its lane.
func (c *Consumer) park(ctx context.Context, w webhook.Work) error {
	isDue, err := c.Store.Park(ctx, w, c.Now())
	if err != nil || !isDue {
		return err
	}
	return c.Queue.Send(ctx, laneMessage(w.Ref))
}

// attempt makes an attempt and stores its outcome. If the next attempt is due soon, its message is sent before: a message without a
// stored outcome returns to the queue, but an outcome without a message would be the end.
func (c *Consumer) attempt(ctx context.Context, w webhook.Work, slow bool) error {
	if !c.hasTime(ctx, attemptTime) {
		return errNoTime
	}
	o, err := c.Attempter.Attempt(ctx, w)
	if err != nil {
		return fmt.Errorf("an attempt could not be made: %w", err)
	}
	if err := c.Queue.Send(ctx, c.next(w, o, slow)...); err != nil {
		return err
	}
	applied, err := c.Store.Record(ctx, o)
	if err != nil {
		return err
	}
	if applied && c.Attempted != nil {
		c.Attempted(w, o)
	}
	if o.Lane == webhook.LaneSucceeded && w.Lane.IsFailing() {
		return c.Queue.Send(ctx, laneMessage(w.Ref))
	}
	return nil
}

// next returns the message that must not be lost after an outcome, or none.
func (c *Consumer) next(w webhook.Work, o webhook.Outcome, slow bool) []webhook.Message {
	switch {
	case o.Status != webhook.StatusPending:
		return nil
	case o.Due.IsZero() && w.Granted:
		// It waits for its lane, as before. But whoever parked it may have ended before the lane waited for a time, and the message
		// that would do that again is out of date from now on.
		return []webhook.Message{laneMessage(w.Ref)}
	case o.Due.IsZero() || o.Due.Sub(o.Attempt.Ended()) > webhook.MaxDelay:
		return nil
	}
	m := webhook.Message{Kind: webhook.MessageDelivery, Ref: o.Ref, Slow: slow || o.Attempt.Error != "", Delay: max(0, o.Due.Sub(c.Now()))}
	m.Made++
	return []webhook.Message{m}
}

// hasTime reports whether a time is left before ctx's deadline.
func (c *Consumer) hasTime(ctx context.Context, need time.Duration) bool {
	deadline, limited := ctx.Deadline()
	return !limited || deadline.Sub(c.Now()) >= need
}

// fanOut sends the messages of one page of an event's fan-out, and the message for the next page.
func (c *Consumer) fanOut(ctx context.Context, m webhook.Message) error {
	page, next, err := c.Store.FanOut(ctx, m)
	if err != nil {
		return err
	}
	messages := deliveryMessages(page)
	if next != nil {
		messages = append(messages, *next)
	}
	return c.Queue.Send(ctx, messages...)
}

// deliveryMessages returns the messages for deliveries.
func deliveryMessages(refs []webhook.Ref) []webhook.Message {
	messages := make([]webhook.Message, len(refs), len(refs)+1)
	for i, r := range refs {
		messages[i] = webhook.Message{Kind: webhook.MessageDelivery, Ref: r}
	}
	return messages
}

// causeOf returns the cause of an error of the domain, or its text.
func causeOf(err error) string {
	if e, ok := errors.AsType[*webhook.Error](err); ok && e.Cause != nil {
		return e.Cause.Error()
	}
	return err.Error()
}
