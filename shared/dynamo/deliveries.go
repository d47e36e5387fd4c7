package dynamo

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"webhooks/shared/webhook"
)

// DefaultRetention is how long events are kept unless [Deliveries.Retention] says otherwise.
const DefaultRetention = 30 * 24 * time.Hour

// Deliveries implements webhook.DeliveryStore and webhook.QueueStore on two tables: it reads webhooks, event types and
// subscriptions from the table of a [Store], and keeps events, deliveries and lanes in its own table; see [DeliveriesTable].
//
// deliverykeys.go defines the keys of that table, deliveryitems.go its items. Its index is only ever a hint: every item that was
// found through it is read again, or changed under a condition.
type Deliveries struct {
	table
	subscriptions table

	// Retention is how long an event and its deliveries are kept after it was accepted. It is longer than [webhook.MaxAge].
	Retention time.Duration
	// Now is the clock by which events expire in methods that have no parameter for the time.
	Now func() time.Time

	deflaters sync.Pool // of *flate.Writer
}

var (
	_ webhook.DeliveryStore = (*Deliveries)(nil)
	_ webhook.QueueStore    = (*Deliveries)(nil)
)

// NewDeliveries returns a store on two tables that exist or that CreateTables will create. The client should come from
// [NewClient], which retries.
func NewDeliveries(client *dynamodb.Client, subscriptions, deliveries string) *Deliveries {
	return &Deliveries{
		table: table{client, deliveries}, subscriptions: table{client, subscriptions},
		Retention: DefaultRetention,
		Now:       time.Now, //nolint:forbidigo // DynamoDB expires items by the real time
	}
}

// Subscriptions returns the store of webhooks, event types and API keys that uses the same client. For nil, it returns nil.
func (d *Deliveries) Subscriptions() *Store {
	if d == nil {
		return nil
	}
	return &Store{table: d.subscriptions}
}

// maxConcurrent limits the concurrent calls to DynamoDB of one call of a method.
const maxConcurrent = 8

// concurrently calls do for 0 to n-1 and returns the first error.
func concurrently(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxConcurrent)
	for i := range n {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// lookup says which attributes of which items of a table to read.
type lookup struct {
	table      *table
	projection string // which includes the keys
	keys       []key
}

// read reads items of both tables, in one call for every [maxBatchGet] different keys. No key occurs in both tables.
func (d *Deliveries) read(ctx context.Context, lookups ...lookup) (map[key]item, error) {
	requests := requestsFor(lookups)
	found := make([][]item, len(requests))
	err := concurrently(ctx, len(requests), func(ctx context.Context, i int) (err error) {
		found[i], err = d.batch(ctx, requests[i])
		return err
	})
	if err != nil {
		return nil, err
	}
	items := make(map[key]item)
	for _, some := range found {
		for _, it := range some {
			items[keyOf(it)] = it
		}
	}
	return items, nil
}

// requestsFor returns batches of up to [maxBatchGet] different keys.
func requestsFor(lookups []lookup) []map[string]types.KeysAndAttributes {
	var requests []map[string]types.KeysAndAttributes
	seen, room := make(map[key]bool), 0
	for _, l := range lookups {
		for _, k := range l.keys {
			if seen[k] {
				continue
			}
			seen[k] = true
			if room == 0 {
				requests, room = append(requests, make(map[string]types.KeysAndAttributes, 2)), maxBatchGet
			}
			room--
			request := requests[len(requests)-1]
			some, ok := request[l.table.name]
			if !ok {
				some.ConsistentRead = pointer(true)
				some.ProjectionExpression, some.ExpressionAttributeNames = projected(l.projection)
			}
			some.Keys = append(some.Keys, k.item())
			request[l.table.name] = some
		}
	}
	return requests
}
