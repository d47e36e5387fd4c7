package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"webhooks/shared/webhook"
)

// table is a DynamoDB table whose items have the keys pk and sk.
type table struct {
	client *dynamodb.Client
	name   string
}

// get reads the attributes of one item that a projection lists. It returns nil if there is no item.
func (t *table) get(ctx context.Context, k key, projection string) (item, error) {
	in := &dynamodb.GetItemInput{
		TableName:      &t.name,
		Key:            k.item(),
		ConsistentRead: pointer(true),
	}
	in.ProjectionExpression, in.ExpressionAttributeNames = projected(projection)
	out, err := t.client.GetItem(ctx, in)
	if err != nil {
		return nil, t.failure(err)
	}
	return out.Item, nil
}

// allItems means a query without a limit.
const allItems = 0

// query reads all items of a partition, or those with a prefix if it is not empty, in the order of their sort keys.
func (t *table) query(ctx context.Context, partition, prefix string) ([]item, error) {
	return t.run(ctx, t.queryInput(partition, prefix), allItems)
}

// run reads up to limit items with a query. DynamoDB stops at 1 MB, so large items take more than one call.
func (t *table) run(ctx context.Context, in *dynamodb.QueryInput, limit int) ([]item, error) {
	var items []item
	for {
		if limit != allItems {
			in.Limit = pointer(int32(limit - len(items)))
		}
		out, err := t.client.Query(ctx, in)
		if err != nil {
			return nil, t.failure(err)
		}
		if items == nil {
			items = out.Items
		} else {
			items = append(items, out.Items...)
		}
		if out.LastEvaluatedKey == nil || limit != allItems && len(items) >= limit {
			return items, nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

func (t *table) queryInput(partition, prefix string) *dynamodb.QueryInput {
	in := &dynamodb.QueryInput{
		TableName:                 &t.name,
		KeyConditionExpression:    pointer(inPartition),
		ExpressionAttributeValues: item{valPartition: text(partition)},
		ConsistentRead:            pointer(true),
	}
	if prefix != "" {
		in.KeyConditionExpression = pointer(withinPrefix)
		in.ExpressionAttributeValues[valPrefix] = text(prefix)
	}
	return in
}

// maxBatchGet is the maximum number of items that DynamoDB reads in one batch.
const maxBatchGet = 100

// batchGet reads up to [maxBatchGet] items in any order.
func (t *table) batchGet(ctx context.Context, keys []item) ([]item, error) {
	return t.batch(ctx, map[string]types.KeysAndAttributes{t.name: {Keys: keys, ConsistentRead: pointer(true)}})
}

// batch reads up to [maxBatchGet] items of some tables. It asks again for the keys that DynamoDB leaves unprocessed because it is
// busy or the items have more than 16 MB.
func (t *table) batch(ctx context.Context, request map[string]types.KeysAndAttributes) ([]item, error) {
	var items []item
	for attempt := 1; ; attempt++ {
		out, err := t.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: request})
		if err != nil {
			return nil, t.failure(err)
		}
		for _, found := range out.Responses {
			items = append(items, found...)
		}
		if len(out.UnprocessedKeys) == 0 {
			return items, nil
		}
		if err := pause(ctx, attempt); err != nil {
			return nil, webhook.Unavailable(err)
		}
		request = out.UnprocessedKeys
	}
}

// transact writes items in one transaction. The SDK sends a unique token with every call and keeps it for retries, so a
// write whose response was lost does not happen twice.
func (t *table) transact(ctx context.Context, writes []types.TransactWriteItem) error {
	_, err := t.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	return err
}

// put returns the write of a whole item, with a condition if it is not empty.
func (t *table) put(it item, condition string) types.TransactWriteItem {
	p := &types.Put{TableName: &t.name, Item: it}
	if condition != "" {
		p.ConditionExpression, p.ExpressionAttributeNames = &condition, names(condition)
	}
	return types.TransactWriteItem{Put: p}
}

// update returns the change of an item, with a condition if it is not empty.
func (t *table) update(k key, change, condition string, values item) types.TransactWriteItem {
	u := &types.Update{
		TableName:                 &t.name,
		Key:                       k.item(),
		UpdateExpression:          &change,
		ExpressionAttributeNames:  names(change, condition),
		ExpressionAttributeValues: values,
	}
	if condition != "" {
		u.ConditionExpression = &condition
	}
	return types.TransactWriteItem{Update: u}
}

// remove returns the deletion of an item.
func (t *table) remove(k key) types.TransactWriteItem {
	return types.TransactWriteItem{Delete: &types.Delete{TableName: &t.name, Key: k.item()}}
}

// failure translates an error of the SDK into an error of the domain, and is the only place that does so. Unmet conditions
// are handled before, by the method that set them.
func (t *table) failure(err error) error {
	if err == nil {
		return nil
	}
	_, missing := errors.AsType[*types.ResourceNotFoundException](err)
	_, unsent := errors.AsType[*smithyhttp.RequestSendError](err)
	ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	switch {
	case missing:
		return internal(fmt.Errorf("table %q does not exist in region %q: check both, or run \"webhookctl tables create\": %w",
			t.name, t.client.Options().Region, err))
	case unsent, ended, retryable(err):
		return webhook.Unavailable(fmt.Errorf("table %q: %w", t.name, err))
	default:
		return internal(fmt.Errorf("table %q: %w", t.name, err))
	}
}

// both runs two reads concurrently and returns the error of the first, or else of the second.
func both(first, second func() error) error {
	done := make(chan error, 1)
	go func() { done <- first() }()
	secondErr := second()
	if err := <-done; err != nil {
		return err
	}
	return secondErr
}
