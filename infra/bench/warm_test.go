package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/dynamo"
	"webhooks/shared/lambdahost"
)

// BenchmarkWarm invokes the functions that read when their key is in memory, and in turn makes the
// very calls by themselves that the function made of DynamoDB. It reports the medians and their
// ratio: what adapter, authentication, checks, store and log add to the calls.
func BenchmarkWarm(b *testing.B) {
	s := newStack(b)
	recorded := new(recorder)
	store := dynamo.New(dynamo.NewClient(s.config, recorded.option), s.table)
	bare := dynamo.NewClient(s.config)
	endpoints := map[string]api.Endpoint{
		"get-webhook":        api.GetWebhook(store),
		"list-webhooks":      api.ListWebhooks(store),
		"list-webhook-types": api.ListWebhookTypes(store),
	}
	for name, endpoint := range endpoints {
		b.Run(name, func(b *testing.B) {
			service := api.Service{
				Keys: access.NewAuthenticator(store, time.Now), Now: time.Now, Random: rand.Reader,
				Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
			}
			host := lambdahost.New(service.Handler(endpoint), service.Log)
			event := s.event(b, name)
			for range 3 { // the last of them is one of many
				recorded.take()
				invokeHost(b, host, event)
			}
			calls := recorded.take()
			var ours, theirs []time.Duration
			for range max(b.N, minSamples) {
				began := time.Now()
				invokeHost(b, host, event)
				ours = append(ours, time.Since(began))
				began = time.Now()
				replay(b, bare, calls)
				theirs = append(theirs, time.Since(began))
			}
			recorded.take()
			b.ReportMetric(0, "ns/op") // of both together, which says nothing
			b.ReportMetric(float64(median(ours).Microseconds()), "µs-invocation")
			b.ReportMetric(float64(median(theirs).Microseconds()), "µs-calls")
			b.ReportMetric(ratio(ours, theirs), "ratio")
			b.ReportMetric(float64(len(calls)), "calls")
		})
	}
}

func invokeHost(b *testing.B, host *lambdahost.Host, event []byte) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 15*time.Second)
	defer cancel()
	out, err := host.Invoke(ctx, event)
	if err != nil || !strings.Contains(string(out), `"statusCode":200`) {
		b.Fatalf("answer %s, error %v", out, err)
	}
}

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

// replay makes calls at the same time, as the store makes those that do not need each other.
func replay(b *testing.B, client *dynamodb.Client, calls []any) {
	b.Helper()
	errs := make([]error, len(calls))
	var group sync.WaitGroup
	for i, input := range calls[1:] {
		group.Go(func() { errs[i+1] = repeat(b.Context(), client, input) })
	}
	errs[0] = repeat(b.Context(), client, calls[0])
	group.Wait()
	for _, err := range errs {
		if err != nil {
			b.Fatal(err)
		}
	}
}

func repeat(ctx context.Context, client *dynamodb.Client, input any) (err error) {
	switch in := input.(type) {
	case *dynamodb.GetItemInput:
		_, err = client.GetItem(ctx, in)
	case *dynamodb.QueryInput:
		_, err = client.Query(ctx, in)
	default:
		err = fmt.Errorf("the call %T is not known here", input)
	}
	return err
}
