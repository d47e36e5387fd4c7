package dynamo

import (
	"cmp"
	"context"
	"time"

	"webhooks/shared/webhook"
)

// Event reads one item.
func (d *Deliveries) Event(ctx context.Context, company, id string) (webhook.Event, error) {
	if !validEventID(id) {
		return webhook.Event{}, webhook.ErrNotFound
	}
	it, err := d.get(ctx, eventKey(company, id), eventAttributes)
	if err != nil {
		return webhook.Event{}, err
	}
	if !isLive(it, d.Now()) {
		return webhook.Event{}, webhook.ErrNotFound
	}
	return eventOf(company, id, it)
}

// ref returns the delivery's ref.
func (s *storedDelivery) ref(company, webhookID string) webhook.Ref {
	return webhook.Ref{Company: company, WebhookID: webhookID, EventID: s.eventID, AcceptedAt: s.acceptedAt, Made: s.made}
}

// delivery returns the delivery as the API shows it at a time.
func (s *storedDelivery) delivery(company, webhookID string, l webhook.Lane, now time.Time) webhook.Delivery {
	d := webhook.Delivery{
		Ref: s.ref(company, webhookID), EventType: s.eventType, Attempts: s.attempts,
		Status: webhook.StatusOf(s.status, l, s.acceptedAt, now),
	}
	if d.Status == webhook.StatusPending && !l.OpensAt().After(s.due) {
		d.Due = s.due
	}
	return d
}

// Delivery reads the webhook's version, the lane and the delivery in one call.
func (d *Deliveries) Delivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error) {
	stored, lane, err := d.delivery(ctx, company, webhookID, deliveryID, now)
	if err != nil {
		return webhook.Delivery{}, err
	}
	return stored.delivery(company, webhookID, lane, now), nil
}

// delivery returns a delivery of an existing webhook, and its lane, or [webhook.ErrNotFound].
func (d *Deliveries) delivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (storedDelivery, webhook.Lane, error) {
	if !webhook.ValidID(webhookID) || !validDeliveryID(deliveryID) {
		return storedDelivery{}, webhook.Lane{}, webhook.ErrNotFound
	}
	k := deliveryKey(company, webhookID, deliveryID)
	lanes, items, err := d.lanes(ctx, company, []string{webhookID}, deliveryAttributes, k)
	if err != nil {
		return storedDelivery{}, webhook.Lane{}, err
	}
	lane, exists := lanes[webhookID]
	if !exists || !isLive(items[k], now) {
		return storedDelivery{}, webhook.Lane{}, webhook.ErrNotFound
	}
	stored, err := deliveryOf(items[k])
	return stored, lane, err
}

// lanes returns the lanes of those webhooks that exist, and other items that it reads in the same calls with a projection.
func (d *Deliveries) lanes(ctx context.Context, company string, ids []string, projection string, others ...key) (map[string]webhook.Lane, map[key]item, error) {
	var webhooks, keys []key
	for i, id := range ids { // what belongs together is in the same call
		webhooks, keys = append(webhooks, webhookKey(company, id)), append(keys, laneKey(company, id))
		if i < len(others) {
			keys = append(keys, others[i])
		}
	}
	items, err := d.read(ctx, lookup{&d.subscriptions, versionOnly, webhooks}, lookup{&d.table, projection, keys})
	if err != nil {
		return nil, nil, err
	}
	lanes := make(map[string]webhook.Lane, len(ids))
	for _, id := range ids {
		w := items[webhookKey(company, id)]
		if w == nil {
			continue
		}
		r := reader{item: w}
		stored, err := laneOf(items[laneKey(company, id)], r.number(versionAttr))
		if err != nil || r.err != nil {
			return nil, nil, cmp.Or(r.err, err)
		}
		lanes[id] = stored.Lane
	}
	return lanes, items, nil
}

// RetryDelivery updates the delivery if it is as it was read, and otherwise starts again.
func (d *Deliveries) RetryDelivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error) {
	for attempt := 1; ; attempt++ {
		stored, lane, err := d.delivery(ctx, company, webhookID, deliveryID, now)
		if err != nil {
			return webhook.Delivery{}, err
		}
		if lane.DisabledReason != "" {
			return webhook.Delivery{}, webhook.WebhookDisabled()
		}
		c := changeOf(deliveryKey(company, webhookID, deliveryID))
		c.require(isMade, item{valMade: number(int64(stored.made))})
		c.set(grantedAttr, number(int64(stored.made)+1))
		_, granted, err := d.apply(ctx, c)
		if err != nil {
			return webhook.Delivery{}, err
		}
		if granted {
			return stored.delivery(company, webhookID, lane, now), nil
		}
		if err := pause(ctx, attempt); err != nil {
			return webhook.Delivery{}, webhook.Unavailable(err)
		}
	}
}
