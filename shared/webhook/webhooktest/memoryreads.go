package webhooktest

import (
	"bytes"
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"webhooks/shared/webhook"
)

// Event implements [webhook.DeliveryStore].
func (m *Memory) Event(ctx context.Context, company, id string) (webhook.Event, error) {
	return locked(ctx, m, func() (webhook.Event, error) {
		stored := m.event(company, id)
		if stored == nil {
			return webhook.Event{}, webhook.ErrNotFound
		}
		e := stored.Event
		e.Body = bytes.Clone(e.Body)
		return e, nil
	})
}

// Lane implements [webhook.DeliveryStore].
func (m *Memory) Lane(ctx context.Context, company, id string) (webhook.Webhook, webhook.Lane, error) {
	var lane webhook.Lane
	w, err := locked(ctx, m, func() (webhook.Webhook, error) {
		stored := m.webhook(company, id)
		if stored == nil {
			return webhook.Webhook{}, webhook.ErrNotFound
		}
		lane = stored.lane
		w := clone(stored.Webhook)
		w.SealedToken = nil
		return w, nil
	})
	return w, lane, err
}

// EventDeliveries implements [webhook.DeliveryStore]. A cursor is the ID of a webhook.
func (m *Memory) EventDeliveries(ctx context.Context, company, eventID, cursor string, limit int, now time.Time) (webhook.DeliveryPage, error) {
	return locked(ctx, m, func() (webhook.DeliveryPage, error) {
		found := m.find(func(d *memoryDelivery) bool {
			return d.webhook.Company == company && d.event.ID == eventID && d.webhook.ID > cursor
		})
		slices.SortFunc(found, func(a, b *memoryDelivery) int { return strings.Compare(a.webhook.ID, b.webhook.ID) })
		var page webhook.DeliveryPage
		for _, d := range found {
			if len(page.Deliveries) == limit {
				page.Next = page.Deliveries[limit-1].WebhookID
				break
			}
			page.Deliveries = append(page.Deliveries, d.read(now))
		}
		return page, nil
	})
}

// Deliveries implements [webhook.DeliveryStore]. A cursor is a delivery ID.
func (m *Memory) Deliveries(ctx context.Context, q webhook.DeliveryQuery) (webhook.DeliveryPage, error) {
	return locked(ctx, m, func() (webhook.DeliveryPage, error) {
		if ulid, ok := strings.CutPrefix(q.Cursor, "dlv_"); q.Cursor != "" && (!ok || !webhook.ValidULID(ulid)) {
			return webhook.DeliveryPage{}, webhook.InvalidCursor()
		}
		if m.webhook(q.Company, q.WebhookID) == nil {
			return webhook.DeliveryPage{}, webhook.ErrNotFound
		}
		found := m.find(func(d *memoryDelivery) bool {
			return d.isOf(q.Company, q.WebhookID) && !d.hidden && (q.Cursor == "" || d.id < q.Cursor)
		})
		slices.SortFunc(found, func(a, b *memoryDelivery) int { return strings.Compare(b.id, a.id) })
		var page webhook.DeliveryPage
		for examined, d := range found {
			if examined == webhook.MaxExamined || len(page.Deliveries) == q.Limit {
				page.Next = found[examined-1].id
				break
			}
			if d.matches(q) {
				page.Deliveries = append(page.Deliveries, d.read(q.Now))
			}
		}
		return page, nil
	})
}

func (d *memoryDelivery) matches(q webhook.DeliveryQuery) bool {
	at := d.event.AcceptedAt
	return (q.Status == "" || q.Status == d.statusAt(q.Now)) && (q.Type == "" || q.Type == d.event.Type) &&
		!at.Before(q.From) && (q.To.IsZero() || at.Before(q.To))
}

// Delivery implements [webhook.DeliveryStore].
func (m *Memory) Delivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error) {
	return locked(ctx, m, func() (webhook.Delivery, error) {
		d := m.deliveryByID(company, webhookID, deliveryID)
		if d == nil {
			return webhook.Delivery{}, webhook.ErrNotFound
		}
		return d.read(now), nil
	})
}

// RetryDelivery implements [webhook.DeliveryStore].
func (m *Memory) RetryDelivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error) {
	read, err := locked(ctx, m, func() (webhook.Delivery, error) {
		d := m.deliveryByID(company, webhookID, deliveryID)
		if d == nil {
			return webhook.Delivery{}, webhook.ErrNotFound
		}
		if d.webhook.lane.DisabledReason != "" {
			return webhook.Delivery{}, webhook.WebhookDisabled()
		}
		d.granted = true
		return d.read(now), nil
	})
	if err == nil {
		m.changed()
	}
	return read, err
}

// Arrived implements [webhook.Backlog].
func (m *Memory) Arrived(ctx context.Context, after int64, limit int) ([]webhook.Pending, error) {
	return m.pending(ctx, limit, func(d *memoryDelivery) bool { return d.number > after && d.status == webhook.StatusPending })
}

// Due implements [webhook.Backlog].
func (m *Memory) Due(ctx context.Context, lane int64, limit int, now time.Time) ([]webhook.Pending, error) {
	due, err := m.pending(ctx, math.MaxInt, func(d *memoryDelivery) bool {
		return d.webhook.number == lane && d.statusAt(now) == webhook.StatusPending
	})
	slices.SortStableFunc(due, func(a, b webhook.Pending) int { return a.Due.Compare(b.Due) })
	return due[:min(limit, len(due))], err
}

// Granted implements [webhook.Backlog].
func (m *Memory) Granted(ctx context.Context, after int64, limit int) ([]webhook.Pending, error) {
	granted, err := m.pending(ctx, math.MaxInt, func(d *memoryDelivery) bool {
		return d.granted && d.webhook.number > after && d.webhook.lane.DisabledReason == ""
	})
	slices.SortStableFunc(granted, func(a, b webhook.Pending) int { return cmp.Compare(a.Lane, b.Lane) })
	granted = slices.CompactFunc(granted, func(a, b webhook.Pending) bool { return a.Lane == b.Lane })
	return granted[:min(limit, len(granted))], err
}

// LastNumber implements [webhook.Backlog].
func (m *Memory) LastNumber(ctx context.Context) (int64, error) {
	return locked(ctx, m, func() (int64, error) { return m.lastDelivery, nil })
}

// Lanes implements [webhook.Backlog].
func (m *Memory) Lanes(ctx context.Context, after int64, limit int) ([]webhook.Pending, error) {
	lanes, err := m.pending(ctx, math.MaxInt, func(d *memoryDelivery) bool {
		return d.webhook.number > after && d.status == webhook.StatusPending
	})
	for i, p := range lanes {
		lanes[i] = webhook.Pending{Company: p.Company, Lane: p.Lane}
	}
	slices.SortFunc(lanes, func(a, b webhook.Pending) int { return cmp.Compare(a.Lane, b.Lane) })
	lanes = slices.Compact(lanes)
	return lanes[:min(limit, len(lanes))], err
}

// FanOut implements [webhook.Backlog].
func (m *Memory) FanOut(ctx context.Context) (bool, error) {
	return locked(ctx, m, func() (bool, error) {
		isWaiting := func(e *memoryEvent) bool { return len(e.waiting) > 0 }
		e := first(m.events, isWaiting)
		if e != nil {
			m.fanOut(e, m.FanOutLimit)
		}
		return e != nil, nil
	})
}

// Upkeep implements [webhook.Backlog]. Each step changes one delivery or deletes one event.
func (m *Memory) Upkeep(ctx context.Context, now, keepFrom time.Time) (bool, error) {
	return locked(ctx, m, func() (bool, error) {
		expired := first(m.deliveries, func(d *memoryDelivery) bool {
			return d.status == webhook.StatusPending && d.statusAt(now) == webhook.StatusFailed
		})
		if expired != nil {
			expired.status, expired.due = webhook.StatusFailed, time.Time{}
			return true, nil
		}
		deleted := first(m.events, func(e *memoryEvent) bool { return e.AcceptedAt.Before(keepFrom) })
		m.events = slices.DeleteFunc(m.events, func(e *memoryEvent) bool { return e == deleted })
		m.deliveries = slices.DeleteFunc(m.deliveries, func(d *memoryDelivery) bool { return d.event == deleted })
		return deleted != nil, nil
	})
}

// pending returns up to limit deliveries for which include reports true, ascending by number.
func (m *Memory) pending(ctx context.Context, limit int, include func(*memoryDelivery) bool) ([]webhook.Pending, error) {
	return locked(ctx, m, func() ([]webhook.Pending, error) {
		found := m.find(include)
		pending := make([]webhook.Pending, min(limit, len(found)))
		for i := range pending {
			d := found[i]
			pending[i] = webhook.Pending{Company: d.webhook.Company, Lane: d.webhook.number, Number: d.number, Due: d.due}
		}
		return pending, nil
	})
}

// find returns the deliveries for which include reports true, ascending by number.
func (m *Memory) find(include func(*memoryDelivery) bool) []*memoryDelivery {
	var found []*memoryDelivery
	for _, d := range m.deliveries {
		if include(d) {
			found = append(found, d)
		}
	}
	return found
}

// read returns the delivery as the API shows it.
func (d *memoryDelivery) read(now time.Time) webhook.Delivery {
	read := webhook.Delivery{
		Ref: d.ref(), EventType: d.event.Type, Status: d.statusAt(now), Attempts: slices.Clone(d.attempts),
	}
	if read.Status == webhook.StatusPending && !d.webhook.lane.OpensAt().After(d.due) {
		read.Due = d.due
	}
	return read
}
