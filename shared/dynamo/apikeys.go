package dynamo

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// CreateKey stores the key twice in one transaction: under its hash for lookups, and under its company and ID for listing
// and revoking.
func (s *Store) CreateKey(ctx context.Context, k access.Key) error {
	if company, ok := access.KeyCompany(k.ID); !ok || company != k.Company {
		return internal(fmt.Errorf("the key ID %q does not belong to company %q: the key could not be revoked", k.ID, k.Company))
	}
	listed := apiKeyItem(listedKeyKey(k.Company, k.ID), k)
	delete(listed, lastUsedOnAttr)
	err := s.transact(ctx, []types.TransactWriteItem{
		s.put(apiKeyItem(apiKeyKey(k.Hash), k), isNew),
		s.put(listed, isNew),
	})
	return s.failure(err)
}

// KeyByHash reads one item.
func (s *Store) KeyByHash(ctx context.Context, hash access.Hash) (access.Key, error) {
	return s.apiKey(ctx, apiKeyKey(hash))
}

func (s *Store) apiKey(ctx context.Context, at key) (access.Key, error) {
	it, err := s.get(ctx, at, allAttributes)
	if err != nil {
		return access.Key{}, err
	}
	if it == nil {
		return access.Key{}, webhook.ErrNotFound
	}
	return apiKeyOf(it)
}

// Keys queries a company's list, and then reads when each key was last used, 100 keys at a time.
func (s *Store) Keys(ctx context.Context, company string) ([]access.Key, error) {
	items, err := s.query(ctx, companyPartition(company), apiKeyPrefix)
	if err != nil {
		return nil, err
	}
	keys := make([]access.Key, len(items))
	for i, it := range items {
		if keys[i], err = apiKeyOf(it); err != nil {
			return nil, err
		}
	}
	for some := range slices.Chunk(keys, maxBatchGet) {
		if err := s.addLastUses(ctx, some); err != nil {
			return nil, err
		}
	}
	return keys, nil
}

func (s *Store) addLastUses(ctx context.Context, keys []access.Key) error {
	lookups := make([]item, len(keys))
	for i, k := range keys {
		lookups[i] = apiKeyKey(k.Hash).item()
	}
	items, err := s.batchGet(ctx, lookups)
	if err != nil {
		return err
	}
	lastUses := make(map[access.Hash]time.Time, len(items))
	for _, it := range items {
		k, err := apiKeyOf(it)
		if err != nil {
			return err
		}
		lastUses[k.Hash] = k.LastUsedOn
	}
	for i := range keys {
		keys[i].LastUsedOn = lastUses[keys[i].Hash]
	}
	return nil
}

// RevokeKey finds the key in the list of the company that its ID names, and sets the time in both places if it is not set
// yet.
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time) error {
	company, ok := access.KeyCompany(id)
	if !ok {
		return webhook.ErrNotFound
	}
	listed := listedKeyKey(company, id)
	k, err := s.apiKey(ctx, listed)
	if err != nil || !k.RevokedAt.IsZero() {
		return err
	}
	values := item{valTime: moment(at)}
	err = s.transact(ctx, []types.TransactWriteItem{
		s.update(apiKeyKey(k.Hash), revokeOnce, exists, values),
		s.update(listed, revokeOnce, exists, values),
	})
	return s.failure(err)
}

// RecordKeyUse updates only the item for lookups, because roles can permit that without permitting changes of a company's items.
func (s *Store) RecordKeyUse(ctx context.Context, hash access.Hash, day time.Time) error {
	_, err := s.client.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName:                 &s.name,
		Key:                       apiKeyKey(hash).item(),
		UpdateExpression:          pointer(setLastUse),
		ConditionExpression:       pointer(isUnusedOn),
		ExpressionAttributeValues: item{valDay: moment(day)},
	})
	if conditionFailed(err) {
		return nil
	}
	return s.failure(err)
}
