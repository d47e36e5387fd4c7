package dynamo

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// firstWebhooks is how many webhooks are stored with an event. The others are in pages, see FanOut.
const firstWebhooks = 100

// AcceptEvents does what Accept does, for callers that send what is to be sent in another way.
func (d *Deliveries) AcceptEvents(ctx context.Context, events []webhook.NewEvent) ([]bool, error) {
	accepted, err := d.Accept(ctx, events)
	if err != nil {
		return nil, err
	}
	replayed := make([]bool, len(accepted))
	for i, a := range accepted {
		replayed[i] = a.Replayed
	}
	return replayed, nil
}

// Accept queries the subscriptions to each type once, and then puts the event, or all events in one transaction. Only if a type has
// no subscription, it reads the type. Only if an event is stored already, it reads that, without its body, and which deliveries exist.
func (d *Deliveries) Accept(ctx context.Context, events []webhook.NewEvent) ([]webhook.Accepted, error) {
	lists, err := d.subscribers(ctx, events)
	if err != nil {
		return nil, err
	}
	if err := d.checkTypes(ctx, events, lists); err != nil {
		return nil, err
	}
	stored, err := d.storeEvents(ctx, events, lists)
	if err != nil {
		return nil, err
	}
	accepted := make([]webhook.Accepted, len(events))
	for i, e := range events {
		ref, list := webhook.Ref{Company: e.Company, EventID: e.ID, AcceptedAt: e.AcceptedAt}, lists[typeOfEvent(e)]
		if it := stored[i]; it != nil {
			r := reader{item: it}
			ref.AcceptedAt = r.moment(acceptedAtAttr)
			if list, err = listOf(it); err != nil || r.err != nil {
				return nil, errors.Join(err, r.err)
			}
		}
		accepted[i] = webhook.Accepted{Replayed: stored[i] != nil, Deliveries: refsTo(ref, list.ids), FanOut: nextPage(ref, list, 1)}
	}
	return accepted, d.dropAttempted(ctx, accepted)
}

// subscription is what the webhooks that an event is for have in common.
type subscription struct{ company, eventType string }

func typeOfEvent(e webhook.NewEvent) subscription { return subscription{e.Company, e.Type} }

// subscribers returns the first webhooks for the types of events that can exist.
func (d *Deliveries) subscribers(ctx context.Context, events []webhook.NewEvent) (map[subscription]webhookList, error) {
	lists := make(map[subscription]webhookList)
	for _, e := range events {
		if webhook.StorableEventTypeName(e.Type) {
			lists[typeOfEvent(e)] = webhookList{}
		}
	}
	types := slices.Collect(maps.Keys(lists))
	found := make([]webhookList, len(types))
	err := concurrently(ctx, len(types), func(ctx context.Context, i int) (err error) {
		found[i], err = d.edges(ctx, types[i], "", firstWebhooks)
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, t := range types {
		lists[t] = found[i]
	}
	return lists, nil
}

// edges returns up to limit webhooks that subscribe to a type: those after an ID, or the first ones if it is empty.
func (d *Deliveries) edges(ctx context.Context, s subscription, after string, limit int) (webhookList, error) {
	in := d.subscriptions.queryInput(edgeKey(s.company, s.eventType, "").partition, "")
	in.ProjectionExpression, _ = projected(sortKey)
	in.Select = types.SelectSpecificAttributes
	if after != "" {
		in.ExclusiveStartKey = edgeKey(s.company, s.eventType, after).item()
	}
	items, err := d.subscriptions.run(ctx, in, limit+1)
	if err != nil {
		return webhookList{}, err
	}
	list := webhookList{ids: make([]string, min(limit, len(items))), more: len(items) > limit}
	for i := range list.ids {
		r := reader{item: items[i]}
		if list.ids[i] = r.textAfter(sortKey, webhookPrefix); r.err != nil {
			return webhookList{}, r.err
		}
	}
	return list, nil
}

// checkTypes returns an error for the first event whose type is neither visible to its company nor subscribed to.
func (d *Deliveries) checkTypes(ctx context.Context, events []webhook.NewEvent, lists map[subscription]webhookList) error {
	var keys []key
	for s, list := range lists {
		if len(list.ids) == 0 {
			keys = append(keys, typeKey("", s.eventType), typeKey(s.company, s.eventType))
		}
	}
	found, err := d.read(ctx, lookup{&d.subscriptions, typeIsHidden, keys})
	if err != nil {
		return err
	}
	for i, e := range events {
		list, storable := lists[typeOfEvent(e)]
		if !storable || len(list.ids) == 0 && !isAvailable(found[typeKey("", e.Type)]) && !isAvailable(found[typeKey(e.Company, e.Type)]) {
			return &webhook.EventError{Index: i, Err: webhook.TypeUnavailable()}
		}
	}
	return nil
}

// storeEvents stores the events that are not stored yet, and returns the items of the others, without their bodies. If it returns
// an error for one of them, it has stored none. The list of each event is the one of its type.
func (d *Deliveries) storeEvents(ctx context.Context, events []webhook.NewEvent, lists map[subscription]webhookList) (stored []item, err error) {
	stored = make([]item, len(events))
	id := newWriteID()
	for attempt := 1; ; attempt++ {
		var writes []types.TransactWriteItem
		for i, e := range events {
			if stored[i] == nil {
				write := d.put(d.eventItem(e, lists[typeOfEvent(e)]), isNewOrOver)
				write.Put.Item[writeAttr] = id
				write.Put.ExpressionAttributeValues = item{valNow: number(e.AcceptedAt.Unix())}
				writes = append(writes, write)
			}
		}
		err := d.putAll(ctx, writes)
		if !anyConditionFailed(err) {
			return stored, d.failure(err)
		}
		mine, err := d.findStored(ctx, events, stored, id)
		if mine || err != nil {
			return stored, err
		}
		if err := pause(ctx, attempt); err != nil {
			return nil, webhook.Unavailable(err)
		}
	}
}

// putAll writes one item, or several in one transaction.
func (d *Deliveries) putAll(ctx context.Context, writes []types.TransactWriteItem) error {
	switch len(writes) {
	case 0:
		return nil
	case 1:
		p := writes[0].Put
		_, err := d.client.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: p.TableName, Item: p.Item, ConditionExpression: p.ConditionExpression,
			ExpressionAttributeNames: p.ExpressionAttributeNames, ExpressionAttributeValues: p.ExpressionAttributeValues,
		})
		return err
	default:
		return d.transact(ctx, writes)
	}
}

// findStored adds the events that were stored by others. It reports whether the only one was stored by this call: then the response
// to an earlier attempt was lost. It reads them all, because DynamoDB may report only one of several reasons for which a transaction
// failed, and would report the bodies with it.
func (d *Deliveries) findStored(ctx context.Context, events []webhook.NewEvent, stored []item, id *types.AttributeValueMemberS) (mine bool, err error) {
	keys := make([]key, len(events))
	for i, e := range events {
		keys[i] = eventKey(e.Company, e.ID)
	}
	found, err := d.read(ctx, lookup{&d.table, sentAttributes, keys})
	if err != nil {
		return false, err
	}
	for i, e := range events {
		it := found[keys[i]]
		if !isLive(it, e.AcceptedAt) {
			continue
		}
		if wroteLast(it, id) {
			mine = true
			continue
		}
		var sent [sha256.Size]byte
		r := reader{item: it}
		if r.fill(sent[:], sentAttr); r.err != nil {
			return false, r.err
		}
		if !bytes.Equal(sent[:], e.Sent[:]) {
			return false, &webhook.EventError{Index: i, Err: webhook.KeyUsed()}
		}
		stored[i] = it
	}
	return mine, nil
}

// dropAttempted removes the deliveries of replayed events that have had an attempt.
func (d *Deliveries) dropAttempted(ctx context.Context, accepted []webhook.Accepted) error {
	var keys []key
	for _, a := range accepted {
		if a.Replayed {
			for _, r := range a.Deliveries {
				keys = append(keys, keyOfRef(r))
			}
		}
	}
	found, err := d.read(ctx, lookup{&d.table, madeOnly, keys})
	if err != nil {
		return err
	}
	for i, a := range accepted {
		accepted[i].Deliveries = slices.DeleteFunc(a.Deliveries, func(ref webhook.Ref) bool {
			r := reader{item: found[keyOfRef(ref)]}
			return r.item != nil && r.number(madeAttr) > 0
		})
	}
	return nil
}

// refsTo returns the deliveries of an event to webhooks.
func refsTo(event webhook.Ref, webhooks []string) []webhook.Ref {
	refs := make([]webhook.Ref, len(webhooks))
	for i, id := range webhooks {
		refs[i] = event
		refs[i].WebhookID = id
	}
	return refs
}
