package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	driver "modernc.org/sqlite"

	"webhooks/shared/webhook"
)

// TestGroupCommit holds the lock until many creations wait, and then counts the transactions they take.
func TestGroupCommit(t *testing.T) {
	const creations = 100
	path := newPath(t)
	store := openStore(t, path)
	commits := countCommits(t, store)
	unlock := lockFile(t, path)
	done := inBackground(creations, func(int) { create(t, store, newWebhook("co_1")) })
	time.Sleep(100 * time.Millisecond) // until all are queued
	unlock()
	done()
	// The first one waits for the lock on its own, the others are committed together, and a few may be late.
	if got := commits(); got < 1 || got > creations/10 {
		t.Errorf("%d creations took %d transactions, want at most %d", creations, got, creations/10)
	}
	if list := firstPage(t, store, "co_1"); list.Count != creations {
		t.Errorf("count %d, want %d", list.Count, creations)
	}
	wantConsistent(t, store)
}

// countCommits returns the number of transactions that the writer's connection commits from now on.
func countCommits(t *testing.T, store *Store) func() int {
	t.Helper()
	var mu sync.Mutex
	commits := 0
	err := store.writes.change(t.Context(), func(_ context.Context, tx *session) error {
		return tx.conn.Raw(func(conn any) error {
			conn.(driver.HookRegisterer).RegisterCommitHook(func() int32 {
				mu.Lock()
				defer mu.Unlock()
				commits++
				return 0
			})
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return commits
	}
}

// TestFailuresInBatch runs changes that fail in various ways in one batch with changes that succeed.
func TestFailuresInBatch(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	first := newWebhook("co_1")
	create(t, store, first)
	errOwn := errors.New("a failure after a write")
	unlock := lockFile(t, path)
	stored := make([]string, 20)
	done := inBackground(5*len(stored), func(i int) {
		switch i % 5 {
		case 0:
			w := newWebhook("co_1")
			stored[i/5] = w.ID
			create(t, store, w)
		case 1:
			if err := store.DeleteWebhook(t.Context(), "co_1", "wh_unknown"); !errors.Is(err, webhook.ErrNotFound) {
				t.Errorf("DeleteWebhook: got error %v, want %v", err, webhook.ErrNotFound)
			}
		case 2: // breaks a constraint halfway
			_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: first, Quota: ample})
			if err == nil || webhook.KindOf(err) != webhook.KindInternal {
				t.Errorf("CreateWebhook of a used id: got error %v, want one of KindInternal", err)
			}
		case 3:
			err := store.writes.change(t.Context(), func(ctx context.Context, tx *session) error {
				return errors.Join(tx.exec(ctx, "DELETE FROM webhooks"), errOwn)
			})
			if !errors.Is(err, errOwn) {
				t.Errorf("got error %v, want %v", err, errOwn)
			}
		case 4:
			_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: newWebhook("co_1"), Quota: 1})
			if want := webhook.QuotaReached(1).Message; err == nil || err.Error() != want {
				t.Errorf("CreateWebhook at the quota: got error %v, want %v", err, want)
			}
		}
	})
	time.Sleep(100 * time.Millisecond) // until all are queued
	unlock()
	done()
	slices.Sort(stored)
	wantIDs(t, store, "co_1", append([]string{first.ID}, stored...)...)
}

// TestFailedTransaction has changes in a batch that make the whole transaction fail. The other changes must still succeed.
func TestFailedTransaction(t *testing.T) {
	tests := []struct {
		name    string
		culprit func(ctx context.Context, tx *session) error
		want    webhook.Kind
	}{
		{"rolled back", func(ctx context.Context, tx *session) error {
			return tx.exec(ctx, "ROLLBACK")
		}, webhook.KindInternal},
		{"rolled back by SQLite because the disk is full", func(ctx context.Context, tx *session) error {
			if err := tx.scan(ctx, "PRAGMA max_page_count = 1", nil, new(int)); err != nil {
				return err
			}
			return tx.exec(ctx, "INSERT INTO counters (company, webhooks) VALUES (hex(zeroblob(100000)), 0)")
		}, webhook.KindUnavailable},
		{"with an unusable connection", func(ctx context.Context, tx *session) error {
			return errors.Join(tx.exec(ctx, "ROLLBACK"), tx.exec(ctx, "PRAGMA query_only = 1"))
		}, webhook.KindInternal},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := newPath(t)
			store := openStore(t, path)
			unlock := lockFile(t, path)
			done := inBackground(21, func(i int) {
				if i%7 != 3 {
					create(t, store, newWebhook("co_1"))
					return
				}
				err := store.writes.change(t.Context(), test.culprit)
				if err == nil || webhook.KindOf(err) != test.want {
					t.Errorf("the failing change: got error %v, want kind %v", err, test.want)
				}
			})
			time.Sleep(100 * time.Millisecond) // until all are queued
			unlock()
			done()
			if count := firstPage(t, store, "co_1").Count; count != 18 {
				t.Errorf("count %d, want 18", count)
			}
			wantConsistent(t, store)
		})
	}
}

// TestReadsDoNotWaitForTheLock reads while another process has the lock and the writer waits for it.
func TestReadsDoNotWaitForTheLock(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	w := newWebhook("co_1")
	create(t, store, w)
	unlock := lockFile(t, path)
	done := inBackground(1, func(int) { create(t, store, newWebhook("co_1")) })
	time.Sleep(20 * time.Millisecond) // until the writer waits for the lock
	ctx, cancel := context.WithTimeout(t.Context(), busyTimeout*4/5)
	defer cancel()
	for range 10 {
		list, err := store.ListWebhooks(ctx, "co_1", webhook.Page{Size: 100, Number: 1})
		if err != nil || list.Count != 1 || len(list.Webhooks) != 1 {
			t.Errorf("ListWebhooks = %+v, %v, want one webhook", list, err)
		}
		if _, err := store.Webhook(ctx, "co_1", w.ID); err != nil {
			t.Errorf("Webhook: %v", err)
		}
		if _, err := store.PrepareCreation(ctx, webhook.CreationQuery{Company: "co_1", Now: time.Now()}); err != nil {
			t.Errorf("PrepareCreation: %v", err)
		}
	}
	unlock()
	done()
	if count := firstPage(t, store, "co_1").Count; count != 2 {
		t.Errorf("count %d after the lock was released, want 2", count)
	}
}

func TestWaitForTheLockEndsWithTheContext(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	unlock := lockFile(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w := newWebhook("co_1")
	start := time.Now()
	for i := range 3 { // the writer has the first one, the others wait
		_, err := store.CreateWebhook(ctx, webhook.Creation{Webhook: w, Quota: ample})
		wantUnavailable(t, fmt.Sprintf("CreateWebhook %d", i), err)
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got error %v, want it to wrap %v", err, context.DeadlineExceeded)
		}
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("the calls took %v", took)
	}
	unlock()
	later := newWebhook("co_1")
	create(t, store, later)
	wantIDs(t, store, "co_1", later.ID) // the first was not retried after its caller had given up
}

// TestLogSize writes much more than the write-ahead log may contain before it is checkpointed.
func TestLogSize(t *testing.T) {
	const limit = 8 << 20 // bytes, twice SQLite's default of 1,000 pages of 4 KiB
	path := newPath(t)
	store := openStore(t, path)
	execute(t, store, "CREATE TABLE filler (content BLOB)")
	for range 16 {
		execute(t, store, "INSERT INTO filler VALUES (zeroblob(1048576))")
		firstPage(t, store, "co_1") // readers come and go
		if info, err := os.Stat(path + "-wal"); err != nil || info.Size() > limit {
			t.Fatalf("write-ahead log: %v, %v, want at most %d bytes", info, err, limit)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Size() < limit {
		t.Errorf("database file: %v, %v, want what was written", info, err)
	}
}

func TestCloseFinishesPendingWrites(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	unlock := lockFile(t, path)
	var mu sync.Mutex
	acknowledged := 0
	done := inBackground(20, func(int) {
		_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: newWebhook("co_1"), Quota: ample})
		if err != nil {
			wantUnavailable(t, "CreateWebhook while closing", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		acknowledged++
	})
	time.Sleep(50 * time.Millisecond)
	closed := inBackground(1, func(int) {
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	time.Sleep(50 * time.Millisecond)
	unlock()
	done()
	closed()
	if count := firstPage(t, openStore(t, path), "co_1").Count; count != acknowledged || count == 0 {
		t.Errorf("%d webhooks are stored and %d were acknowledged, want equal and at least one", count, acknowledged)
	}
}

// TestExpiredRecords checks that expired idempotency records are deleted.
func TestExpiredRecords(t *testing.T) {
	var mu sync.Mutex
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}
	store, err := Open(t.Context(), newPath(t), clock)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer store.Close()
	add := func(key string) {
		t.Helper()
		w := newWebhook("co_1")
		w.CreatedAt = clock()
		record := &webhook.IdempotencyRecord{Key: webhook.NewIdempotencyKey("create-webhook", key)}
		_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: w, Quota: ample, Idempotency: record})
		if err != nil {
			t.Fatalf("CreateWebhook: %v", err)
		}
	}
	const records = "SELECT count(*) FROM idempotency_records"
	for i := range 10 {
		add(fmt.Sprint("first ", i))
	}
	now = now.Add(webhook.IdempotencyTTL - time.Millisecond)
	add("just before")
	if got := 0; got != 11 {
		t.Errorf("%d records before any has expired, want 11", got)
	}
	now = now.Add(time.Millisecond)
	for i := range 10 {
		add(fmt.Sprint("second ", i))
	}
	if got := 0; got != 11 {
		t.Errorf("%d records after the first ten have expired, want 11", got)
	}
}

// inBackground makes n concurrent calls and returns a function that waits for them.
func inBackground(n int, call func(i int)) (wait func()) {
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() { call(i) })
	}
	return done.Wait
}
