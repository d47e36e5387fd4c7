package dynamo

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// The positions of the writes in the transaction of an outcome.
const (
	deliveryWrite = iota
	laneWrite
)

// Record updates the delivery, if the stored number of attempts is the expected one. Only if the outcome may change the lane, it
// reads that and the webhook's version, and updates both items in one transaction. It starts again if others
// are busy with the lane.
func (d *Deliveries) Record(ctx context.Context, o webhook.Outcome) (bool, error) {
	if !validRef(o.Ref) || o.Made < 0 {
		return false, nil
	}
	if o.Lane == webhook.LaneUnchanged && o.Attempt.Duration <= webhook.SlowAttempt {
		_, applied, err := d.apply(ctx, d.outcome(o))
		return applied, err
	}
	for attempt := 1; ; attempt++ {
		applied, laneChanged, err := d.recordWithLane(ctx, o)
		if err != nil || !laneChanged {
			return applied, err
		}
		// Whenever the lane has changed, another outcome was recorded. So only the deadline limits how often this is repeated: the
		// attempt was made, and without its outcome it would be made again.
		if err := pause(ctx, min(attempt, maxAttempts-1)); err != nil {
			return false, webhook.Unavailable(err)
		}
	}
}

func (d *Deliveries) recordWithLane(ctx context.Context, o webhook.Outcome) (applied, laneChanged bool, err error) {
	w, stored := webhookKey(o.Company, o.WebhookID), laneKey(o.Company, o.WebhookID)
	items, err := d.read(ctx, lookup{&d.subscriptions, versionOnly, []key{w}}, lookup{&d.table, laneAttributes, []key{stored}})
	if err != nil || items[w] == nil {
		return false, false, err // without its webhook, the delivery does not exist
	}
	r := reader{item: items[w]}
	version := r.number(versionAttr)
	lane, err := laneOf(items[stored], version)
	if err != nil || r.err != nil {
		return false, false, cmp.Or(r.err, err)
	}
	next := laneAfter(lane, o, version)
	if next == lane {
		_, applied, err := d.apply(ctx, d.outcome(o))
		return applied, false, err
	}
	next.revision++
	err = d.transact(ctx, []types.TransactWriteItem{
		deliveryWrite: d.write(d.outcome(o)),
		laneWrite:     d.putLane(o.Company, o.WebhookID, next, version),
	})
	if _, outdated := unmet(err, deliveryWrite); outdated {
		return false, false, nil
	}
	if _, changed := unmet(err, laneWrite); changed || isContended(err) {
		return false, true, nil
	}
	return err == nil, false, d.failure(err)
}

// laneAfter returns the lane after an outcome, for the current version of its webhook.
func laneAfter(lane storedLane, o webhook.Outcome, version int64) storedLane {
	if o.WebhookVersion != version {
		return lane
	}
	next, ended := lane, o.Attempt.Ended()
	next.Lane = lane.Apply(o.Lane, ended, o.PausedUntil)
	if o.Attempt.Duration > webhook.SlowAttempt && next.SlowUntil.Before(ended.Add(webhook.SlowFor/2)) {
		next.SlowUntil = ended.Add(webhook.SlowFor)
	}
	if opensAt := next.OpensAt(); next.Lane != lane.Lane && !lane.waitsFor.IsZero() && opensAt.After(ended) {
		next.waitsFor = opensAt
		next.idleUntil = time.Time{} // the next look may be too early to be sure that nothing waits
	}
	return next
}

// putLane returns the write of a lane that replaces the revision before its own.
func (d *Deliveries) putLane(company, webhookID string, lane storedLane, version int64) types.TransactWriteItem {
	it := laneItem(company, webhookID, lane, version)
	if lane.revision == 1 {
		return d.put(it, isNew)
	}
	write := d.put(it, isRevision)
	write.Put.ExpressionAttributeValues = item{valRevision: number(lane.revision - 1)}
	return write
}

// outcome returns the change of a delivery by an outcome. It creates the delivery if this is the first attempt.
func (d *Deliveries) outcome(o webhook.Outcome) *change {
	c := d.changeOf(o.Ref, o.EventType)
	if o.Made == 0 {
		c.set(attemptsAttr, &types.AttributeValueMemberL{Value: []types.AttributeValue{attemptValue(o.Attempt)}})
	} else {
		c.set(fmt.Sprintf("%s[%d]", attemptsAttr, webhook.MaxAttempts), attemptValue(o.Attempt)) // appends it
	}
	if o.Made >= webhook.MaxAttempts {
		c.remove(attemptsAttr + "[0]")
	}
	c.set("#"+responseAttr, text(o.Attempt.Response))
	c.set("#"+statusAttr, text(string(o.Status)))
	c.set(stepAttr, number(int64(o.Step)))
	c.set(madeAttr, number(int64(o.Made)+1))
	c.remove(grantedAttr)
	if o.Due.IsZero() {
		c.remove(dueAttr)
	} else {
		c.set(dueAttr, moment(o.Due))
	}
	switch {
	case o.Status != webhook.StatusPending:
		c.waits("", "")
	case o.Due.IsZero():
		c.waits(laneWait(o.Company, o.WebhookID), o.DeliveryID())
	case o.Due.Sub(o.Attempt.Ended()) > webhook.MaxDelay:
		c.waits(timeWait(c.key), waitMillis(o.Due))
	default: // for a message that is on its way
		c.waits("", "")
	}
	return c
}

// changeOf returns a change of a delivery that has had as many attempts as the ref says. It creates the delivery if that is none.
func (d *Deliveries) changeOf(r webhook.Ref, eventType string) *change {
	c := changeOf(keyOfRef(r))
	c.keep(eventIDAttr, text(r.EventID))
	c.keep("#"+typeAttr, text(eventType))
	c.keep(acceptedAtAttr, moment(r.AcceptedAt))
	c.keep("#"+ttlAttr, d.expiryOf(r.AcceptedAt))
	condition := isMade
	if r.Made == 0 {
		condition = isMadeOrNew
	}
	c.require(condition, item{valMade: number(int64(r.Made))})
	return c
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
