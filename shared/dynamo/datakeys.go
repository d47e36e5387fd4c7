package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"webhooks/shared/webhook"
)

// DataKeys returns the encrypted data keys of webhook tokens in the order of their numbers: 0, 1, 2, …
func (s *Store) DataKeys(ctx context.Context) ([][]byte, error) {
	items, err := s.query(ctx, dataKeysPartition, "")
	if err != nil {
		return nil, err
	}
	keys := make([][]byte, len(items))
	for i, it := range items {
		r := reader{item: it}
		if keys[i] = r.binary(dataKeyAttr); r.err != nil {
			return nil, r.err
		}
	}
	return keys, nil
}

// AddDataKey stores an encrypted data key under a number that counts from 0. It returns webhook.KindConflict if the number
// is taken, possibly by this very call, if its first response was lost. Read all keys again in either case.
func (s *Store) AddDataKey(ctx context.Context, number int, encrypted []byte) error {
	it := dataKeyKey(number).item()
	it[dataKeyAttr] = binary(encrypted)
	_, err := s.client.PutItem(ctx, &dynamodb.PutItemInput{
		TableName:           &s.name,
		Item:                it,
		ConditionExpression: pointer(isNew),
	})
	if conditionFailed(err) {
		return webhook.Errorf(webhook.KindConflict, "Data key number %d already exists.", number)
	}
	return s.failure(err)
}
