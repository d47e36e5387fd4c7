package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
)

// recorder keeps the inputs of a client's calls.
type recorder struct {
	mu     sync.Mutex
	inputs []any
}

func (r *recorder) option(o *dynamodb.Options) {
	o.APIOptions = append(slices.Clip(o.APIOptions), func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("record", func(
			ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler,
		) (middleware.InitializeOutput, middleware.Metadata, error) {
			r.mu.Lock()
			r.inputs = append(r.inputs, in.Parameters)
			r.mu.Unlock()
			return next.HandleInitialize(ctx, in)
		}), middleware.Before)
	})
}

// take gives the inputs since it was called last.
func (r *recorder) take() []any {
	r.mu.Lock()
	defer r.mu.Unlock()
	inputs := r.inputs
	r.inputs = nil
	return inputs
}

// replay makes the recorded calls of one request again. Those that the store makes at the same time
// are made so here: the two of a list's first page. With a webhookID they are made for that webhook.
func replay(ctx context.Context, client *dynamodb.Client, calls []any, webhookID string) error {
	errs := make([]error, len(calls))
	var all sync.WaitGroup
	for i, input := range calls {
		if _, write := input.(*dynamodb.TransactWriteItemsInput); write {
			all.Wait() // it needs what was read before
		}
		all.Go(func() { errs[i] = repeat(ctx, client, input, webhookID) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func repeat(ctx context.Context, client *dynamodb.Client, input any, webhookID string) (err error) {
	switch in := input.(type) {
	case *dynamodb.GetItemInput:
		renewed := *in
		renewed.Key = forWebhook(in.Key, webhookID)
		_, err = client.GetItem(ctx, &renewed)
	case *dynamodb.QueryInput:
		_, err = client.Query(ctx, in)
	case *dynamodb.BatchGetItemInput:
		_, err = client.BatchGetItem(ctx, in)
	case *dynamodb.TransactWriteItemsInput: // without the token, under which DynamoDB would do nothing
		_, err = client.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: writesFor(in.TransactItems, webhookID)})
	default:
		err = fmt.Errorf("the call %T is not known here", input)
	}
	return err
}

// forWebhook copies an item or key with the id of another webhook in its keys.
func forWebhook(item map[string]types.AttributeValue, id string) map[string]types.AttributeValue {
	if id == "" {
		return item
	}
	item = maps.Clone(item)
	for name, value := range item {
		if text, ok := value.(*types.AttributeValueMemberS); ok && strings.HasPrefix(text.Value, "W#") {
			item[name] = &types.AttributeValueMemberS{Value: "W#" + id}
		}
	}
	return item
}

func writesFor(writes []types.TransactWriteItem, id string) []types.TransactWriteItem {
	writes = slices.Clone(writes)
	for i, write := range writes {
		switch {
		case write.Put != nil:
			put := *write.Put
			put.Item = forWebhook(put.Item, id)
			writes[i].Put = &put
		case write.Delete != nil:
			remove := *write.Delete
			remove.Key = forWebhook(remove.Key, id)
			writes[i].Delete = &remove
		}
	}
	return writes
}
