package dynamo

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"webhooks/shared/webhook"
)

// Lane reads the webhook, without its token, and its lane in one call.
func (d *Deliveries) Lane(ctx context.Context, company, id string) (webhook.Webhook, webhook.Lane, error) {
	if !webhook.ValidID(id) {
		return webhook.Webhook{}, webhook.Lane{}, webhook.ErrNotFound
	}
	w, lane := webhookKey(company, id), laneKey(company, id)
	items, err := d.read(ctx, lookup{&d.subscriptions, partitionKey + ", " + withoutToken, []key{w}}, lookup{&d.table, laneAttributes, []key{lane}})
	if err != nil {
		return webhook.Webhook{}, webhook.Lane{}, err
	}
	if items[w] == nil {
		return webhook.Webhook{}, webhook.Lane{}, webhook.ErrNotFound
	}
	found, err := webhookOf(company, items[w], false)
	if err != nil {
		return webhook.Webhook{}, webhook.Lane{}, err
	}
	stored, err := laneOf(items[lane], found.Version)
	return found, stored.Lane, err
}

// LookLane queries what waits for the lane, and then reads it, the lane and the webhook's version, 100 items in a call.
func (d *Deliveries) LookLane(ctx context.Context, company, webhookID, after string, limit int) (webhook.LaneLook, error) {
	look := webhook.LaneLook{Company: company, WebhookID: webhookID}
	if !webhook.ValidID(webhookID) {
		return look, nil
	}
	if after == "" {
		after = deliveryPrefix // comes before all IDs
	}
	where := laneWait(company, webhookID)
	waiting, err := d.waiting(ctx, waitsAfter, where, after, limit)
	if err != nil {
		return look, err
	}
	w, lane := webhookKey(company, webhookID), laneKey(company, webhookID)
	keys := []key{lane}
	for _, it := range waiting {
		keys = append(keys, keyOf(it))
	}
	items, err := d.read(ctx, lookup{&d.subscriptions, versionOnly, []key{w}}, lookup{&d.table, waitingAttributes, keys})
	if err != nil {
		return look, err
	}
	version := int64(0) // of no webhook
	if look.Exists = items[w] != nil; look.Exists {
		r := reader{item: items[w]}
		if version = r.number(versionAttr); r.err != nil {
			return look, r.err
		}
	}
	stored, err := laneOf(items[lane], version)
	if err != nil {
		return look, err
	}
	look.Lane, look.IdleUntil, look.Revision = stored.Lane, stored.idleUntil, stored.revision
	for _, k := range keys[1:] {
		if items[k] == nil {
			continue
		}
		delivery, err := deliveryOf(items[k])
		if err != nil {
			return look, err
		}
		if delivery.wait == where { // unless the index is behind
			look.Waiting = append(look.Waiting, delivery.ref(company, webhookID))
		}
	}
	return look, nil
}

// MoveLane implements [webhook.QueueStore] with one update, or one deletion.
func (d *Deliveries) MoveLane(ctx context.Context, l webhook.LaneLook, m webhook.LaneMove) (bool, error) {
	if !webhook.ValidID(l.WebhookID) {
		return false, nil
	}
	if m.At.IsZero() && !l.Exists {
		return d.removeLane(ctx, l.Company, l.WebhookID, l.Revision)
	}
	c := laneChange(l.Company, l.WebhookID, l.Revision, m.At)
	if m.Idle {
		c.set(idleAttr, moment(m.At))
	} else {
		c.remove(idleAttr)
	}
	if m.Probe {
		c.set(probeAtAttr, moment(m.At))
	}
	_, moved, err := d.apply(ctx, c)
	return moved, err
}

// laneChange returns the change of a lane, at a revision, that makes it wait for a time, or not if the time is zero. It creates the
// lane if the revision is 0, for no version of its webhook, so that it counts as new.
func laneChange(company, webhookID string, revision int64, at time.Time) *change {
	c := changeOf(laneKey(company, webhookID))
	if revision == 0 {
		c.require(isNew, nil)
	} else {
		c.require(isRevision, item{valRevision: number(revision)})
	}
	c.set(revisionAttr, number(revision+1))
	if at.IsZero() {
		c.waits("", "")
	} else {
		c.waits(timeWait(c.key), waitMillis(at))
	}
	return c
}

// removeLane deletes a lane at a revision. If the response is lost, it finds no lane when it is repeated, which is as good.
func (d *Deliveries) removeLane(ctx context.Context, company, webhookID string, revision int64) (bool, error) {
	_, err := d.client.DeleteItem(ctx, &dynamodb.DeleteItemInput{
		TableName: &d.name, Key: laneKey(company, webhookID).item(),
		ConditionExpression:       pointer(isGoneOr),
		ExpressionAttributeValues: item{valRevision: number(revision)},
	})
	if conditionFailed(err) {
		return false, nil
	}
	return err == nil, d.failure(err)
}
