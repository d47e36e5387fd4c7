package webhooktest

import (
	"context"
	"slices"
	"strings"
	"time"

	"webhooks/shared/webhook"
)

// QueueIndex is what deliveries and lanes wait for at a moment.
type QueueIndex struct {
	parked []parkedEntry // wait for their lanes
	timed  []timedEntry
}

type parkedEntry struct {
	webhook.Ref
	id string
}

type timedEntry struct {
	webhook.Waiting
	shard int64
}

// Has reports whether something in a shard waits for a time.
func (i QueueIndex) Has(shard int) bool {
	return slices.ContainsFunc(i.timed, func(e timedEntry) bool { return e.shard == int64(shard) })
}

// HasLane reports whether a lane waits for a time.
func (i QueueIndex) HasLane(company, webhookID string) bool {
	return slices.ContainsFunc(i.timed, func(e timedEntry) bool {
		return e.Company == company && e.WebhookID == webhookID && e.DeliveryID == ""
	})
}

// HasDelivery reports whether a delivery waits, for a time or for its lane.
func (i QueueIndex) HasDelivery(r webhook.Ref) bool {
	return slices.ContainsFunc(i.timed, func(e timedEntry) bool {
		return e.Company == r.Company && e.WebhookID == r.WebhookID && e.DeliveryID == r.DeliveryID()
	}) || slices.ContainsFunc(i.parked, func(e parkedEntry) bool {
		return e.Company == r.Company && e.WebhookID == r.WebhookID && e.EventID == r.EventID
	})
}

// LookLane implements [webhook.QueueStore].
func (m *QueueMemory) LookLane(ctx context.Context, company, webhookID, after string, limit int) (webhook.LaneLook, error) {
	return locked(ctx, m.Memory, func() (webhook.LaneLook, error) {
		look := webhook.LaneLook{Company: company, WebhookID: webhookID}
		if w := m.webhook(company, webhookID); w != nil {
			look.Exists, look.Lane = true, w.lane
		}
		if l := m.lane(company, webhookID); l != nil {
			look.IdleUntil, look.Revision = l.idleUntil, l.revision
		}
		var waiting []parkedEntry
		for _, e := range m.searched().parked {
			if e.Company == company && e.WebhookID == webhookID && e.id > after {
				waiting = append(waiting, e)
			}
		}
		slices.SortFunc(waiting, func(a, b parkedEntry) int { return strings.Compare(a.id, b.id) })
		for _, e := range waiting[:min(limit, len(waiting))] {
			look.Waiting = append(look.Waiting, e.Ref)
		}
		return look, nil
	})
}

// Waiting implements [webhook.QueueStore].
func (m *QueueMemory) Waiting(ctx context.Context, shard int, until time.Time, limit int) ([]webhook.Waiting, error) {
	return locked(ctx, m.Memory, func() ([]webhook.Waiting, error) {
		var waiting []webhook.Waiting
		for _, e := range m.searched().timed {
			if e.shard == int64(shard) && !e.At.After(until) {
				waiting = append(waiting, e.Waiting)
			}
		}
		slices.SortStableFunc(waiting, func(a, b webhook.Waiting) int { return a.At.Compare(b.At) })
		return waiting[:min(limit, len(waiting))], nil
	})
}

// Index returns what deliveries and lanes wait for.
func (m *QueueMemory) Index() QueueIndex {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.index()
}

func (m *QueueMemory) searched() QueueIndex {
	if m.OldIndex != nil {
		return m.OldIndex()
	}
	return m.index()
}

func (m *QueueMemory) index() QueueIndex {
	var index QueueIndex
	add := func(number int64, w webhook.Waiting) {
		if !w.At.IsZero() {
			index.timed = append(index.timed, timedEntry{w, number % webhook.WaitingShards})
		}
	}
	for _, e := range m.entries {
		if e.parked {
			index.parked = append(index.parked, parkedEntry{e.unnumbered(), e.id})
		}
		add(e.number, webhook.Waiting{Company: e.webhook.Company, WebhookID: e.webhook.ID, DeliveryID: e.id, At: e.waitsAt})
	}
	for _, l := range m.lanes {
		add(l.webhook.number, webhook.Waiting{Company: l.webhook.Company, WebhookID: l.webhook.ID, At: l.waitsAt})
	}
	return index
}
