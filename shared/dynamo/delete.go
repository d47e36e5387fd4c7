package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// DeleteWebhook reads the webhook for its events and version, then removes it and its edges and decrements the counter in
// one transaction. If the webhook has changed in between, it starts again.
func (s *Store) DeleteWebhook(ctx context.Context, company, id string) error {
	for attempt := 1; ; attempt++ {
		w, err := s.Webhook(ctx, company, id)
		if err != nil {
			return err
		}
		err = s.transact(ctx, s.deletion(w))
		if !conditionFailed(err) {
			return s.failure(err)
		}
		if err := pause(ctx, attempt); err != nil {
			return webhook.Unavailable(err)
		}
	}
}

// deletion returns the writes of a deletion. The first is the webhook's, which has the condition.
func (s *Store) deletion(w webhook.Webhook) []types.TransactWriteItem {
	writes := make([]types.TransactWriteItem, 0, 2+len(w.Events))
	writes = append(writes, s.remove(webhookKey(w.Company, w.ID)))
	writes[0].Delete.ConditionExpression = pointer(isUnchanged)
	writes[0].Delete.ExpressionAttributeValues = item{valVersion: number(w.Version)}
	writes = append(writes, s.update(counterKey(w.Company), count, "", item{valChange: number(-1)}))
	for _, name := range w.Events {
		writes = append(writes, s.remove(edgeKey(w.Company, name, w.ID)))
	}
	return writes
}
