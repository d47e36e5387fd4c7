package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"webhooks/shared/dynamo"
)

// recorder records the calls that a store makes to DynamoDB, and can make them again with the SDK's client as it comes.
type recorder struct {
	recorded *company // on a store whose calls are recorded
	plain    *dynamodb.Client

	mu    sync.Mutex
	calls []call
}

func (s *stack) newRecorder() *recorder {
	r := &recorder{plain: dynamodb.New(dynamodb.Options{
		Region: s.config.Region, BaseEndpoint: &s.config.Endpoint, Credentials: s.config.Credentials,
	})}
	client := dynamo.NewClient(s.config, func(o *dynamodb.Options) { o.Interceptors.AddBeforeExecution(r) })
	r.recorded = &company{store: dynamo.New(client, s.table)}
	return r
}

// BeforeExecution records a call that the SDK is about to make.
func (r *recorder) BeforeExecution(_ context.Context, in *smithyhttp.InterceptorContext) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch in := in.Input.(type) {
	case *dynamodb.GetItemInput:
		r.calls = append(r.calls, again(r.plain.GetItem, in))
	case *dynamodb.BatchGetItemInput:
		r.calls = append(r.calls, again(r.plain.BatchGetItem, in))
	case *dynamodb.QueryInput:
		r.calls = append(r.calls, again(r.plain.Query, in))
	case *dynamodb.TransactWriteItemsInput:
		r.calls = append(r.calls, again(r.plain.TransactWriteItems, in))
	default:
		return fmt.Errorf("a call with %T cannot be made again", in)
	}
	return nil
}

// again returns a function that makes a call with a copy of its input, because the store and the SDK change the input.
func again[In, Out any](operation func(context.Context, *In, ...func(*dynamodb.Options)) (Out, error), in *In) call {
	input := *in
	return func(ctx context.Context) error {
		_, err := operation(ctx, &input)
		return err
	}
}

// floor returns a function that makes the calls of a request for the webhook with an ID. To record the calls, it makes them
// once and then undoes what they changed.
func (r *recorder) floor(b *testing.B, q request, id string) call {
	b.Helper()
	r.calls = nil
	err := r.recorded.call(b.Context(), q, id)
	calls := r.calls
	switch q.function {
	case "create-webhook":
		err = errors.Join(err, r.recorded.store.DeleteWebhook(b.Context(), companyID, id))
	case "delete-webhook":
		err = errors.Join(err, r.recorded.add(b.Context(), id))
	}
	if err != nil {
		b.Fatal(err)
	}
	callers := 1
	if q.page.Number == 1 || q.function == "list-webhook-types" {
		callers = 2 // as in the store, which makes two independent calls
	}
	return func(context.Context) error {
		concurrently(b, callers, calls)
		return nil
	}
}
