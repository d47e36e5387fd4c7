package dynamo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

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

type call func(ctx context.Context, s deliveryStore) error

// step is a call of one of the store's methods.
type step struct {
	name string // the method, a space, and what is special about the call
	call call
	want string       // the calls to DynamoDB, sorted, each with the number of items, for example "GetItem 1"
	kind webhook.Kind // of the expected error; 0 for none
}

// steps returns calls of every method of both stores. Each depends on what those before it have stored.
func steps() []step { return append(webhookSteps(), deliverySteps()...) }

func webhookSteps() []step {
	w, keyed, large, imported := testWebhook("acme"), testWebhook("acme"), testWebhook("acme"), testWebhook("acme")
	large.Events = manyEvents()
	record, key := testRecord(), testKey("acme")
	hidden := webhook.EventType{Name: "a.b", Company: "acme", AddedAt: w.CreatedAt, Hidden: true}
	typeName := "RecurringPayments.charge.paid"

	createWith := func(w webhook.Webhook, quota int, record *webhook.IdempotencyRecord, earlierID string) call {
		return func(ctx context.Context, s deliveryStore) error {
			earlier, err := s.CreateWebhook(ctx, webhook.Creation{Webhook: w, Quota: quota, Idempotency: record})
			if err == nil && (earlier != nil) != (earlierID != "") || earlier != nil && earlier.WebhookID != earlierID {
				return fmt.Errorf("the earlier creation is %+v, want that of %q", earlier, earlierID)
			}
			return err
		}
	}
	prepare := func(key *webhook.IdempotencyKey, events ...string) call {
		return func(ctx context.Context, s deliveryStore) error {
			return errOf(s.PrepareCreation(ctx, webhook.CreationQuery{Company: "acme", Events: events, Key: key, Now: w.CreatedAt}))
		}
	}
	list := func(size, number int) call {
		return func(ctx context.Context, s deliveryStore) error {
			return errOf(s.ListWebhooks(ctx, "acme", webhook.Page{Size: size, Number: number}))
		}
	}
	get := func(company, id string) call {
		return func(ctx context.Context, s deliveryStore) error { return errOf(s.Webhook(ctx, company, id)) }
	}
	remove := func(company, id string) call {
		return func(ctx context.Context, s deliveryStore) error { return s.DeleteWebhook(ctx, company, id) }
	}
	eventTypes := func(company string) call {
		return func(ctx context.Context, s deliveryStore) error { return errOf(s.EventTypes(ctx, company)) }
	}
	add := func(description string) call {
		return func(ctx context.Context, s deliveryStore) error {
			return s.AddEventType(ctx, webhook.EventType{Name: typeName, Description: description, AddedAt: w.CreatedAt})
		}
	}
	revoke := func(id string) call {
		return func(ctx context.Context, s deliveryStore) error { return s.RevokeKey(ctx, id, w.CreatedAt) }
	}
	use := func(hash access.Hash) call {
		return func(ctx context.Context, s deliveryStore) error { return s.RecordKeyUse(ctx, hash, w.CreatedAt) }
	}
	importWebhook := func(ctx context.Context, s deliveryStore) error { return s.ImportWebhook(ctx, imported) }
	importType := func(ctx context.Context, s deliveryStore) error { return s.ImportEventType(ctx, hidden) }

	return []step{
		{"Ping", func(ctx context.Context, s deliveryStore) error { return s.Ping(ctx) }, "GetItem 1", 0},
		{"CreateWebhook", createWith(w, 9, nil, ""), "TransactWriteItems 3", 0},
		{"CreateWebhook with a key", createWith(keyed, 9, record, ""), "TransactWriteItems 4", 0},
		{"CreateWebhook with 40 events and a key", createWith(large, 9, testRecord(), ""), "TransactWriteItems 43", 0},
		{"CreateWebhook again with the key", createWith(testWebhook("acme"), 9, record, keyed.ID), "TransactWriteItems 4", 0},
		{"CreateWebhook at the quota", createWith(testWebhook("acme"), 3, nil, ""), "TransactWriteItems 3", webhook.KindConflict},
		{"CreateWebhook at the quota with a new key", createWith(testWebhook("acme"), 3, testRecord(), ""),
			"GetItem 1, TransactWriteItems 4", webhook.KindConflict},
		{"CreateWebhook at the quota again with the key", createWith(testWebhook("acme"), 3, record, keyed.ID), "TransactWriteItems 4", 0},
		{"PrepareCreation", prepare(nil, typeName), "BatchGetItem 3", 0},
		{"PrepareCreation with 40 events and a key", prepare(&record.Key, manyEvents()...), "BatchGetItem 82", 0},
		{"PrepareCreation with names that no type can have", prepare(nil, "", " ", "\x00"), "BatchGetItem 1", 0},
		{"Webhook", get("acme", w.ID), "GetItem 1", 0},
		{"Webhook of another company", get("other", w.ID), "GetItem 1", webhook.KindNotFound},
		{"Webhook that does not exist", get("acme", testWebhook("acme").ID), "GetItem 1", webhook.KindNotFound},
		{"Webhook with an impossible ID", get("acme", "wh_001"), "", webhook.KindNotFound},
		{"ListWebhooks", list(2, 1), "GetItem 1, Query 2", 0},
		{"ListWebhooks with a page that is not full", list(100, 1), "GetItem 1, Query 100", 0},
		{"ListWebhooks after the last page", list(1, 4), "GetItem 1", 0},
		{"ListWebhooks with the last possible page", list(100, 2147483647), "GetItem 1", 0},
		{"ListWebhooks/later page", list(1, 3), "GetItem 1, Query 1, Query 2", 0},
		{"DeleteWebhook", remove("acme", w.ID), "GetItem 1, TransactWriteItems 3", 0},
		{"DeleteWebhook with 40 events", remove("acme", large.ID), "GetItem 1, TransactWriteItems 42", 0},
		{"DeleteWebhook again", remove("acme", w.ID), "GetItem 1", webhook.KindNotFound},
		{"DeleteWebhook of another company", remove("other", w.ID), "GetItem 1", webhook.KindNotFound},
		{"DeleteWebhook with an impossible ID", remove("acme", ""), "", webhook.KindNotFound},
		{"AddEventType", add("described"), "PutItem 1", 0},
		{"AddEventType again", add(""), "PutItem 1", 0},
		{"AddEventType with another description", add("again"), "PutItem 1, UpdateItem 1", 0},
		{"EventTypes of a company", eventTypes("acme"), "Query all, Query all", 0},
		{"EventTypes of the platform", eventTypes(""), "Query all", 0},
		{"RemoveEventType", func(ctx context.Context, s deliveryStore) error { return s.RemoveEventType(ctx, "", typeName) }, "TransactWriteItems 1", 0},
		{"CreateKey", func(ctx context.Context, s deliveryStore) error { return s.CreateKey(ctx, key) }, "TransactWriteItems 2", 0},
		{"KeyByHash", func(ctx context.Context, s deliveryStore) error { return errOf(s.KeyByHash(ctx, key.Hash)) }, "GetItem 1", 0},
		{"RecordKeyUse", use(key.Hash), "UpdateItem 1", 0},
		{"RecordKeyUse again", use(key.Hash), "UpdateItem 1", 0},
		{"Keys", func(ctx context.Context, s deliveryStore) error { return errOf(s.Keys(ctx, "acme")) }, "BatchGetItem 1, Query all", 0},
		{"RevokeKey", revoke(key.ID), "GetItem 1, TransactWriteItems 2", 0},
		{"RevokeKey again", revoke(key.ID), "GetItem 1", 0},
		{"RevokeKey with an impossible ID", revoke("key_x"), "", webhook.KindNotFound},
		{"ImportWebhook", importWebhook, "TransactWriteItems 3", 0},
		{"ImportWebhook again", importWebhook, "TransactWriteItems 3", webhook.KindConflict},
		{"WebhooksAfter", func(ctx context.Context, s deliveryStore) error { return errOf(s.WebhooksAfter(ctx, "acme", "", 1)) }, "Query 1", 0},
		{"ImportEventType", importType, "TransactWriteItems 1", 0},
		{"ImportEventType again", importType, "TransactWriteItems 1", webhook.KindConflict},
		{"AllEventTypes", func(ctx context.Context, s deliveryStore) error { return errOf(s.AllEventTypes(ctx, "acme")) }, "Query all", 0},
		{"Companies", func(ctx context.Context, s deliveryStore) error { return errOf(s.Companies(ctx)) }, "Scan all", 0},
	}
}

// leftBySteps is the number of webhooks that the company acme has after all steps.
const leftBySteps = 2

// run makes the call and checks its error.
func (s step) run(t *testing.T, store deliveryStore) {
	t.Helper()
	if err := s.call(within(t, 10*time.Second), store); s.kind == 0 && err != nil || s.kind != 0 && webhook.KindOf(err) != s.kind {
		t.Fatalf("%s: got error %v, want kind %d", s.name, err, s.kind)
	}
}

// apis returns the names of the calls to DynamoDB that the step makes.
func (s step) apis() []string {
	return slices.Compact(regexp.MustCompile(`[A-Z]\w+`).FindAllString(s.want, -1))
}

// TestCalls counts the calls to DynamoDB that every method of the stores makes, and the items that they read or write.
func TestCalls(t *testing.T) {
	s, proxy := newFaultyStores(t)
	s = storesOn(proxy.URL, s) // with the usual time limit of an attempt
	for _, step := range steps() {
		step.run(t, s)
		var calls []string
		for _, c := range proxy.Calls() {
			calls = append(calls, c.Operation+" "+itemsOf(c))
		}
		slices.Sort(calls)
		if got := strings.Join(calls, ", "); got != step.want {
			t.Errorf("%s: calls %q, want %q", step.name, got, step.want)
		}
	}
	wantConsistent(t, s.Store, "acme", leftBySteps)
}

// itemsOf returns the number of items in a call, or the limit of a query, and says so if a read is not strongly consistent.
func itemsOf(c dynamotest.Call) string {
	items := fmt.Sprint(strings.Count(c.Body, `"`+partitionKey+`":{`))
	list := c.Operation == "Query" || c.Operation == "Scan"
	if list {
		items = "all"
		if limit := regexp.MustCompile(`"Limit":(\d+)`).FindStringSubmatch(c.Body); limit != nil {
			items = limit[1]
		}
	}
	if isRead := strings.HasSuffix(c.Operation, "GetItem") || list; isRead && !strings.Contains(c.Body, `"ConsistentRead":true`) {
		items += " eventually consistent"
	}
	return items
}

// TestCompanies counts the items of companies on more than one page of a scan, which has up to 1 MB.
func TestCompanies(t *testing.T) {
	s, proxy := newFaultyStore(t)
	want := []webhook.CompanyItems{{Company: "acme", Webhooks: 5, APIKeys: 2, EventTypes: 1}, {Company: "keys", APIKeys: 1}, {Company: "types", EventTypes: 2}}
	for range 5 {
		w := testWebhook("acme")
		w.SealedToken, w.Events = make([]byte, 300_000), []string{"a.b", "x#TYPES"}
		create(t, s, w, testRecord())
	}
	emptied := testWebhook("emptied")
	create(t, s, emptied, nil)
	errs := []error{s.DeleteWebhook(t.Context(), "emptied", emptied.ID)}
	for _, company := range []string{"acme", "acme", "keys"} {
		errs = append(errs, s.CreateKey(t.Context(), testKey(company)))
	}
	for _, eventType := range []webhook.EventType{{Name: "a"}, {Name: "a", Company: "acme"}, {Name: "a", Company: "types"}, {Name: "b", Company: "types", Hidden: true}} {
		errs = append(errs, s.ImportEventType(t.Context(), eventType))
	}
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	proxy.Calls() // forget them
	got, err := s.Companies(t.Context())
	if pages := len(proxy.Calls()); err != nil || !slices.Equal(got, want) || pages < 2 {
		t.Errorf("got %+v, %v in %d pages, want %+v in several", got, err, pages, want)
	}
}

// TestDeleteChangedWebhook changes a webhook between the read and the deletion of DeleteWebhook.
func TestDeleteChangedWebhook(t *testing.T) {
	s, proxy := newFaultyStore(t)
	direct := New(NewClient(testConfig(dynamotest.Endpoint(t))), s.name)
	for _, row := range []struct {
		name   string
		change func(w webhook.Webhook) error
		want   error
	}{
		{"deleted", func(w webhook.Webhook) error { return direct.DeleteWebhook(t.Context(), w.Company, w.ID) }, webhook.ErrNotFound},
		{"new version", func(w webhook.Webhook) error {
			w.Version++
			return direct.transact(t.Context(), []types.TransactWriteItem{direct.put(webhookItem(w), exists)})
		}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			w := testWebhook("acme")
			create(t, direct, w, nil)
			changed := false
			proxy.Every(func(c dynamotest.Call) dynamotest.Fault {
				if c.Operation == "TransactWriteItems" && !changed {
					changed = true
					if err := row.change(w); err != nil {
						t.Error(err)
					}
				}
				return dynamotest.Pass()
			})
			if err := s.DeleteWebhook(within(t, 10*time.Second), w.Company, w.ID); !errors.Is(err, row.want) {
				t.Errorf("DeleteWebhook: got error %v, want %v", err, row.want)
			}
			wantConsistent(t, s, w.Company, 0)
		})
	}
}
