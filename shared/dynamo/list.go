package dynamo

import (
	"context"
	"math"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// Webhook reads one item.
func (s *Store) Webhook(ctx context.Context, company, id string) (webhook.Webhook, error) {
	if !webhook.ValidID(id) {
		return webhook.Webhook{}, webhook.ErrNotFound
	}
	it, err := s.get(ctx, webhookKey(company, id), s.webhookProjection())
	if err != nil {
		return webhook.Webhook{}, err
	}
	if it == nil {
		return webhook.Webhook{}, webhook.ErrNotFound
	}
	return webhookOf(company, it, !s.withoutTokens)
}

func (s *Store) webhookProjection() string {
	if s.withoutTokens {
		return withoutToken
	}
	return allAttributes
}

// ListWebhooks reads the counter and the page, concurrently if it is the first page. For a later page it reads the counter
// first, to find out whether the page exists, and then skips the webhooks before it with a COUNT query.
func (s *Store) ListWebhooks(ctx context.Context, company string, page webhook.Page) (webhook.List, error) {
	if page.Offset() > 0 {
		return s.laterPage(ctx, company, page)
	}
	var list webhook.List
	err := both(
		func() (err error) {
			list.Count, err = s.count(ctx, company)
			return err
		},
		func() (err error) {
			list.Webhooks, err = s.webhooks(ctx, company, nil, page.Size)
			return err
		},
	)
	if err != nil {
		return webhook.List{}, err
	}
	return list, nil
}

func (s *Store) laterPage(ctx context.Context, company string, page webhook.Page) (webhook.List, error) {
	count, err := s.count(ctx, company)
	if err != nil || page.Offset() >= int64(count) {
		return webhook.List{Count: count}, err
	}
	last, err := s.skip(ctx, company, page.Offset())
	if err != nil || last == nil {
		return webhook.List{Count: count}, err
	}
	webhooks, err := s.webhooks(ctx, company, last, page.Size)
	return webhook.List{Count: count, Webhooks: webhooks}, err
}

func (s *Store) count(ctx context.Context, company string) (int, error) {
	it, err := s.get(ctx, counterKey(company), onlyCount)
	if err != nil {
		return 0, err
	}
	return counterOf(it)
}

// webhooks reads up to limit webhooks after a key, or the first ones if it is nil.
func (s *Store) webhooks(ctx context.Context, company string, after item, limit int) ([]webhook.Webhook, error) {
	in := s.queryInput(companyPartition(company), webhookPrefix)
	in.ExclusiveStartKey = after
	in.ProjectionExpression, in.ExpressionAttributeNames = projected(s.webhookProjection())
	if in.ProjectionExpression != nil {
		in.Select = types.SelectSpecificAttributes // the default then, but the roles require it
	}
	items, err := s.run(ctx, in, limit)
	if err != nil {
		return nil, err
	}
	webhooks := make([]webhook.Webhook, len(items))
	for i, it := range items {
		if webhooks[i], err = webhookOf(company, it, !s.withoutTokens); err != nil {
			return nil, err
		}
	}
	return webhooks, nil
}

// skip returns the key of a company's n-th webhook, or nil if no more follow it.
func (s *Store) skip(ctx context.Context, company string, n int64) (item, error) {
	in := s.queryInput(companyPartition(company), webhookPrefix)
	in.Select = types.SelectCount
	for n > 0 {
		in.Limit = pointer(int32(min(n, math.MaxInt32)))
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, s.failure(err)
		}
		if out.LastEvaluatedKey == nil {
			return nil, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
		n -= int64(out.Count)
	}
	return in.ExclusiveStartKey, nil
}
