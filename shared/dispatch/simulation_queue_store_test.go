package dispatch_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

// queueStore is what consumers and publishers need from a store.
type queueStore interface {
	webhook.DeliveryStore
	webhook.QueueStore
}

// gatedQueueStore is what a process has as a store: each call is a step and may fail. A Number in a Ref identifies a run.
type gatedQueueStore struct {
	*webhooktest.QueueMemory
	process *process
}

// changed keeps the index as it is now, and forgets what is older than a read can return.
func (q *queues) changed() {
	if q.lag == 0 {
		q.indexes = nil
		return
	}
	now := time.Now()
	for len(q.indexes) > 1 && now.Sub(q.indexes[1].from) > q.lag {
		q.indexes = q.indexes[1:]
	}
	q.indexes = append(q.indexes, oldIndex{now, q.memory.Index()})
}

// oldIndex returns the index that a read finds now.
func (q *queues) oldIndex() webhooktest.QueueIndex {
	at := time.Now().Add(-q.between(0, q.lag))
	found := q.indexes[0]
	for _, old := range q.indexes {
		if !old.from.After(at) {
			found = old
		}
	}
	return found.index
}

// haveWaiting reports whether a read of a shard may find something.
func (q *queues) haveWaiting(shard int) bool {
	q.mu.Lock() // since all shards are read at the same time
	defer q.mu.Unlock()
	if q.indexes == nil {
		q.indexes = []oldIndex{{index: q.memory.Index()}}
	}
	return slices.ContainsFunc(q.indexes, func(old oldIndex) bool { return old.index.Has(shard) })
}

// change is a call that may change the index.
func change[T any](s *gatedQueueStore, name string, effect func() (T, error)) (T, error) {
	return call(s.process, name, func() (T, error) {
		result, err := effect()
		s.process.queues.changed()
		return result, err
	})
}

func unnumbered(r webhook.Ref) webhook.Ref {
	r.Number = 0
	return r
}

// Accept implements [webhook.QueueStore], and records the events.
func (s *gatedQueueStore) Accept(ctx context.Context, events []webhook.NewEvent) ([]webhook.Accepted, error) {
	return change(s, "accept "+events[0].ID, func() ([]webhook.Accepted, error) {
		accepted, err := s.QueueMemory.Accept(ctx, events)
		if err == nil {
			replayed := make([]bool, len(accepted))
			for i, a := range accepted {
				replayed[i] = a.Replayed
			}
			s.process.stored(events, replayed)
		}
		return accepted, err
	})
}

// RetryDelivery implements [webhook.DeliveryStore], and records the grant.
func (s *gatedQueueStore) RetryDelivery(ctx context.Context, company, webhookID, id string, now time.Time) (webhook.Delivery, error) {
	return change(s, "grant "+id, func() (webhook.Delivery, error) {
		d, err := s.QueueMemory.RetryDelivery(ctx, company, webhookID, id, now)
		if err == nil {
			s.process.granted(d)
		}
		d.Number = 0
		return d, err
	})
}

// FanOut implements [webhook.QueueStore].
func (s *gatedQueueStore) FanOut(ctx context.Context, m webhook.Message) (page []webhook.Ref, next *webhook.Message, err error) {
	page, err = change(s, "fan out "+m.Text(), func() ([]webhook.Ref, error) {
		page, next, err = s.QueueMemory.FanOut(ctx, m)
		return page, err
	})
	return page, next, err
}

// Look implements [webhook.QueueStore], records what can be attempted, and gives each a run.
func (s *gatedQueueStore) Look(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Look, error) {
	names := make([]string, len(refs))
	for i, r := range refs {
		names[i] = name(r)
	}
	return call(s.process, "look at "+strings.Join(names, " "), func() ([]webhook.Look, error) {
		looks, err := s.QueueMemory.Look(ctx, refs, now)
		for i := range looks {
			if looks[i].State != webhook.LookReady {
				continue
			}
			q, w := s.process.queues, &looks[i].Work
			q.lastRun++
			w.Number = q.lastRun
			q.recorder.Add(deliverytest.Read{Webhook: w.WebhookID, Event: w.EventID, Number: w.Made + 1, Run: w.Number})
		}
		return looks, err
	})
}

// Park implements [webhook.QueueStore], and records what it has parked.
func (s *gatedQueueStore) Park(ctx context.Context, w webhook.Work, now time.Time) (bool, error) {
	w.Ref = unnumbered(w.Ref)
	return change(s, "park "+name(w.Ref), func() (bool, error) {
		isDue, err := s.QueueMemory.Park(ctx, w, now)
		looks, _ := s.QueueMemory.Look(context.Background(), []webhook.Ref{w.Ref}, now)
		if state := looks[0].State; state == webhook.LookReady || state == webhook.LookHeld {
			s.process.recorder.Add(deliverytest.Parked{Webhook: w.WebhookID, Event: w.EventID})
		}
		return isDue, err
	})
}

// Settle implements [webhook.QueueStore].
func (s *gatedQueueStore) Settle(ctx context.Context, w webhook.Work) error {
	w.Ref = unnumbered(w.Ref)
	_, err := change(s, "settle "+name(w.Ref), func() (any, error) { return nil, s.QueueMemory.Settle(ctx, w) })
	return err
}

// Record implements [webhook.QueueStore], and records the outcome.
func (s *gatedQueueStore) Record(ctx context.Context, o webhook.Outcome) (bool, error) {
	run := o.Number
	o.Ref = unnumbered(o.Ref)
	return change(s, "record "+name(o.Ref), func() (bool, error) {
		applied, err := s.QueueMemory.Record(ctx, o)
		s.process.queues.lastOutcome = time.Now()
		switch {
		case applied:
			s.process.note("  %s %d %s", o.Status, o.Attempt.StatusCode, o.Attempt.Error)
			s.process.recorder.Add(deliverytest.Recorded{Outcome: o, Run: run})
			delete(s.process.runs, run)
		case err == nil:
			s.process.recorder.Add(deliverytest.Dropped{Webhook: o.WebhookID, Event: o.EventID, Run: run, Superseded: true})
			if o.Status == webhook.StatusPending { // it has sent the message for the next attempt, too
				s.process.recorder.Add(deliverytest.Repeated{Webhook: o.WebhookID, Event: o.EventID})
			}
			delete(s.process.runs, run)
		}
		return applied, err
	})
}

// LookLane implements [webhook.QueueStore].
func (s *gatedQueueStore) LookLane(ctx context.Context, company, webhookID, after string, limit int) (webhook.LaneLook, error) {
	return call(s.process, "look at lane "+webhookID+" after "+after, func() (webhook.LaneLook, error) {
		look, err := s.QueueMemory.LookLane(ctx, company, webhookID, after, limit)
		s.process.note("  %d wait", len(look.Waiting))
		return look, err
	})
}

// MoveLane implements [webhook.QueueStore].
func (s *gatedQueueStore) MoveLane(ctx context.Context, l webhook.LaneLook, m webhook.LaneMove) (bool, error) {
	return change(s, "move lane "+l.WebhookID, func() (bool, error) {
		moved, err := s.QueueMemory.MoveLane(ctx, l, m)
		s.process.note("  in %v, idle %v, probe %v: %v", m.At.Sub(s.process.simulation.now()), m.Idle, m.Probe, moved)
		return moved, err
	})
}

// Waiting implements [webhook.QueueStore].
func (s *gatedQueueStore) Waiting(ctx context.Context, shard int, until time.Time, limit int) ([]webhook.Waiting, error) {
	if !s.process.queues.haveWaiting(shard) {
		return nil, nil // without a step, since there are many shards
	}
	return call(s.process, fmt.Sprintf("read shard %d", shard), func() ([]webhook.Waiting, error) {
		return s.QueueMemory.Waiting(ctx, shard, until, limit)
	})
}

// Claim implements [webhook.QueueStore].
func (s *gatedQueueStore) Claim(ctx context.Context, w webhook.Waiting, until time.Time) (m webhook.Message, claimed bool, err error) {
	claimed, err = change(s, "claim "+w.WebhookID+" "+w.DeliveryID, func() (bool, error) {
		m, claimed, err = s.QueueMemory.Claim(ctx, w, until)
		return claimed, err
	})
	return m, claimed, err
}
