package sqlite

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/webhook"
)

// ample is a quota that no test reaches.
const ample = 1_000_000

func newWebhook(company string) webhook.Webhook {
	return webhook.Webhook{
		ID:          webhook.NewID(ulid.Make().String()),
		Company:     company,
		Name:        "Billing Events",
		URL:         "https://example.com/webhooks/billing",
		Events:      []string{"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"},
		SealedToken: []byte("sealed"),
		Version:     1,
		CreatedAt:   time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
	}
}

// create stores a webhook.
func create(t *testing.T, store *Store, w webhook.Webhook) {
	t.Helper()
	earlier, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: w, Quota: ample})
	if earlier != nil || err != nil {
		t.Errorf("CreateWebhook = %v, %v, want nil, nil", earlier, err)
	}
}

func firstPage(t *testing.T, store *Store, company string) webhook.List {
	t.Helper()
	list, err := store.ListWebhooks(t.Context(), company, webhook.Page{Size: 100, Number: 1})
	if err != nil {
		t.Fatalf("ListWebhooks: %v", err)
	}
	return list
}

// wantIDs checks which webhooks a company has, and that the file is consistent.
func wantIDs(t *testing.T, store *Store, company string, want ...string) {
	t.Helper()
	var got []string
	for _, w := range firstPage(t, store, company).Webhooks {
		got = append(got, w.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the company has the webhooks %v, want %v", got, want)
	}
	wantConsistent(t, store)
}

// wantConsistent checks the integrity of the file, and that counters and subscriptions match the webhooks.
func wantConsistent(t *testing.T, store *Store) {
	t.Helper()
	for query, want := range map[string]string{
		"PRAGMA integrity_check": "ok",
		`SELECT count(*) FROM counters AS c WHERE webhooks <> (SELECT count(*) FROM webhooks WHERE company = c.company)`: "0",
		`SELECT count(*) FROM webhooks WHERE company NOT IN (SELECT company FROM counters)`:                              "0",
		`SELECT count(*) FROM (SELECT company, event_type, webhook_id FROM subscriptions
			EXCEPT SELECT company, value, w.id FROM webhooks AS w, json_each(events))`: "0",
		`SELECT count(*) FROM (SELECT company, value, w.id FROM webhooks AS w, json_each(events)
			EXCEPT SELECT company, event_type, webhook_id FROM subscriptions)`: "0",
	} {
		wantValue(t, store, query, want)
	}
}

// wantValue checks the result of a query.
func wantValue(t *testing.T, store *Store, query, want string) {
	t.Helper()
	var got string
	if err := store.reads.db.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
		t.Errorf("%s: got %q, %v, want %q", query, got, err, want)
	}
}

// execute runs a statement in the writer's next transaction.
func execute(t *testing.T, store *Store, statement string) {
	t.Helper()
	err := store.writes.change(t.Context(), func(ctx context.Context, tx *session) error {
		return tx.exec(ctx, statement)
	})
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// wantUnavailable checks that an error is of KindUnavailable.
func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	if webhook.KindOf(err) != webhook.KindUnavailable {
		t.Errorf("%s: got error %v, want KindUnavailable", what, err)
	}
}

// lockFile locks the file like another process, and returns a function that unlocks it.
func lockFile(t *testing.T, path string) (unlock func()) {
	t.Helper()
	conn, err := openRaw(t, path).Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{"BEGIN IMMEDIATE", "UPDATE counters SET webhooks = webhooks"} {
		if _, err := conn.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(fmt.Errorf("%s: %w", statement, err))
		}
	}
	return func() {
		if _, err := conn.ExecContext(t.Context(), "ROLLBACK"); err != nil {
			t.Error(err)
		}
		_ = conn.Close()
	}
}
