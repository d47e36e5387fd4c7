package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/webhook"
)

const (
	// visibility is after how long a message that was not deleted is handed out again.
	visibility = 3 * time.Minute
	// maxReceives is how often a message is handed out before it becomes a dead letter.
	maxReceives = 500
	maxBatch    = 10
)

// The names of the queues.
const (
	deliveriesQueue = "deliveries"
	slowQueue       = "slow"
	fanOutQueue     = "fan-out"
)

func queueNames() []string { return []string{deliveriesQueue, slowQueue, fanOutQueue} }

func queueOf(m webhook.Message) string {
	switch {
	case m.Kind == webhook.MessageFanOut:
		return fanOutQueue
	case m.Slow:
		return slowQueue
	default:
		return deliveriesQueue
	}
}

// queueState is the state of the queues.
type queueState struct {
	waiting    map[string][]*queued
	handled    map[string]int // numbers of invocations
	wakes      map[string]chan struct{}
	closed     bool
	stopped    bool // there are no more invocations
	published  map[string]bool
	lastNumber int
}

// nameOf is short for the delivery, the lane or the event of a message.
func nameOf(m webhook.Message) string {
	return fmt.Sprintf("%s (%d, %v)", name(m.Ref), m.Count, m.Delay)
}

// queued is a message in a queue.
type queued struct {
	webhook.Message
	number    int
	text      string
	visibleAt time.Time
	received  int
}

func newQueueState() queueState {
	s := queueState{
		waiting: make(map[string][]*queued), handled: make(map[string]int), wakes: make(map[string]chan struct{}), published: make(map[string]bool),
	}
	for _, name := range queueNames() {
		s.wakes[name] = make(chan struct{}, 1)
	}
	return s
}

// add puts a message into its queue.
func (q *queues) add(m webhook.Message, received int) {
	delay := (m.Delay + time.Second - 1).Truncate(time.Second) // queues count in seconds
	q.mu.Lock()
	q.lastNumber++
	added := &queued{Message: m, number: q.lastNumber, text: m.Text(), received: received}
	name := queueOf(m)
	q.waiting[name] = append(q.waiting[name], added)
	q.mu.Unlock()
	q.showAfter(added, delay+q.between(0, q.latency))
}

// showAfter makes a message visible after a time.
func (q *queues) showAfter(m *queued, wait time.Duration) {
	q.mu.Lock()
	m.visibleAt = time.Now().Add(wait)
	q.mu.Unlock()
	time.AfterFunc(wait, func() { q.rousePoll(queueOf(m.Message)) })
}

func (q *queues) rousePoll(name string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return
	}
	select {
	case q.wakes[name] <- struct{}{}:
	default:
	}
}

// stop ends the invocations for messages and sweeps.
func (q *queues) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
}

func (q *queues) hasStopped() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stopped
}

func (q *queues) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for _, name := range queueNames() {
		close(q.wakes[name])
	}
}

// poll invokes a function for the messages of a queue.
func (q *queues) poll(name string) {
	for range q.wakes[name] {
		for len(q.visible(name)) > 0 {
			if !q.step(nil, "poll %s", name) {
				return
			}
			q.receive(name)
		}
	}
}

// visible returns the messages that can be handed out, if another invocation may run.
func (q *queues) visible(name string) []*queued {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.handled[name] >= q.concurrency || q.stopped {
		return nil
	}
	now := time.Now()
	return slices.DeleteFunc(slices.Clone(q.waiting[name]), func(m *queued) bool { return m.visibleAt.After(now) })
}

// receive hands out some messages to a new invocation.
func (q *queues) receive(name string) {
	visible := q.visible(name)
	q.random.Shuffle(len(visible), func(i, j int) { visible[i], visible[j] = visible[j], visible[i] })
	batch := visible[:min(len(visible), 1+q.random.IntN(maxBatch))]
	if len(batch) == 0 {
		return
	}
	texts := make([]string, len(batch))
	for i, m := range batch {
		texts[i] = m.text
		if m.received++; m.received > 1 {
			q.recorder.Add(deliverytest.Repeated{Webhook: m.WebhookID, Event: m.EventID})
		}
		if m.received == maxReceives {
			q.wrong("message %d becomes a dead letter: %s", m.number, m.text)
		}
		again := visibility
		if !q.calm && q.chance(q.expires) {
			again = q.between(0, 20*time.Second)
		}
		q.showAfter(m, again)
	}
	q.mu.Lock()
	q.handled[name]++
	q.mu.Unlock()
	ctx, p := q.newProcess("i")
	for _, m := range batch {
		q.note("  %smessage %d, %s %s", p.label, m.number, m.Kind, nameOf(m.Message))
	}
	go func() {
		var returned []int
		q.invoke(p, func() { returned = p.consumer().Handle(ctx, texts) }, func() {
			if !p.deaf {
				q.finish(name, batch, returned)
			} else {
				q.finish(name, batch, nil)
			}
		})
		q.mu.Lock()
		q.handled[name]--
		q.mu.Unlock()
		q.rousePoll(name)
	}()
}

// finish deletes the messages of a batch but for those that return.
func (q *queues) finish(name string, batch []*queued, returned []int) {
	for i, m := range batch {
		switch {
		case slices.Contains(returned, i):
			q.note("  message %d returns", m.number)
			if q.chance(2) {
				q.showAfter(m, q.between(0, time.Minute))
			}
		case !q.calm && q.chance(q.undeleted):
			q.note("  message %d is not deleted", m.number)
		default:
			q.mu.Lock()
			q.waiting[name] = slices.DeleteFunc(q.waiting[name], func(other *queued) bool { return other == m })
			q.mu.Unlock()
		}
	}
}

// gatedQueue is what a process has as queues: each call is a step and may fail.
type gatedQueue struct{ *process }

// Send implements [webhook.Queue]. If it fails after it had an effect, it has sent some of the messages, or all of them.
func (g *gatedQueue) Send(_ context.Context, messages ...webhook.Message) error {
	if len(messages) == 0 {
		return nil
	}
	q := g.queues
	_, err := call(g.process, fmt.Sprintf("send %s %s and %d more", messages[0].Kind, nameOf(messages[0]), len(messages)-1), func() (any, error) {
		for _, m := range messages {
			if m.Delay > webhook.MaxDelay || m.Delay < 0 {
				q.wrong("%sa message with a delay of %v", g.label, m.Delay)
			}
			if q.drainsTwice(m) {
				q.recorder.Add(deliverytest.Repeated{Webhook: m.WebhookID})
			}
			q.add(m, 0)
			if !q.calm && q.chance(q.twice) {
				q.add(m, 1)
			}
			if !q.calm && q.chance(5*q.storeFaults) {
				return nil, webhook.Unavailable(errors.New("some messages were not sent"))
			}
		}
		return nil, nil
	})
	return err
}

// drainsTwice reports whether a message begins to drain a lane for which there is a message already: a sweep and a success can both
// send one. Then the same deliveries can be released twice.
func (q *queues) drainsTwice(m webhook.Message) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return m.Kind == webhook.MessageLane && m.After == "" && slices.ContainsFunc(q.waiting[slowQueue], func(other *queued) bool {
		return other.Kind == webhook.MessageLane && other.Company == m.Company && other.WebhookID == m.WebhookID
	})
}

// Reject implements [webhook.Queue].
func (g *gatedQueue) Reject(_ context.Context, text, reason string) error {
	g.wrong("%srejected %s: %s", g.label, text, reason)
	return nil
}
