package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// Store implements webhook.Store and access.KeyStore on one DynamoDB table.
type Store struct {
	client        *dynamodb.Client
	table         string
	withoutTokens bool
}

var (
	_ webhook.Store   = (*Store)(nil)
	_ access.KeyStore = (*Store)(nil)
)

// New returns a store on a table that exists or that CreateTables will create. The client should come from [NewClient],
// which retries.
func New(client *dynamodb.Client, table string) *Store {
	return &Store{client: client, table: table}
}

// WithoutTokens returns a store on the same table that reads webhooks without their tokens, so their SealedToken is nil. It
// is for functions whose roles do not allow reading tokens.
func (s *Store) WithoutTokens() *Store {
	return &Store{client: s.client, table: s.table, withoutTokens: true}
}

// Ping reads an item that does not exist.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.get(ctx, absentKey(), allAttributes)
	return err
}

// get reads the attributes of one item that a projection lists. It returns nil if there is no item.
func (s *Store) get(ctx context.Context, k key, projection string) (item, error) {
	in := &dynamodb.GetItemInput{
		TableName:      &s.table,
		Key:            k.item(),
		ConsistentRead: pointer(true),
	}
	in.ProjectionExpression, in.ExpressionAttributeNames = projected(projection)
	out, err := s.client.GetItem(ctx, in)
	if err != nil {
		return nil, s.failure(err)
	}
	return out.Item, nil
}

// allItems means a query without a limit.
const allItems = 0

// query reads all items of a partition, or those with a prefix if it is not empty, in the order of their sort keys.
func (s *Store) query(ctx context.Context, partition, prefix string) ([]item, error) {
	return s.run(ctx, s.queryInput(partition, prefix), allItems)
}

// run reads up to limit items with a query. DynamoDB stops at 1 MB, so large items take more than one call.
func (s *Store) run(ctx context.Context, in *dynamodb.QueryInput, limit int) ([]item, error) {
	var items []item
	for {
		if limit != allItems {
			in.Limit = pointer(int32(limit - len(items)))
		}
		out, err := s.client.Query(ctx, in)
		if err != nil {
			return nil, s.failure(err)
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

func (s *Store) queryInput(partition, prefix string) *dynamodb.QueryInput {
	in := &dynamodb.QueryInput{
		TableName:                 &s.table,
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

// batchGet reads up to 100 items in any order. It asks again for the keys that DynamoDB leaves unprocessed because it is
// busy.
func (s *Store) batchGet(ctx context.Context, keys []item) ([]item, error) {
	var items []item
	request := map[string]types.KeysAndAttributes{s.table: {Keys: keys, ConsistentRead: pointer(true)}}
	for attempt := 1; ; attempt++ {
		out, err := s.client.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: request})
		if err != nil {
			return nil, s.failure(err)
		}
		items = append(items, out.Responses[s.table]...)
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
func (s *Store) transact(ctx context.Context, writes []types.TransactWriteItem) error {
	_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	return err
}

// put returns the write of a whole item, with a condition if it is not empty.
func (s *Store) put(it item, condition string) types.TransactWriteItem {
	p := &types.Put{TableName: &s.table, Item: it}
	if condition != "" {
		p.ConditionExpression = &condition
	}
	return types.TransactWriteItem{Put: p}
}

// update returns the change of an item, with a condition if it is not empty.
func (s *Store) update(k key, change, condition string, values item) types.TransactWriteItem {
	u := &types.Update{
		TableName:                 &s.table,
		Key:                       k.item(),
		UpdateExpression:          &change,
		ExpressionAttributeValues: values,
	}
	if condition != "" {
		u.ConditionExpression = &condition
	}
	return types.TransactWriteItem{Update: u}
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
