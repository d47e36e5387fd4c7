package stack

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/smithy-go/middleware"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// actionRecorder notes the IAM actions of an SDK's calls.
type actionRecorder struct {
	mu      sync.Mutex
	actions map[string]bool
}

// record is an option of a client.
func (r *actionRecorder) record(o *dynamodb.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("ActionRecorder", r.handle), middleware.After)
	})
}

func (r *actionRecorder) handle(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (
	middleware.InitializeOutput, middleware.Metadata, error,
) {
	r.mu.Lock()
	if transaction, ok := in.Parameters.(*dynamodb.TransactWriteItemsInput); ok {
		for _, item := range transaction.TransactItems {
			r.actions["PutItem"] = r.actions["PutItem"] || item.Put != nil
			r.actions["UpdateItem"] = r.actions["UpdateItem"] || item.Update != nil
			r.actions["DeleteItem"] = r.actions["DeleteItem"] || item.Delete != nil
			r.actions["ConditionCheckItem"] = r.actions["ConditionCheckItem"] || item.ConditionCheck != nil
		}
	} else {
		r.actions[awsmiddleware.GetOperationName(ctx)] = true
	}
	r.mu.Unlock()
	return next.HandleInitialize(ctx, in)
}

// take gives what was noted since the last take.
func (r *actionRecorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var actions []string
	for _, action := range sorted(r.actions) {
		if r.actions[action] {
			actions = append(actions, action)
		}
	}
	r.actions = make(map[string]bool)
	return actions
}

func localDynamoDB(endpoint string) dynamo.Config {
	return dynamo.Config{Endpoint: endpoint, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", "")}
}

// newTable makes a table of its own on DynamoDB Local, which goes with the test.
func newTable(t *testing.T, table string, options ...func(*dynamodb.Options)) *dynamo.Store {
	t.Helper()
	cfg := localDynamoDB(dynamotest.Endpoint(t))
	store := dynamo.New(dynamo.NewClient(cfg, options...), table)
	if err := store.CreateTables(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		off, client := false, dynamo.NewClient(cfg)
		_, err := client.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &table, DeletionProtectionEnabled: &off})
		if err == nil {
			_, err = client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table})
		}
		if err != nil {
			t.Errorf("removing the table: %v", err)
		}
	})
	return store
}

// The table storeActions is what the store really does, on each of its ways.
func TestStoreActions(t *testing.T) {
	recorder := &actionRecorder{actions: make(map[string]bool)}
	store := newTable(t, dynamo.SubscriptionsTable("test-"+ulid.Make().String()+"-"), recorder.record)
	made := recorder.take()
	made = slices.DeleteFunc(made, func(action string) bool { return action == "UpdateContinuousBackups" }) // none at DynamoDB Local
	want := slices.DeleteFunc(storeActions()["CreateTables"], func(action string) bool { return action == "UpdateContinuousBackups" })
	if !slices.Equal(made, want) {
		t.Errorf("CreateTables does %q, storeActions says %q", made, want)
	}

	now := time.Now().UTC().Truncate(time.Millisecond)
	newWebhook := func() webhook.Webhook {
		return webhook.Webhook{
			ID: webhook.NewID(ulid.Make().String()), Company: "acme", Name: "n", URL: "https://example.com/",
			Events: []string{"a.b"}, SealedToken: []byte("sealed"), Version: 1, CreatedAt: now,
		}
	}
	stored := newWebhook()
	record := func(name string) *webhook.IdempotencyRecord {
		return &webhook.IdempotencyRecord{Key: webhook.NewIdempotencyKey("create", name)}
	}
	eventType := webhook.EventType{Name: "a.b", Description: "first", AddedAt: now}
	key := access.Key{ID: access.NewKeyID("acme", ulid.Make().String()), Company: "acme", Permissions: access.Permissions(), CreatedAt: now}
	create := func(ctx context.Context, w webhook.Webhook, quota int, key string) error {
		_, err := store.CreateWebhook(ctx, webhook.Creation{Webhook: w, Quota: quota, Idempotency: record(key)})
		return err
	}

	imported := newWebhook()
	tested := []string{"CreateTables"}
	// In an order in which each finds what it needs; errors of the store's contract are among its ways.
	for _, row := range []struct {
		method string
		ways   []func(ctx context.Context) error
	}{
		{"Ping", []func(context.Context) error{store.Ping}},
		{"AddEventType", []func(context.Context) error{
			func(ctx context.Context) error { return store.AddEventType(ctx, eventType) },
			func(ctx context.Context) error { return store.AddEventType(ctx, eventType) },
		}},
		{"EventTypes", []func(context.Context) error{func(ctx context.Context) error { _, err := store.EventTypes(ctx, "acme"); return err }}},
		{"PrepareCreation", []func(context.Context) error{func(ctx context.Context) error {
			_, err := store.PrepareCreation(ctx, webhook.CreationQuery{Company: "acme", Events: []string{"a.b"}, Key: &record("a").Key, Now: now})
			return err
		}}},
		{"CreateWebhook", []func(context.Context) error{
			func(ctx context.Context) error { return create(ctx, stored, 2, "a") },
			func(ctx context.Context) error { return create(ctx, newWebhook(), 2, "b") },
			func(ctx context.Context) error { return create(ctx, newWebhook(), 2, "b") },
			func(ctx context.Context) error {
				return ignoring(webhook.KindConflict, create(ctx, newWebhook(), 2, "c"))
			},
		}},
		{"Webhook", []func(context.Context) error{func(ctx context.Context) error { _, err := store.Webhook(ctx, "acme", stored.ID); return err }}},
		{"ListWebhooks", []func(context.Context) error{
			func(ctx context.Context) error {
				_, err := store.ListWebhooks(ctx, "acme", webhook.Page{Size: 1, Number: 1})
				return err
			},
			func(ctx context.Context) error {
				_, err := store.ListWebhooks(ctx, "acme", webhook.Page{Size: 1, Number: 2})
				return err
			},
		}},
		{"WebhooksAfter", []func(context.Context) error{
			func(ctx context.Context) error { _, err := store.WebhooksAfter(ctx, "acme", "", 1); return err },
			func(ctx context.Context) error { _, err := store.WebhooksAfter(ctx, "acme", stored.ID, 1); return err },
		}},
		{"ImportWebhook", []func(context.Context) error{
			func(ctx context.Context) error { return store.ImportWebhook(ctx, imported) },
			func(ctx context.Context) error {
				return ignoring(webhook.KindConflict, store.ImportWebhook(ctx, imported))
			},
		}},
		{"AllEventTypes", []func(context.Context) error{func(ctx context.Context) error { _, err := store.AllEventTypes(ctx, ""); return err }}},
		{"ImportEventType", []func(context.Context) error{
			func(ctx context.Context) error {
				return ignoring(webhook.KindConflict, store.ImportEventType(ctx, eventType))
			},
		}},
		{"DeleteWebhook", []func(context.Context) error{
			func(ctx context.Context) error { return store.DeleteWebhook(ctx, "acme", stored.ID) },
			func(ctx context.Context) error {
				return ignoring(webhook.KindNotFound, store.DeleteWebhook(ctx, "acme", stored.ID))
			},
		}},
		{"RemoveEventType", []func(context.Context) error{func(ctx context.Context) error { return store.RemoveEventType(ctx, "", "a.b") }}},
		{"CreateKey", []func(context.Context) error{func(ctx context.Context) error { return store.CreateKey(ctx, key) }}},
		{"KeyByHash", []func(context.Context) error{func(ctx context.Context) error { _, err := store.KeyByHash(ctx, key.Hash); return err }}},
		{"Keys", []func(context.Context) error{func(ctx context.Context) error { _, err := store.Keys(ctx, "acme"); return err }}},
		{"RevokeKey", []func(context.Context) error{func(ctx context.Context) error { return store.RevokeKey(ctx, key.ID, now) }}},
		{"DataKeys", []func(context.Context) error{func(ctx context.Context) error { _, err := store.DataKeys(ctx); return err }}},
		{"AddDataKey", []func(context.Context) error{func(ctx context.Context) error { return store.AddDataKey(ctx, 0, []byte("key")) }}},
	} {
		tested = append(tested, row.method)
		t.Run(row.method, func(t *testing.T) {
			for _, way := range row.ways {
				if err := way(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if got, want := recorder.take(), storeActions()[row.method]; !slices.Equal(got, want) {
				t.Errorf("it does %q, storeActions says %q", got, want)
			}
		})
	}
	if slices.Sort(tested); !slices.Equal(tested, sorted(storeActions())) {
		t.Errorf("the methods %q were tested, storeActions has %q", tested, sorted(storeActions()))
	}
}

// ignoring gives the error unless it is of that kind, and an error of its own where there is none.
func ignoring(kind webhook.Kind, err error) error {
	if webhook.KindOf(err) == kind {
		return nil
	}
	if err == nil {
		return webhook.Errorf(webhook.KindInternal, "it should have failed")
	}
	return err
}
