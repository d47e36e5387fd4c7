package webhooktest

import (
	"context"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

// QueueMemory is a [Memory] that implements [webhook.QueueStore] instead of [webhook.Backlog]. It is the model of such a store: a
// delivery can be read only after its first outcome was recorded, or it was parked or settled.
type QueueMemory struct {
	*Memory
	// PageLimit is the maximum number of webhooks on a page of a fan-out. The first FanOutLimit webhooks are not on a page.
	PageLimit int
	// OldIndex returns the index that LookLane and Waiting search. If it is nil, they search the current one.
	OldIndex func() QueueIndex

	entries []*memoryEntry // the deliveries that are stored, including those of deleted webhooks
	lanes   []*memoryLane
}

var _ webhook.QueueStore = (*QueueMemory)(nil)

// memoryEntry is a delivery that is stored. It may wait for its lane, or for a time.
type memoryEntry struct {
	*memoryDelivery
	parked  bool
	waitsAt time.Time // zero if it does not wait for a time
}

// memoryLane says when a lane is looked at.
type memoryLane struct {
	webhook   *memoryWebhook
	waitsAt   time.Time // zero if nothing waits for it
	idleUntil time.Time // zero if it is not idle
	revision  int64
}

// NewQueueMemory returns an empty store with the limits of the real one.
func NewQueueMemory() *QueueMemory {
	m := &QueueMemory{Memory: NewMemory(), PageLimit: 500}
	m.FanOutLimit = 100
	return m
}

// AcceptEvents implements [webhook.DeliveryStore].
func (m *QueueMemory) AcceptEvents(ctx context.Context, events []webhook.NewEvent) ([]bool, error) {
	accepted, err := m.Accept(ctx, events)
	if err != nil {
		return nil, err
	}
	replayed := make([]bool, len(accepted))
	for i, a := range accepted {
		replayed[i] = a.Replayed
	}
	return replayed, nil
}

// Accept implements [webhook.QueueStore].
func (m *QueueMemory) Accept(ctx context.Context, events []webhook.NewEvent) ([]webhook.Accepted, error) {
	return locked(ctx, m.Memory, func() ([]webhook.Accepted, error) {
		replayed, err := m.accept(events)
		if err != nil {
			return nil, err
		}
		accepted := make([]webhook.Accepted, len(events))
		for i, e := range events {
			stored := m.event(e.Company, e.ID)
			if !replayed[i] {
				hide(stored.pages[0])
			}
			untried := slices.DeleteFunc(slices.Clone(stored.pages[0]), func(d *memoryDelivery) bool { return d.made > 0 })
			accepted[i] = webhook.Accepted{Replayed: replayed[i], Deliveries: refsOf(untried), FanOut: stored.page(1)}
		}
		return accepted, nil
	})
}

// FanOut implements [webhook.QueueStore].
func (m *QueueMemory) FanOut(ctx context.Context, message webhook.Message) (page []webhook.Ref, next *webhook.Message, err error) {
	page, err = locked(ctx, m.Memory, func() ([]webhook.Ref, error) {
		e := m.event(message.Company, message.EventID)
		if e == nil || e.page(message.Count) == nil {
			return nil, nil
		}
		if message.Count == len(e.pages) {
			m.fanOut(e, m.PageLimit)
			hide(e.pages[message.Count])
		}
		next = e.page(message.Count + 1)
		return refsOf(e.pages[message.Count]), nil
	})
	return page, next, err
}

// page returns the message for a page of an event's fan-out, or nil if there is no such page.
func (e *memoryEvent) page(number int) *webhook.Message {
	if number > len(e.pages) || number == len(e.pages) && len(e.waiting) == 0 {
		return nil
	}
	before := e.pages[number-1]
	return &webhook.Message{
		Kind: webhook.MessageFanOut, Ref: webhook.Ref{Company: e.Company, EventID: e.ID},
		Count: number, After: before[len(before)-1].webhook.ID,
	}
}

// Look implements [webhook.QueueStore].
func (m *QueueMemory) Look(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Look, error) {
	return locked(ctx, m.Memory, func() ([]webhook.Look, error) {
		looks := make([]webhook.Look, len(refs))
		for i, r := range refs {
			looks[i] = m.look(r, now)
		}
		return looks, nil
	})
}

func (m *QueueMemory) look(r webhook.Ref, now time.Time) webhook.Look {
	only := webhook.Work{Ref: r}
	d := m.delivery(r)
	if d == nil {
		e := m.entry(r)
		if e == nil || e.status != webhook.StatusPending {
			return webhook.Look{State: webhook.LookDone, Work: only}
		}
		only.Made = e.made
		return webhook.Look{State: webhook.LookExpired, Work: only}
	}
	finished := d.status != webhook.StatusPending
	work := d.work(now)
	work.Number = 0
	switch {
	case r.Made < d.made, finished && !d.granted:
		return webhook.Look{State: webhook.LookDone, Work: only}
	case r.Made > d.made:
		return webhook.Look{State: webhook.LookAhead, Work: only}
	case d.mayBeAttempted(now):
		return webhook.Look{State: webhook.LookReady, Work: work}
	case finished:
		return webhook.Look{State: webhook.LookDone, Work: only}
	case d.webhook.lane.Holds(d.event.AcceptedAt):
		return webhook.Look{State: webhook.LookHeld, Work: work}
	default:
		return webhook.Look{State: webhook.LookExpired, Work: work}
	}
}

// Park implements [webhook.QueueStore].
func (m *QueueMemory) Park(ctx context.Context, w webhook.Work, now time.Time) (bool, error) {
	return locked(ctx, m.Memory, func() (bool, error) {
		d := m.delivery(w.Ref)
		if d == nil || d.made != w.Made || d.status != webhook.StatusPending {
			return false, nil
		}
		d.due = time.Time{}
		m.store(d, true, time.Time{})
		l := m.storedLane(d.webhook)
		l.revision++
		l.idleUntil = time.Time{}
		if d.webhook.lane.DisabledReason != "" {
			return false, nil
		}
		if !l.waitsAt.IsZero() {
			return false, nil
		}
		l.waitsAt = later(d.webhook.lane.OpensAt(), now)
		return !l.waitsAt.After(now), nil
	})
}

// Settle implements [webhook.QueueStore].
func (m *QueueMemory) Settle(ctx context.Context, w webhook.Work) error {
	_, err := locked(ctx, m.Memory, func() (any, error) {
		d := m.delivery(w.Ref)
		if e := m.entry(w.Ref); d == nil && e != nil {
			d = e.memoryDelivery
		}
		if d != nil && d.made == w.Made && d.status == webhook.StatusPending {
			d.status, d.due = webhook.StatusFailed, time.Time{}
			m.store(d, false, time.Time{})
		}
		return nil, nil
	})
	return err
}

// Record implements [webhook.QueueStore].
func (m *QueueMemory) Record(ctx context.Context, o webhook.Outcome) (bool, error) {
	return locked(ctx, m.Memory, func() (bool, error) {
		d := m.record(o)
		if d == nil {
			return false, nil
		}
		ended, pending := o.Attempt.Ended(), o.Status == webhook.StatusPending
		waitsAt := time.Time{}
		if pending && o.Due.Sub(ended) > webhook.MaxDelay {
			waitsAt = o.Due
		}
		m.store(d, pending && o.Due.IsZero(), waitsAt)
		if d.webhook.Version != o.WebhookVersion {
			return true, nil
		}
		if o.Attempt.Duration > webhook.SlowAttempt {
			d.webhook.lane.SlowUntil = later(d.webhook.lane.SlowUntil, ended.Add(webhook.SlowFor))
		}
		if o.Lane != webhook.LaneUnchanged {
			l := m.storedLane(d.webhook)
			l.revision++
			if opensAt := d.webhook.lane.OpensAt(); opensAt.After(ended) && !l.waitsAt.IsZero() {
				l.waitsAt = opensAt
				l.idleUntil = time.Time{} // the next look may be too early to be sure that nothing waits
			}
		}
		return true, nil
	})
}

// MoveLane implements [webhook.QueueStore].
func (m *QueueMemory) MoveLane(ctx context.Context, look webhook.LaneLook, move webhook.LaneMove) (bool, error) {
	return locked(ctx, m.Memory, func() (bool, error) {
		l, w := m.lane(look.Company, look.WebhookID), m.webhook(look.Company, look.WebhookID)
		if l == nil && w != nil {
			l = m.storedLane(w)
		}
		if l == nil || l.revision != look.Revision {
			return false, nil
		}
		l.revision++
		l.waitsAt, l.idleUntil = move.At, time.Time{}
		if move.Idle {
			l.idleUntil = move.At
		}
		if move.Probe {
			l.webhook.lane.ProbeAt = move.At
		}
		if move.At.IsZero() && w == nil {
			m.lanes = slices.DeleteFunc(m.lanes, func(other *memoryLane) bool { return other == l })
		}
		return true, nil
	})
}

// Claim implements [webhook.QueueStore].
func (m *QueueMemory) Claim(ctx context.Context, w webhook.Waiting, until time.Time) (message webhook.Message, claimed bool, err error) {
	claimed, err = locked(ctx, m.Memory, func() (bool, error) {
		if w.DeliveryID == "" {
			l := m.lane(w.Company, w.WebhookID)
			if l == nil || l.waitsAt.IsZero() || !l.waitsAt.Equal(w.At) {
				return false, nil
			}
			l.revision++
			l.waitsAt = until
			message = webhook.Message{Kind: webhook.MessageLane, Ref: webhook.Ref{Company: w.Company, WebhookID: w.WebhookID}, Slow: true, Count: 1}
			return true, nil
		}
		e := first(m.entries, func(e *memoryEntry) bool { return e.isOf(w.Company, w.WebhookID) && e.id == w.DeliveryID })
		if e == nil || e.waitsAt.IsZero() || !e.waitsAt.Equal(w.At) {
			return false, nil
		}
		e.waitsAt = until
		message = webhook.Message{Kind: webhook.MessageDelivery, Ref: e.unnumbered()}
		return true, nil
	})
	return message, claimed, err
}

// store stores a delivery that waits for its lane, for a time, or for neither.
func (m *QueueMemory) store(d *memoryDelivery, parked bool, waitsAt time.Time) {
	e := m.entry(d.ref())
	if e == nil {
		e = &memoryEntry{memoryDelivery: d}
		m.entries = append(m.entries, e)
		d.hidden = false
	}
	e.parked, e.waitsAt = parked, waitsAt
}

func (m *QueueMemory) entry(r webhook.Ref) *memoryEntry {
	return first(m.entries, func(e *memoryEntry) bool { return e.event.ID == r.EventID && e.isOf(r.Company, r.WebhookID) })
}

func (m *QueueMemory) lane(company, webhookID string) *memoryLane {
	return first(m.lanes, func(l *memoryLane) bool { return l.webhook.Company == company && l.webhook.ID == webhookID })
}

// storedLane returns the lane of a webhook, which it creates if it does not exist.
func (m *QueueMemory) storedLane(w *memoryWebhook) *memoryLane {
	l := m.lane(w.Company, w.ID)
	if l == nil {
		l = &memoryLane{webhook: w}
		m.lanes = append(m.lanes, l)
	}
	return l
}

func (d *memoryDelivery) unnumbered() webhook.Ref {
	r := d.ref()
	r.Number = 0
	return r
}

func refsOf(deliveries []*memoryDelivery) []webhook.Ref {
	refs := make([]webhook.Ref, len(deliveries))
	for i, d := range deliveries {
		refs[i] = d.unnumbered()
	}
	return refs
}

func hide(deliveries []*memoryDelivery) {
	for _, d := range deliveries {
		d.hidden = true
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
