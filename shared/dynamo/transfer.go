package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// WebhooksAfter queries a company's webhooks after a key.
func (s *Store) WebhooksAfter(ctx context.Context, company, after string, limit int) ([]webhook.Webhook, error) {
	if after == "" {
		return s.webhooks(ctx, company, nil, limit)
	}
	return s.webhooks(ctx, company, webhookKey(company, after).item(), limit)
}

// ImportWebhook is the transaction of a creation without the conditions on quota and idempotency.
func (s *Store) ImportWebhook(ctx context.Context, w webhook.Webhook) error {
	writes := s.creation(webhook.Creation{Webhook: w})
	writes[counterWrite] = s.update(counterKey(w.Company), count, "", item{valChange: number(1)})
	err := s.transact(ctx, writes)
	if conditionFailed(err) {
		return webhook.WebhookExists(w.ID)
	}
	return s.failure(err)
}

// AllEventTypes queries one level.
func (s *Store) AllEventTypes(ctx context.Context, company string) ([]webhook.EventType, error) {
	eventTypes, err := s.typesOf(ctx, company)
	if err != nil {
		return nil, err
	}
	return webhook.TypesByAge(eventTypes), nil
}

// ImportEventType is a transaction because of the token: a plain put that is retried after its response was lost would
// find its own item and return a conflict.
func (s *Store) ImportEventType(ctx context.Context, t webhook.EventType) error {
	it := typeItem(t)
	if t.Hidden {
		it[hiddenAttr] = &types.AttributeValueMemberBOOL{Value: true}
	}
	err := s.transact(ctx, []types.TransactWriteItem{s.put(it, isNew)})
	if conditionFailed(err) {
		return webhook.TypeExists(t.Name)
	}
	return s.failure(err)
}
