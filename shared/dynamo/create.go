package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// The positions of the writes in a creation's transaction. The edges follow them.
const (
	_ = iota // the webhook
	counterWrite
	idempotencyWrite
)

// PrepareCreation reads the counter, the idempotency record and every event type, of the platform and of the company, in
// one batch of at most 82 items.
func (s *Store) PrepareCreation(ctx context.Context, q webhook.CreationQuery) (webhook.CreationState, error) {
	keys := make([]item, 0, 2+2*len(q.Events))
	keys = append(keys, counterKey(q.Company).item())
	if q.Key != nil {
		keys = append(keys, idempotencyKey(q.Company, *q.Key).item())
	}
	for _, name := range q.Events {
		if webhook.StorableEventTypeName(name) { // a type with another name cannot exist
			keys = append(keys, typeKey("", name).item(), typeKey(q.Company, name).item())
		}
	}
	items, err := s.batchGet(ctx, keys)
	if err != nil {
		return webhook.CreationState{}, err
	}
	return creationState(q, items)
}

func creationState(q webhook.CreationQuery, items []item) (state webhook.CreationState, err error) {
	found := make(map[key]item, len(items))
	for _, it := range items {
		found[keyOf(it)] = it
	}
	if state.Count, err = counterOf(found[counterKey(q.Company)]); err != nil {
		return webhook.CreationState{}, err
	}
	if q.Key != nil {
		state.Earlier, err = earlierOf(found[idempotencyKey(q.Company, *q.Key)], q.Now)
		if err != nil {
			return webhook.CreationState{}, err
		}
	}
	for _, name := range q.Events {
		if !isAvailable(found[typeKey("", name)]) && !isAvailable(found[typeKey(q.Company, name)]) {
			state.Unavailable = append(state.Unavailable, name)
		}
	}
	return state, nil
}

func isAvailable(eventType item) bool {
	r := reader{item: eventType}
	return eventType != nil && !r.has(hiddenAttr)
}

// CreateWebhook writes the webhook, the counter, the idempotency record and an edge for every event in one transaction of
// at most 43 items.
func (s *Store) CreateWebhook(ctx context.Context, c webhook.Creation) (*webhook.EarlierCreation, error) {
	err := s.transact(ctx, s.creation(c))
	if err == nil {
		return nil, nil
	}
	earlier, readErr := s.earlierThan(ctx, c, err)
	if earlier != nil || readErr != nil {
		return earlier, readErr
	}
	if _, full := unmet(err, counterWrite); full {
		return nil, webhook.QuotaReached(c.Quota)
	}
	return nil, s.failure(err)
}

// earlierThan returns the creation under the same idempotency key if that is why this one failed. A reached quota may
// hide it, because DynamoDB may report only one of several reasons.
func (s *Store) earlierThan(ctx context.Context, c webhook.Creation, failed error) (*webhook.EarlierCreation, error) {
	_, full := unmet(failed, counterWrite)
	stored, taken := unmet(failed, idempotencyWrite)
	if c.Idempotency == nil || !full && !taken {
		return nil, nil
	}
	if len(stored) == 0 {
		var err error
		if stored, err = s.get(ctx, idempotencyKey(c.Webhook.Company, c.Idempotency.Key), allAttributes); err != nil {
			return nil, err
		}
	}
	return earlierOf(stored, c.Webhook.CreatedAt)
}

func (s *Store) creation(c webhook.Creation) []types.TransactWriteItem {
	w := c.Webhook
	writes := make([]types.TransactWriteItem, 0, 3+len(w.Events))
	writes = append(writes, s.put(webhookItem(w), isNew), s.countUp(w.Company, c.Quota))
	if c.Idempotency != nil {
		record := s.put(idempotencyItem(w, *c.Idempotency), isNewOrExpired)
		record.Put.ExpressionAttributeValues = item{valNow: moment(w.CreatedAt)}
		record.Put.ReturnValuesOnConditionCheckFailure = types.ReturnValuesOnConditionCheckFailureAllOld
		writes = append(writes, record)
	}
	for _, name := range w.Events {
		writes = append(writes, s.put(edgeKey(w.Company, name, w.ID).item(), ""))
	}
	return writes
}

func (s *Store) countUp(company string, quota int) types.TransactWriteItem {
	condition := isBelowAnyQuota
	if quota <= 0 {
		condition = isBelowQuota
	}
	return s.update(counterKey(company), count, condition,
		item{valChange: number(1), valQuota: number(int64(quota))})
}
