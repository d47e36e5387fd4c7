package dynamo

import (
	"context"
	"testing"
	"time"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// TestTransferCalls lists the calls to DynamoDB for moving a company.
func TestTransferCalls(t *testing.T) {
	var calls recorder
	s := newStore(t, calls.record)
	w, large := testWebhook("acme"), testWebhook("acme")
	large.Events = manyEvents()
	hidden := webhook.EventType{Name: "a.b", Company: "acme", AddedAt: w.CreatedAt, Hidden: true}
	after := func(id string, limit int) func(context.Context) error {
		return func(ctx context.Context) error {
			_, err := s.WebhooksAfter(ctx, "acme", id, limit)
			return err
		}
	}
	importOf := func(w webhook.Webhook) func(context.Context) error {
		return func(ctx context.Context) error { return s.ImportWebhook(ctx, w) }
	}
	importType := func(ctx context.Context) error { return s.ImportEventType(ctx, hidden) }

	// The order matters: each row uses what those before it have stored.
	for _, row := range []struct {
		name string
		call func(ctx context.Context) error
		want string
		kind webhook.Kind // of the expected error; 0 for none
	}{
		{"import with one event", importOf(w), "TransactWriteItems 3", 0},
		{"import with 40 events", importOf(large), "TransactWriteItems 42", 0},
		{"import again", importOf(w), "TransactWriteItems 3", webhook.KindConflict},
		{"from the start", after("", 1), "Query 1", 0},
		{"after the first", after(w.ID, 100), "Query 1", 0},
		{"after the last", after(large.ID, 100), "Query 0", 0},
		{"import a type", importType, "TransactWriteItems 1", 0},
		{"import it again", importType, "TransactWriteItems 1", webhook.KindConflict},
		{"all types", func(ctx context.Context) error {
			_, err := s.AllEventTypes(ctx, "acme")
			return err
		}, "Query 1", 0},
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

// TestImportLostResponse loses the response to an import. The retry must not report a conflict with itself.
func TestImportLostResponse(t *testing.T) {
	s, proxy := newFaultyStore(t)
	w := testWebhook("acme")
	for _, row := range []struct {
		name  string
		write func() error
	}{
		{"webhook", func() error { return s.ImportWebhook(within(t, 10*time.Second), w) }},
		{"type", func() error {
			return s.ImportEventType(within(t, 10*time.Second), webhook.EventType{Name: "a.b", AddedAt: w.CreatedAt})
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			proxy.Next("TransactWriteItems", dynamotest.LoseResponse(), dynamotest.TruncateResponse())
			if err := row.write(); err != nil {
				t.Errorf("got error %v", err)
			}
			wantConsistent(t, s, "acme", 1)
		})
	}
}
