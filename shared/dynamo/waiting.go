package dynamo

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// Park updates the delivery, and then reads the lane: if that does not wait, or is about to stop waiting because nothing waits for
// it, it updates that, too. If it read the lane first, the lane could stop waiting in between.
func (d *Deliveries) Park(ctx context.Context, w webhook.Work, now time.Time) (bool, error) {
	c := d.withoutAttempt(w, webhook.StatusPending)
	c.waits(laneWait(w.Company, w.WebhookID), w.DeliveryID())
	if _, parked, err := d.apply(ctx, c); err != nil || !parked {
		return false, err
	}
	k := laneKey(w.Company, w.WebhookID)
	for attempt := 1; ; attempt++ {
		items, err := d.read(ctx, lookup{&d.table, laneAttributes, []key{k}})
		if err != nil {
			return false, err
		}
		lane, err := laneOf(items[k], w.Webhook.Version)
		if err != nil || lane.Holds(w.AcceptedAt) {
			return false, err
		}
		at, waited := lane.waitsFor, !lane.waitsFor.IsZero()
		switch {
		case waited && lane.idleUntil.IsZero():
			return false, nil
		case !waited:
			at = later(lane.OpensAt(), now)
		}
		c := laneChange(w.Company, w.WebhookID, lane.revision, at)
		c.remove(idleAttr)
		_, moved, err := d.apply(ctx, c)
		if err != nil || moved {
			return moved && !waited && !at.After(now), err
		}
		if err := pause(ctx, min(attempt, maxAttempts-1)); err != nil {
			return false, webhook.Unavailable(err)
		}
	}
}

// Settle implements [webhook.QueueStore].
func (d *Deliveries) Settle(ctx context.Context, w webhook.Work) error {
	c := d.withoutAttempt(w, webhook.StatusFailed)
	c.waits("", "")
	_, _, err := d.apply(ctx, c)
	return err
}

// withoutAttempt returns a change of the status of an unfinished delivery, which may not be stored yet.
func (d *Deliveries) withoutAttempt(w webhook.Work, status webhook.Status) *change {
	c := d.changeOf(w.Ref, w.Event.Type)
	c.require(isOpen, item{valStatus: text(string(webhook.StatusPending))})
	c.keep(attemptsAttr, &types.AttributeValueMemberL{})
	c.keep(stepAttr, number(int64(w.Step)))
	c.keep(madeAttr, number(int64(w.Made)))
	c.set("#"+statusAttr, text(string(status)))
	c.remove(dueAttr)
	return c
}

// Waiting queries the index.
func (d *Deliveries) Waiting(ctx context.Context, shard int, until time.Time, limit int) ([]webhook.Waiting, error) {
	items, err := d.waiting(ctx, waitsUntil, shardWait(shard), waitMillis(until), limit)
	if err != nil {
		return nil, err
	}
	entries := make([]webhook.Waiting, 0, len(items))
	for _, it := range items {
		r, k := reader{item: it}, keyOf(it)
		company, webhookID, ok := webhookOfLane(k.partition)
		if !ok {
			r.fail(partitionKey)
		}
		entry := webhook.Waiting{Company: company, WebhookID: webhookID, At: waitTime(&r)}
		if k.sort != laneSort {
			entry.DeliveryID = k.sort
		}
		if r.err != nil {
			return nil, r.err
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// waiting queries the index, which may be a moment behind the table, for up to limit items.
func (d *Deliveries) waiting(ctx context.Context, condition, where, at string, limit int) ([]item, error) {
	projection := waitOnly
	return d.run(ctx, &dynamodb.QueryInput{
		TableName: &d.name, IndexName: pointer(indexName),
		KeyConditionExpression: &condition, ProjectionExpression: &projection, Select: types.SelectSpecificAttributes,
		ExpressionAttributeNames:  names(condition),
		ExpressionAttributeValues: item{valWait: text(where), valWaitAt: text(at)},
	}, limit)
}

// Claim implements [webhook.QueueStore] with one update.
func (d *Deliveries) Claim(ctx context.Context, w webhook.Waiting, until time.Time) (webhook.Message, bool, error) {
	k := laneKey(w.Company, w.WebhookID)
	if w.DeliveryID != "" {
		k.sort = w.DeliveryID
	}
	c := changeOf(k)
	c.returnsItem = true
	c.require(stillWaits, item{valWait: text(timeWait(k)), valWaitAt: text(waitMillis(w.At))})
	c.set(waitAt, text(waitMillis(until)))
	if w.DeliveryID == "" {
		c.count(revisionAttr)
	}
	it, claimed, err := d.apply(ctx, c)
	if err != nil || !claimed {
		return webhook.Message{}, false, err
	}
	m := webhook.Message{Kind: webhook.MessageLane, Ref: webhook.Ref{Company: w.Company, WebhookID: w.WebhookID}, Slow: true, Count: 1}
	if w.DeliveryID != "" {
		stored, err := deliveryOf(it)
		if err != nil {
			return webhook.Message{}, false, err
		}
		m = webhook.Message{Kind: webhook.MessageDelivery, Ref: stored.ref(w.Company, w.WebhookID)}
	}
	return m, true, nil
}
