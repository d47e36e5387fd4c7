package dynamo

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// BenchmarkStore compares the store's operations with the SDK calls that they consist of, made in
// turn in the same run, in companies with few and with many webhooks. "ratio" is that of the
// medians; it should be close to 1, and the same in both companies.
func BenchmarkStore(b *testing.B) {
	s := newStore(b)
	for _, size := range []int{10, 10_000} {
		company := fmt.Sprintf("with%d", size)
		last := fill(b, s, company, size)
		b.Run(fmt.Sprintf("webhooks=%d", size), func(b *testing.B) {
			for _, c := range comparisons(b, s, company, last) {
				b.Run(c.name, func(b *testing.B) { compare(b, c) })
			}
		})
	}
}

// comparison is an operation of the store and the calls it consists of.
type comparison struct {
	name        string
	store, bare func(ctx context.Context) error
}

func comparisons(b *testing.B, s *Store, company string, last webhook.Webhook) []comparison {
	sdk := bareClient(b)
	apiKey := testKey(company)
	if err := s.CreateKey(b.Context(), apiKey); err != nil {
		b.Fatal(err)
	}
	getItem := func(k key) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := sdk.GetItem(ctx, &dynamodb.GetItemInput{TableName: &s.table, Key: k.item(), ConsistentRead: pointer(true)})
			return err
		}
	}
	query := func(ctx context.Context) error {
		in := s.queryInput(companyPartition(company), webhookPrefix)
		in.Limit = pointer(int32(100))
		_, err := sdk.Query(ctx, in)
		return err
	}
	return []comparison{
		{"get", func(ctx context.Context) error {
			_, err := s.Webhook(ctx, company, last.ID)
			return err
		}, getItem(webhookKey(company, last.ID))},
		{"key", func(ctx context.Context) error {
			_, err := s.KeyByHash(ctx, apiKey.Hash)
			return err
		}, getItem(apiKeyKey(apiKey.Hash))},
		{"list", func(ctx context.Context) error {
			_, err := s.ListWebhooks(ctx, company, webhook.Page{Size: 100, Number: 1})
			return err
		}, func(ctx context.Context) error {
			return both(func() error { return getItem(counterKey(company))(ctx) }, func() error { return query(ctx) })
		}},
		{"prepare", func(ctx context.Context) error {
			q := webhook.CreationQuery{Company: company, Events: last.Events, Now: last.CreatedAt}
			_, err := s.PrepareCreation(ctx, q)
			return err
		}, func(ctx context.Context) error {
			name := last.Events[0]
			_, err := sdk.BatchGetItem(ctx, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{s.table: {
				Keys:           []item{counterKey(company).item(), typeKey("", name).item(), typeKey(company, name).item()},
				ConsistentRead: pointer(true),
			}}})
			return err
		}},
		{"create", func(ctx context.Context) error {
			_, err := s.CreateWebhook(ctx, newCreation(company))
			return err
		}, func(ctx context.Context) error {
			_, err := sdk.TransactWriteItems(ctx, &dynamodb.TransactWriteItemsInput{TransactItems: s.creation(newCreation(company))})
			return err
		}},
	}
}

func newCreation(company string) webhook.Creation {
	return webhook.Creation{Webhook: testWebhook(company), Quota: 1_000_000, Idempotency: testRecord()}
}

// compare makes the two in turn.
func compare(b *testing.B, c comparison) {
	var store, bare []time.Duration
	measure := func(call func(context.Context) error) time.Duration {
		start := time.Now()
		if err := call(b.Context()); err != nil {
			b.Fatal(err)
		}
		return time.Since(start)
	}
	for b.Loop() {
		store = append(store, measure(c.store))
		bare = append(bare, measure(c.bare))
	}
	b.ReportMetric(float64(median(store))/float64(median(bare)), "ratio")
	b.ReportMetric(float64(median(store).Microseconds()), "store-µs")
	b.ReportMetric(float64(median(bare).Microseconds()), "bare-µs")
	b.ReportMetric(testing.AllocsPerRun(50, func() { measure(c.store) }), "store-allocs")
	b.ReportMetric(testing.AllocsPerRun(50, func() { measure(c.bare) }), "bare-allocs")
	b.ReportMetric(0, "ns/op") // of both together: means nothing
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// bareClient is a client as the SDK makes it.
func bareClient(b *testing.B) *dynamodb.Client {
	cfg := testConfig(dynamotest.Endpoint(b))
	return dynamodb.New(dynamodb.Options{Region: cfg.Region, Credentials: cfg.Credentials, BaseEndpoint: &cfg.Endpoint})
}

// fill stores webhooks in batches, past the store, and gives the last one.
func fill(b *testing.B, s *Store, company string, n int) (last webhook.Webhook) {
	var batch []types.WriteRequest
	flush := func() {
		_, err := s.client.BatchWriteItem(b.Context(), &dynamodb.BatchWriteItemInput{
			RequestItems: map[string][]types.WriteRequest{s.table: batch},
		})
		if err != nil {
			b.Fatal(err)
		}
		batch = batch[:0]
	}
	for range n {
		last = testWebhook(company)
		batch = append(batch, types.WriteRequest{PutRequest: &types.PutRequest{Item: webhookItem(last)}})
		if len(batch) == 25 {
			flush()
		}
	}
	counter := counterKey(company).item()
	counter[webhooksAttr] = number(int64(n))
	batch = append(batch, types.WriteRequest{PutRequest: &types.PutRequest{Item: counter}})
	flush()
	return last
}
