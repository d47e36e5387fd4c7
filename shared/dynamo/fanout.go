package dynamo

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// pageWebhooks is the number of webhooks in a page of a fan-out.
const pageWebhooks = 500

// clockSkew is how far the clocks of two machines may differ. A webhook that was created that shortly after an event may get it.
const clockSkew = time.Second

// nextPage returns the message for the page of a fan-out that follows a list, or nil if there is none.
func nextPage(event webhook.Ref, list webhookList, page int) *webhook.Message {
	if !list.more || len(list.ids) == 0 {
		return nil
	}
	event.WebhookID = ""
	return &webhook.Message{Kind: webhook.MessageFanOut, Ref: event, After: list.ids[len(list.ids)-1], Count: page}
}

// FanOut reads the event, without its body, and the page. It queries the subscriptions only if the page is not stored yet.
func (d *Deliveries) FanOut(ctx context.Context, m webhook.Message) ([]webhook.Ref, *webhook.Message, error) {
	if !validEventID(m.EventID) || m.Count < 1 || m.After != "" && !webhook.ValidID(m.After) {
		return nil, nil, nil
	}
	event, page := eventKey(m.Company, m.EventID), pageKey(m.Company, m.EventID, m.Count)
	found, err := d.read(ctx, lookup{&d.table, listAttributes, []key{event, page}})
	if err != nil || !isLive(found[event], d.Now()) {
		return nil, nil, err
	}
	r := reader{item: found[event]}
	eventType, acceptedAt, expiry := r.text(typeAttr), r.moment(acceptedAtAttr), r.number(ttlAttr)
	if r.err != nil {
		return nil, nil, r.err
	}
	it := found[page]
	if !isPageOf(it, expiry) {
		if it, err = d.addPage(ctx, page, subscription{m.Company, eventType}, m.After, acceptedAt, expiry); err != nil {
			return nil, nil, err
		}
	}
	list, err := listOf(it)
	if err != nil {
		return nil, nil, err
	}
	ref := webhook.Ref{Company: m.Company, EventID: m.EventID, AcceptedAt: acceptedAt}
	return refsTo(ref, list.ids), nextPage(ref, list, m.Count+1), nil
}

// isPageOf reports whether a page exists and belongs to an event that expires at a time, and not to an earlier one with the same ID,
// which has expired.
func isPageOf(page item, expiry int64) bool {
	r := reader{item: page}
	return page != nil && r.number(ttlAttr) == expiry
}

// addPage stores the webhooks that follow, except for those that were created after the event, and returns the page that is stored:
// another call may have been faster.
func (d *Deliveries) addPage(ctx context.Context, k key, s subscription, after string, acceptedAt time.Time, expiry int64) (item, error) {
	list, err := d.edges(ctx, s, after, pageWebhooks)
	if err != nil {
		return nil, err
	}
	latest := webhook.NewID(ulidTime(acceptedAt.Add(clockSkew)) + "ZZZZZZZZZZZZZZZZ")
	if i := slices.IndexFunc(list.ids, func(id string) bool { return id > latest }); i >= 0 {
		list = webhookList{ids: list.ids[:i]} // IDs sort by creation
	}
	it := k.item()
	it[ttlAttr] = number(expiry)
	list.addTo(it)
	condition := isNewOrEarlier
	_, err = d.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &d.name, Item: it, ConditionExpression: &condition, ExpressionAttributeNames: names(condition),
		ExpressionAttributeValues:           item{valExpiry: number(expiry)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	if failed, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return failed.Item, nil
	}
	return it, d.failure(err)
}
