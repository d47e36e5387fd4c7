package webhooktest

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"time"

	"webhooks/shared/webhook"
)

// EventDeliveries implements [webhook.DeliveryStore]. A cursor is the ID of a webhook.
func (m *Memory) EventDeliveries(ctx context.Context, company, eventID, cursor string, limit int, now time.Time) (webhook.DeliveryPage, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return webhook.DeliveryPage{}, err
	}
	defer unlock()
	var found []*memoryDelivery
	for _, d := range m.deliveries {
		if d.webhook.Company == company && d.event.ID == eventID && d.webhook.ID > cursor {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, byWebhook)
	var page webhook.DeliveryPage
	for _, d := range found {
		if len(page.Deliveries) == limit {
			page.Next = page.Deliveries[limit-1].WebhookID
			break
		}
		page.Deliveries = append(page.Deliveries, d.read(now))
	}
	return page, nil
}

// Deliveries implements [webhook.DeliveryStore]. A cursor is the number of an event.
func (m *Memory) Deliveries(ctx context.Context, q webhook.DeliveryQuery) (webhook.DeliveryPage, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return webhook.DeliveryPage{}, err
	}
	defer unlock()
	before := int64(math.MaxInt64)
	if q.Cursor != "" {
		if before, err = strconv.ParseInt(q.Cursor, 10, 64); err != nil {
			return webhook.DeliveryPage{}, webhook.InvalidCursor()
		}
	}
	if m.webhook(q.Company, q.WebhookID) == nil {
		return webhook.DeliveryPage{}, webhook.ErrNotFound
	}
	var found []*memoryDelivery
	for _, d := range m.deliveries {
		if d.is(q.Company, q.WebhookID) && d.event.number < before {
			found = append(found, d)
		}
	}
	slices.SortFunc(found, func(a, b *memoryDelivery) int { return cmp.Compare(b.event.number, a.event.number) })
	var page webhook.DeliveryPage
	for examined, d := range found {
		if examined == webhook.MaxExamined || len(page.Deliveries) == q.Limit {
			page.Next = strconv.FormatInt(found[examined-1].event.number, 10)
			break
		}
		if d.matches(q) {
			page.Deliveries = append(page.Deliveries, d.read(q.Now))
		}
	}
	return page, nil
}

func (d *memoryDelivery) matches(q webhook.DeliveryQuery) bool {
	at := d.event.AcceptedAt
	return (q.Status == "" || q.Status == d.statusAt(q.Now)) && (q.Type == "" || q.Type == d.event.Type) &&
		!at.Before(q.From) && (q.To.IsZero() || at.Before(q.To))
}

// Delivery implements [webhook.DeliveryStore].
func (m *Memory) Delivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return webhook.Delivery{}, err
	}
	defer unlock()
	d := m.deliveryByID(company, webhookID, deliveryID)
	if d == nil {
		return webhook.Delivery{}, webhook.ErrNotFound
	}
	return d.read(now), nil
}

// RetryDelivery implements [webhook.DeliveryStore].
func (m *Memory) RetryDelivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error) {
	d, err := m.grant(ctx, company, webhookID, deliveryID, now)
	if err == nil {
		m.changed()
	}
	return d, err
}

func (m *Memory) grant(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return webhook.Delivery{}, err
	}
	defer unlock()
	d := m.deliveryByID(company, webhookID, deliveryID)
	if d == nil {
		return webhook.Delivery{}, webhook.ErrNotFound
	}
	if d.webhook.lane.DisabledReason != "" {
		return webhook.Delivery{}, webhook.WebhookDisabled()
	}
	d.granted = true
	return d.read(now), nil
}

// deliveryByID returns a delivery, or nil.
func (m *Memory) deliveryByID(company, webhookID, deliveryID string) *memoryDelivery {
	for _, d := range m.deliveries {
		if d.is(company, webhookID) && d.ref().DeliveryID() == deliveryID {
			return d
		}
	}
	return nil
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
func (m *Memory) Granted(ctx context.Context, limit int) ([]webhook.Pending, error) {
	granted, err := m.pending(ctx, math.MaxInt, func(d *memoryDelivery) bool {
		return d.granted && d.webhook.lane.DisabledReason == ""
	})
	slices.SortStableFunc(granted, func(a, b webhook.Pending) int { return cmp.Compare(a.Lane, b.Lane) })
	granted = slices.CompactFunc(granted, func(a, b webhook.Pending) bool { return a.Lane == b.Lane })
	return granted[:min(limit, len(granted))], err
}

// pending returns up to limit deliveries for which include reports true, ascending by number.
func (m *Memory) pending(ctx context.Context, limit int, include func(*memoryDelivery) bool) ([]webhook.Pending, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	var found []webhook.Pending
	for _, d := range m.deliveries {
		if len(found) < limit && include(d) {
			found = append(found, webhook.Pending{Lane: d.webhook.number, Number: d.number, Due: d.due})
		}
	}
	return found, nil
}

// LastNumber implements [webhook.Backlog].
func (m *Memory) LastNumber(ctx context.Context) (int64, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer unlock()
	return m.last.delivery, nil
}

// Lanes implements [webhook.Backlog].
func (m *Memory) Lanes(ctx context.Context, after int64, limit int) ([]int64, error) {
	waiting, err := m.pending(ctx, math.MaxInt, func(d *memoryDelivery) bool {
		return d.webhook.number > after && d.status == webhook.StatusPending
	})
	lanes := make([]int64, len(waiting))
	for i, p := range waiting {
		lanes[i] = p.Lane
	}
	slices.Sort(lanes)
	lanes = slices.Compact(lanes)
	return lanes[:min(limit, len(lanes))], err
}

// FanOut implements [webhook.Backlog].
func (m *Memory) FanOut(ctx context.Context) (bool, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	isWaiting := func(e *memoryEvent) bool { return len(e.waiting) > 0 }
	if i := slices.IndexFunc(m.events, isWaiting); i >= 0 {
		m.fanOut(m.events[i])
	}
	return slices.ContainsFunc(m.events, isWaiting), nil
}

// Upkeep implements [webhook.Backlog]. Each step is one delivery or event; deleted webhooks leave nothing behind.
func (m *Memory) Upkeep(ctx context.Context, now, keepFrom time.Time) (bool, error) {
	unlock, err := m.lock(ctx)
	if err != nil {
		return false, err
	}
	defer unlock()
	for _, d := range m.deliveries {
		if d.status == webhook.StatusPending && d.statusAt(now) == webhook.StatusFailed {
			d.status, d.due = webhook.StatusFailed, time.Time{}
			return true, nil
		}
	}
	for i, e := range m.events {
		if e.AcceptedAt.Before(keepFrom) {
			m.events = slices.Delete(m.events, i, i+1)
			m.deliveries = slices.DeleteFunc(m.deliveries, func(d *memoryDelivery) bool { return d.event == e })
			return true, nil
		}
	}
	return false, nil
}
