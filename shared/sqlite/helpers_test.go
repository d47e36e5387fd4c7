package sqlite

import (
	"crypto/sha256"
	"database/sql"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/webhook"
)

// ample is a quota that no test reaches.
const ample = 1_000_000

// newPath returns the path of a new database file in a temporary directory.
func newPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "webhooks.db")
}

// openStore opens a file for the duration of a test.
func openStore(t *testing.T, path string) *Store {
	t.Helper()
	store, err := Open(t.Context(), path, time.Now)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return store
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// openRaw opens a file without our settings.
func openRaw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driverName, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// raw returns a function that runs statements on a file without our settings.
func raw(statements string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		t.Helper()
		if _, err := openRaw(t, path).Exec(statements); err != nil {
			t.Fatal(err)
		}
	}
}

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

// newEvent returns an event that was accepted at a time, of a type to which the webhooks of newWebhook subscribe.
func newEvent(company string, accepted time.Time) webhook.NewEvent {
	id := webhook.NewEventID(ulid.Make().String())
	return webhook.NewEvent{
		Event: webhook.Event{
			ID: id, Company: company, Type: "RecurringPayments.charge.paid", Timestamp: accepted, AcceptedAt: accepted, Body: make([]byte, 1024),
		},
		Sent: sha256.Sum256([]byte(id)),
	}
}

// accept stores events.
func accept(t *testing.T, store *Store, events ...webhook.NewEvent) {
	t.Helper()
	if _, err := store.AcceptEvents(t.Context(), events); err != nil {
		t.Fatalf("AcceptEvents: %v", err)
	}
}

// delivered returns the outcome of a successful first attempt.
func delivered(r webhook.Ref) webhook.Outcome {
	return webhook.Outcome{
		Ref: r, Status: webhook.StatusDelivered, WebhookVersion: 1,
		Attempt: webhook.Attempt{
			Number: 1, At: time.UnixMilli(1_800_000_000_000), Duration: 12 * time.Millisecond, URL: "https://example.com/webhooks/billing",
			StatusCode: 200, Bytes: 2, Response: "ok",
		},
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

// wantIDs checks which webhooks a company has, and that the file is consistent.
func wantIDs(t *testing.T, store *Store, company string, want ...string) {
	t.Helper()
	webhooks, err := store.WebhooksAfter(t.Context(), company, "", ample)
	if err != nil {
		t.Fatalf("WebhooksAfter: %v", err)
	}
	var got []string
	for _, w := range webhooks {
		got = append(got, w.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the company has the webhooks %v, want %v", got, want)
	}
	wantConsistent(t, store)
}

// wantCount checks how many webhooks there are, and that the file is consistent.
func wantCount(t *testing.T, store *Store, want int) {
	t.Helper()
	wantValue(t, store, "SELECT count(*) FROM webhooks", strconv.Itoa(want))
	wantConsistent(t, store)
}

// wantConsistent checks the integrity of the file, that counters and subscriptions match the webhooks, and that every delivery
// has an event and a webhook, which may be a deleted one.
func wantConsistent(t *testing.T, store *Store) {
	t.Helper()
	for query, want := range map[string]string{
		"PRAGMA integrity_check": "ok",
		`SELECT count(*) FROM counters AS c WHERE webhooks <> (SELECT count(*) FROM webhooks WHERE company = c.company)`: "0",
		`SELECT count(*) FROM webhooks WHERE company NOT IN (SELECT company FROM counters)`:                              "0",
		`SELECT count(*) FROM (SELECT company, event_type, webhook FROM subscriptions
			EXCEPT SELECT company, value, number FROM webhooks AS w, json_each(events))`: "0",
		`SELECT count(*) FROM (SELECT company, value, number FROM webhooks AS w, json_each(events)
			EXCEPT SELECT company, event_type, webhook FROM subscriptions)`: "0",
		`SELECT count(*) FROM deliveries WHERE event NOT IN (SELECT number FROM events)
			OR webhook NOT IN (SELECT number FROM webhooks UNION SELECT number FROM deleted_webhooks)
			OR (status = 0) <> (due IS NOT NULL)`: "0",
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
	db := openRaw(t, path)
	db.SetMaxOpenConns(1)
	for _, statement := range []string{"BEGIN IMMEDIATE", "UPDATE counters SET webhooks = webhooks"} {
		if _, err := db.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	return func() { _ = db.Close() }
}

// whileLocked makes n concurrent calls while the file is locked, so that the writer receives them in one or a few batches.
func whileLocked(t *testing.T, path string, n int, call func(i int)) {
	t.Helper()
	unlock := lockFile(t, path)
	wait := inBackground(n, call)
	time.Sleep(100 * time.Millisecond) // until all are queued
	unlock()
	wait()
}

// inBackground makes n concurrent calls and returns a function that waits for them.
func inBackground(n int, call func(i int)) (wait func()) {
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() { call(i) })
	}
	return done.Wait
}
