package webhooktest

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

// Memory stores webhooks, event types, events and deliveries in memory. It implements [webhook.DeliveryStore],
// [webhook.Backlog], and the methods of [webhook.Store] that they depend on: CreateWebhook, DeleteWebhook, Webhook, AddEventType
// and RemoveEventType. All other methods of [webhook.Store] panic.
//
// It is the model of a store, so it is as simple as possible: its data are lists that are searched from the start, it starts no
// goroutines, has no clock, and does the same whenever it is called in the same way.
type Memory struct {
	webhook.Store // nil

	// FanOutLimit is the maximum number of deliveries that AcceptEvents creates for an event, and that each FanOut creates.
	FanOutLimit int
	// Changed is called after events were accepted and after an attempt was granted, unless it is nil.
	Changed func()

	mu         sync.Mutex
	types      map[typeKey]bool // the visible ones
	webhooks   []*memoryWebhook // ascending by number
	events     []*memoryEvent   // in the order of acceptance
	deliveries []*memoryDelivery
	// lastWebhook and lastDelivery are the highest numbers so far.
	lastWebhook, lastDelivery int64
}

var (
	_ webhook.DeliveryStore = (*Memory)(nil)
	_ webhook.Backlog       = (*Memory)(nil)
)

type typeKey struct{ company, name string }

type memoryWebhook struct {
	webhook.Webhook
	number int64
	lane   webhook.Lane
}

type memoryEvent struct {
	webhook.NewEvent
	waiting []*memoryWebhook    // those that have no delivery yet
	pages   [][]*memoryDelivery // those of each step of the fan-out
}

type memoryDelivery struct {
	number   int64
	id       string
	webhook  *memoryWebhook
	event    *memoryEvent
	status   webhook.Status // pending, delivered or failed
	step     int
	due      time.Time
	made     int
	granted  bool // the next attempt
	attempts []webhook.Attempt
	hidden   bool // from everything but EventDeliveries and Work: see QueueMemory
}

// NewMemory returns an empty store that creates up to 1,000 deliveries of an event at once.
func NewMemory() *Memory { return &Memory{FanOutLimit: 1000, types: map[typeKey]bool{}} }

// locked calls f while nothing else uses the store. If ctx has ended, it returns [webhook.KindUnavailable] instead.
func locked[T any](ctx context.Context, m *Memory, f func() (T, error)) (T, error) {
	if err := ctx.Err(); err != nil {
		return *new(T), webhook.Unavailable(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return f()
}

func (m *Memory) changed() {
	if m.Changed != nil {
		m.Changed()
	}
}

// CreateWebhook implements [webhook.Store], without quotas and idempotency records.
func (m *Memory) CreateWebhook(ctx context.Context, c webhook.Creation) (*webhook.EarlierCreation, error) {
	return locked(ctx, m, func() (*webhook.EarlierCreation, error) {
		if m.webhook(c.Webhook.Company, c.Webhook.ID) != nil {
			return nil, webhook.WebhookExists(c.Webhook.ID)
		}
		m.lastWebhook++
		m.webhooks = append(m.webhooks, &memoryWebhook{Webhook: clone(c.Webhook), number: m.lastWebhook})
		return nil, nil
	})
}

// DeleteWebhook implements [webhook.Store].
func (m *Memory) DeleteWebhook(ctx context.Context, company, id string) error {
	_, err := locked(ctx, m, func() (any, error) {
		w := m.webhook(company, id)
		if w == nil {
			return nil, webhook.ErrNotFound
		}
		isDeleted := func(other *memoryWebhook) bool { return other == w }
		m.webhooks = slices.DeleteFunc(m.webhooks, isDeleted)
		m.deliveries = slices.DeleteFunc(m.deliveries, func(d *memoryDelivery) bool { return d.webhook == w })
		for _, e := range m.events {
			e.waiting = slices.DeleteFunc(e.waiting, isDeleted)
		}
		return nil, nil
	})
	return err
}

// Webhook implements [webhook.Store].
func (m *Memory) Webhook(ctx context.Context, company, id string) (webhook.Webhook, error) {
	return locked(ctx, m, func() (webhook.Webhook, error) {
		w := m.webhook(company, id)
		if w == nil {
			return webhook.Webhook{}, webhook.ErrNotFound
		}
		return clone(w.Webhook), nil
	})
}

// AddEventType implements [webhook.Store], but keeps only the name.
func (m *Memory) AddEventType(ctx context.Context, t webhook.EventType) error {
	_, err := locked(ctx, m, func() (any, error) {
		m.types[typeKey{t.Company, t.Name}] = true
		return nil, nil
	})
	return err
}

// RemoveEventType implements [webhook.Store].
func (m *Memory) RemoveEventType(ctx context.Context, company, name string) error {
	_, err := locked(ctx, m, func() (any, error) {
		if !m.types[typeKey{company, name}] {
			return nil, webhook.ErrNotFound
		}
		delete(m.types, typeKey{company, name})
		return nil, nil
	})
	return err
}

// AcceptEvents implements [webhook.DeliveryStore].
func (m *Memory) AcceptEvents(ctx context.Context, events []webhook.NewEvent) ([]bool, error) {
	replayed, err := locked(ctx, m, func() ([]bool, error) { return m.accept(events) })
	if slices.Contains(replayed, false) {
		m.changed()
	}
	return replayed, err
}

func (m *Memory) accept(events []webhook.NewEvent) ([]bool, error) {
	for i, e := range events {
		if !m.types[typeKey{"", e.Type}] && !m.types[typeKey{e.Company, e.Type}] && len(m.subscribers(e)) == 0 {
			return nil, &webhook.EventError{Index: i, Err: webhook.TypeUnavailable()}
		}
	}
	replayed := make([]bool, len(events))
	for i, e := range events {
		stored := m.event(e.Company, e.ID)
		replayed[i] = stored != nil
		if stored != nil && stored.Sent != e.Sent {
			return nil, &webhook.EventError{Index: i, Err: webhook.KeyUsed()}
		}
	}
	for i, e := range events {
		if !replayed[i] {
			e.Body = bytes.Clone(e.Body)
			stored := &memoryEvent{NewEvent: e, waiting: m.subscribers(e)}
			m.events = append(m.events, stored)
			m.fanOut(stored, m.FanOutLimit)
		}
	}
	return replayed, nil
}

// fanOut creates up to limit deliveries of an event.
func (m *Memory) fanOut(e *memoryEvent, limit int) {
	n := min(limit, len(e.waiting))
	for _, w := range e.waiting[:n] {
		m.lastDelivery++
		d := &memoryDelivery{number: m.lastDelivery, webhook: w, event: e, status: webhook.StatusPending, due: e.AcceptedAt}
		d.id = d.ref().DeliveryID()
		m.deliveries = append(m.deliveries, d)
	}
	e.waiting = e.waiting[n:]
	e.pages = append(e.pages, slices.Clone(m.deliveries[len(m.deliveries)-n:]))
}

// Work implements [webhook.DeliveryStore].
func (m *Memory) Work(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Work, error) {
	return locked(ctx, m, func() ([]webhook.Work, error) {
		var works []webhook.Work
		for _, r := range refs {
			d := m.delivery(r)
			if d == nil || r.Number == 0 && r.Made != d.made || !d.mayBeAttempted(now) {
				continue
			}
			works = append(works, d.work(now))
		}
		return works, nil
	})
}

func (d *memoryDelivery) work(now time.Time) webhook.Work {
	return webhook.Work{
		Ref: d.ref(), Status: webhook.StatusOf(d.status, webhook.Lane{}, d.event.AcceptedAt, now), Step: d.step, Due: d.due,
		Granted: d.granted, Webhook: clone(d.webhook.Webhook), Lane: d.webhook.lane, Event: d.event.Event,
	}
}

// Record implements [webhook.DeliveryStore].
func (m *Memory) Record(ctx context.Context, o webhook.Outcome) (bool, error) {
	return locked(ctx, m, func() (bool, error) { return m.record(o) != nil, nil })
}

// record applies an outcome and returns its delivery, or nil if it changes nothing.
func (m *Memory) record(o webhook.Outcome) *memoryDelivery {
	d := m.delivery(o.Ref)
	if d == nil || d.made != o.Made {
		return nil
	}
	d.status, d.step, d.due = o.Status, o.Step, o.Due
	d.made++
	d.granted = false
	for i := range d.attempts {
		d.attempts[i].Response = ""
	}
	d.attempts = append(d.attempts, o.Attempt)
	d.attempts = d.attempts[max(0, len(d.attempts)-webhook.MaxAttempts):]
	if d.webhook.Version == o.WebhookVersion {
		d.webhook.lane = d.webhook.lane.Apply(o.Lane, o.Attempt.Ended(), o.PausedUntil)
	}
	return d
}

// first returns the first element for which is reports true, or nil.
func first[T any](list []*T, is func(*T) bool) *T {
	if i := slices.IndexFunc(list, is); i >= 0 {
		return list[i]
	}
	return nil
}

func (m *Memory) webhook(company, id string) *memoryWebhook {
	return first(m.webhooks, func(w *memoryWebhook) bool { return w.Company == company && w.ID == id })
}

func (m *Memory) event(company, id string) *memoryEvent {
	return first(m.events, func(e *memoryEvent) bool { return e.Company == company && e.ID == id })
}

// delivery returns the delivery with the number of a Ref or, if that is 0, the one with its other fields.
func (m *Memory) delivery(r webhook.Ref) *memoryDelivery {
	return first(m.deliveries, func(d *memoryDelivery) bool {
		return d.number == r.Number || r.Number == 0 && d.isOf(r.Company, r.WebhookID) && d.event.ID == r.EventID
	})
}

func (m *Memory) deliveryByID(company, webhookID, id string) *memoryDelivery {
	return first(m.deliveries, func(d *memoryDelivery) bool { return d.isOf(company, webhookID) && d.id == id && !d.hidden })
}

// subscribers returns the webhooks that an event is for.
func (m *Memory) subscribers(e webhook.NewEvent) []*memoryWebhook {
	return slices.DeleteFunc(slices.Clone(m.webhooks), func(w *memoryWebhook) bool {
		return w.Company != e.Company || !slices.Contains(w.Events, e.Type)
	})
}

func (d *memoryDelivery) isOf(company, webhookID string) bool {
	return d.webhook.Company == company && d.webhook.ID == webhookID
}

func (d *memoryDelivery) ref() webhook.Ref {
	return webhook.Ref{
		Company: d.webhook.Company, WebhookID: d.webhook.ID, EventID: d.event.ID,
		AcceptedAt: d.event.AcceptedAt, Made: d.made, Number: d.number,
	}
}

func (d *memoryDelivery) statusAt(now time.Time) webhook.Status {
	return webhook.StatusOf(d.status, d.webhook.lane, d.event.AcceptedAt, now)
}

func (d *memoryDelivery) mayBeAttempted(now time.Time) bool {
	if d.granted {
		return d.webhook.lane.DisabledReason == ""
	}
	return d.statusAt(now) == webhook.StatusPending
}
