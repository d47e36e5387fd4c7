package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// Store is webhook.Store and access.KeyStore on one DynamoDB table.
type Store struct {
	client *dynamodb.Client
	table  string
}

var (
	_ webhook.Store   = (*Store)(nil)
	_ access.KeyStore = (*Store)(nil)
)

// New makes a store on a table that exists, or that CreateTables is going to make. The client
// should be one of [NewClient], which retries.
func New(client *dynamodb.Client, table string) *Store {
	return &Store{client: client, table: table}
}

// Ping reads an item that does not exist.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.get(ctx, absentKey())
	return err
}

// get reads one item, nil where there is none.
func (s *Store) get(ctx context.Context, k key) (item, error) {
	out, err := s.client.GetItem(ctx, &dynamodb.GetItemInput{
		TableName:      &s.table,
		Key:            k.item(),
		ConsistentRead: pointer(true),
	})
	if err != nil {
		return nil, s.failure(err)
	}
	return out.Item, nil
}

// allItems is the limit of a query that has none.
const allItems = 0

// query reads up to limit items of a partition in the order of their sort keys: those that begin
// with a prefix, if it is not empty, and come after a key, if it is not nil. DynamoDB stops at 1 MB,
// so that takes more than one call where items are large.
func (s *Store) query(ctx context.Context, partition, prefix string, after item, limit int) ([]item, error) {
	in := s.queryInput(partition, prefix)
	in.ExclusiveStartKey = after
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

// batchGet reads up to 100 items in any order. What DynamoDB leaves out because it is busy is asked
// for again.
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

// transact writes items as a whole. The SDK gives every call a token of its own and keeps it when
// it repeats the call, so a write whose answer was lost is not made twice, and is not mistaken for
// somebody else's.
func (s *Store) transact(ctx context.Context, writes []types.TransactWriteItem) error {
	_, err := s.client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writes})
	return err
}

// put is the write of a whole item, on a condition if that is not empty.
func (s *Store) put(it item, condition string) types.TransactWriteItem {
	p := &types.Put{TableName: &s.table, Item: it}
	if condition != "" {
		p.ConditionExpression = &condition
	}
	return types.TransactWriteItem{Put: p}
}

// update is the change of an item, on a condition if that is not empty.
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

// both runs two reads at the same time and gives the first's error, or else the second's.
func both(first, second func() error) error {
	done := make(chan error, 1)
	go func() { done <- first() }()
	secondErr := second()
	if err := <-done; err != nil {
		return err
	}
	return secondErr
}
