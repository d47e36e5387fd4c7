package dynamo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// recorder records every call of the SDK with the number of items that it read or wrote, for example "GetItem 1", and with
// "eventually consistent" if it was such a read.
type recorder struct {
	mu    sync.Mutex
	calls []string
}

// record is a client option.
func (r *recorder) record(o *dynamodb.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("Recorder", r.handle), middleware.After)
	})
}

func (r *recorder) handle(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
	middleware.InitializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleInitialize(ctx, in)
	r.mu.Lock()
	defer r.mu.Unlock()
	call := fmt.Sprintf("%s %d", awsmiddleware.GetOperationName(ctx), itemsOf(in.Parameters, out.Result))
	if isWeak(in.Parameters) {
		call += " eventually consistent"
	}
	r.calls = append(r.calls, call)
	return out, metadata, err
}

// take returns the calls since the last take, sorted, because some are concurrent.
func (r *recorder) take() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	slices.Sort(r.calls)
	calls := strings.Join(r.calls, ", ")
	r.calls = nil
	return calls
}

func itemsOf(in, out any) int {
	switch in := in.(type) {
	case *dynamodb.BatchGetItemInput:
		n := 0
		for _, table := range in.RequestItems {
			n += len(table.Keys)
		}
		return n
	case *dynamodb.TransactWriteItemsInput:
		return len(in.TransactItems)
	case *dynamodb.QueryInput:
		if out, ok := out.(*dynamodb.QueryOutput); ok {
			return int(out.ScannedCount)
		}
		return 0
	}
	return 1
}

func isWeak(in any) bool {
	switch in := in.(type) {
	case *dynamodb.GetItemInput:
		return !aws.ToBool(in.ConsistentRead)
	case *dynamodb.QueryInput:
		return !aws.ToBool(in.ConsistentRead)
	case *dynamodb.BatchGetItemInput:
		for _, table := range in.RequestItems {
			return !aws.ToBool(table.ConsistentRead)
		}
	}
	return false
}

func testWebhook(company string) webhook.Webhook {
	return webhook.Webhook{
		ID:          webhook.NewID(ulid.Make().String()),
		Company:     company,
		Name:        "Billing Events",
		Description: "Receive invoice and payment updates",
		URL:         "https://example.com/webhooks/billing",
		Events:      []string{"RecurringPayments.charge.paid"},
		SealedToken: []byte("sealed"),
		Version:     1,
		CreatedAt:   time.Now().UTC().Truncate(time.Millisecond),
	}
}

func testKey(company string) access.Key {
	return access.Key{
		ID:          access.NewKeyID(company, ulid.Make().String()),
		Company:     company,
		Permissions: access.Permissions(),
		Hash:        access.Hash(webhook.NewIdempotencyKey("hash", ulid.Make().String())),
		CreatedAt:   time.Now().UTC().Truncate(time.Millisecond),
	}
}

func testRecord() *webhook.IdempotencyRecord {
	return &webhook.IdempotencyRecord{Key: webhook.NewIdempotencyKey("create", ulid.Make().String())}
}

// manyEvents returns as many event types as a webhook may have.
func manyEvents() []string {
	events := make([]string, webhook.MaxEvents)
	for i := range events {
		events[i] = fmt.Sprintf("event.%02d", i)
	}
	return events
}

// create stores a webhook without a relevant quota.
func create(t testing.TB, s *Store, w webhook.Webhook, record *webhook.IdempotencyRecord) {
	t.Helper()
	c := webhook.Creation{Webhook: w, Quota: 1_000_000, Idempotency: record}
	if earlier, err := s.CreateWebhook(t.Context(), c); earlier != nil || err != nil {
		t.Fatalf("CreateWebhook = %v, %v, want nil, nil", earlier, err)
	}
}

// TestCalls lists the calls to DynamoDB that every method of the store makes.
func TestCalls(t *testing.T) {
	var calls recorder
	s := newStore(t, calls.record)
	w, large := testWebhook("acme"), testWebhook("acme")
	large.Events = manyEvents()
	record, key := testRecord(), testKey("acme")
	typeName := "RecurringPayments.charge.paid"

	list := func(size, number int) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.ListWebhooks(ctx, "acme", webhook.Page{Size: size, Number: number})
			return err
		}
	}
	createWith := func(w webhook.Webhook, quota int, record *webhook.IdempotencyRecord) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.CreateWebhook(ctx, webhook.Creation{Webhook: w, Quota: quota, Idempotency: record})
			return err
		}
	}
	prepare := func(key *webhook.IdempotencyKey, events ...string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.PrepareCreation(ctx, webhook.CreationQuery{Company: "acme", Events: events, Key: key, Now: w.CreatedAt})
			return err
		}
	}
	get := func(company, id string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.Webhook(ctx, company, id)
			return err
		}
	}
	remove := func(company, id string) func(context.Context) error {
		return func(ctx context.Context) error { return s.DeleteWebhook(ctx, company, id) }
	}
	types := func(company string) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.EventTypes(ctx, company)
			return err
		}
	}
	add := func(description string) func(context.Context) error {
		return func(ctx context.Context) error {
			return s.AddEventType(ctx, webhook.EventType{Name: typeName, Description: description, AddedAt: w.CreatedAt})
		}
	}

	// The order matters: each row uses what those before it have stored.
	for _, row := range []struct {
		name string
		call func(ctx context.Context) error
		want string
		kind webhook.Kind // of the expected error; 0 for none
	}{
		{"ping", s.Ping, "GetItem 1", 0},
		{"create with one event", createWith(w, 9, nil), "TransactWriteItems 3", 0},
		{"create with one event and a key", createWith(testWebhook("acme"), 9, record), "TransactWriteItems 4", 0},
		{"create with 40 events and a key", createWith(large, 9, testRecord()), "TransactWriteItems 43", 0},
		{"create again with the key", createWith(testWebhook("acme"), 9, record), "TransactWriteItems 4", 0},
		{"create at the quota", createWith(testWebhook("acme"), 3, nil), "TransactWriteItems 3", webhook.KindConflict},
		{"create at the quota with a new key", createWith(testWebhook("acme"), 3, testRecord()), "GetItem 1, TransactWriteItems 4", webhook.KindConflict},
		{"create at the quota again with the key", createWith(testWebhook("acme"), 3, record), "TransactWriteItems 4", 0},
		{"prepare with one event", prepare(nil, typeName), "BatchGetItem 3", 0},
		{"prepare with 40 events and a key", prepare(&record.Key, manyEvents()...), "BatchGetItem 82", 0},
		{"prepare with names that no type can have", prepare(nil, "", " ", "\x00"), "BatchGetItem 1", 0},
		{"get", get("acme", w.ID), "GetItem 1", 0},
		{"get another company's", get("other", w.ID), "GetItem 1", webhook.KindNotFound},
		{"get unknown", get("acme", testWebhook("acme").ID), "GetItem 1", webhook.KindNotFound},
		{"get an impossible ID", get("acme", "wh_001"), "", webhook.KindNotFound},
		{"first page", list(2, 1), "GetItem 1, Query 2", 0},
		{"first page, not full", list(100, 1), "GetItem 1, Query 3", 0},
		{"third page", list(1, 3), "GetItem 1, Query 1, Query 2", 0},
		{"page after the last", list(1, 4), "GetItem 1", 0},
		{"the last possible page", list(100, 2147483647), "GetItem 1", 0},
		{"delete with one event", remove("acme", w.ID), "GetItem 1, TransactWriteItems 3", 0},
		{"delete with 40 events", remove("acme", large.ID), "GetItem 1, TransactWriteItems 42", 0},
		{"delete again", remove("acme", w.ID), "GetItem 1", webhook.KindNotFound},
		{"delete another company's", remove("other", w.ID), "GetItem 1", webhook.KindNotFound},
		{"delete an impossible ID", remove("acme", ""), "", webhook.KindNotFound},
		{"add a type", add("described"), "PutItem 1", 0},
		{"add it again", add(""), "PutItem 1", 0},
		{"describe it", add("again"), "PutItem 1, UpdateItem 1", 0},
		{"a company's types", types("acme"), "Query 0, Query 1", 0},
		{"the platform's types", types(""), "Query 1", 0},
		{"remove a type", func(ctx context.Context) error { return s.RemoveEventType(ctx, "", typeName) }, "TransactWriteItems 1", 0},
		{"create a key", func(ctx context.Context) error { return s.CreateKey(ctx, key) }, "TransactWriteItems 2", 0},
		{"find a key", func(ctx context.Context) error {
			_, err := s.KeyByHash(ctx, key.Hash)
			return err
		}, "GetItem 1", 0},
		{"list keys", func(ctx context.Context) error {
			_, err := s.Keys(ctx, "acme")
			return err
		}, "Query 1", 0},
		{"revoke a key", func(ctx context.Context) error { return s.RevokeKey(ctx, key.ID, w.CreatedAt) }, "GetItem 1, TransactWriteItems 2", 0},
		{"revoke it again", func(ctx context.Context) error { return s.RevokeKey(ctx, key.ID, w.CreatedAt) }, "GetItem 1", 0},
		{"revoke an impossible ID", func(ctx context.Context) error { return s.RevokeKey(ctx, "key_x", w.CreatedAt) }, "", webhook.KindNotFound},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := row.call(within(t, 10*time.Second))
			if row.kind == 0 && err != nil || row.kind != 0 && webhook.KindOf(err) != row.kind {
				t.Fatalf("got error %v, want kind %d", err, row.kind)
			}
			if got := calls.take(); got != row.want {
				t.Errorf("calls %q, want %q", got, row.want)
			}
		})
	}
}
