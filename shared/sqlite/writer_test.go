package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	driver "modernc.org/sqlite"

	"webhooks/shared/webhook"
)

// TestBatch has changes wait for the lock, some of which fail, and counts the transactions they take.
func TestBatch(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	first := newWebhook("co_1")
	create(t, store, first)
	commits := countCommits(t, store)
	errOwn := errors.New("a failure after a write")
	stored := make([]string, 20)
	whileLocked(t, path, 5*len(stored), func(i int) {
		switch i % 5 {
		case 0:
			w := newWebhook("co_1")
			stored[i/5] = w.ID
			create(t, store, w)
		case 1:
			if err := store.DeleteWebhook(t.Context(), "co_1", "wh_unknown"); !errors.Is(err, webhook.ErrNotFound) {
				t.Errorf("DeleteWebhook: got error %v, want %v", err, webhook.ErrNotFound)
			}
		case 2: // violates a constraint after other statements
			_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: first, Quota: ample})
			if err == nil || webhook.KindOf(err) != webhook.KindInternal {
				t.Errorf("CreateWebhook with an ID in use: got error %v, want one of KindInternal", err)
			}
		case 3:
			err := store.writes.change(t.Context(), func(ctx context.Context, tx *session) error {
				return errors.Join(tx.exec(ctx, "DELETE FROM webhooks"), errOwn)
			})
			if !errors.Is(err, errOwn) {
				t.Errorf("got error %v, want %v", err, errOwn)
			}
		case 4:
			wantUnavailable(t, "a file that cannot be opened", store.writes.change(t.Context(), func(ctx context.Context, tx *session) error {
				return tx.exec(ctx, "ATTACH '/nowhere/at/all' AS other")
			}))
		}
	})
	slices.Sort(stored)
	wantIDs(t, store, "co_1", append([]string{first.ID}, stored...)...)
	// The first one waits for the lock on its own, the others are committed together, and a few may be late.
	if got := commits.Load(); got < 1 || got > 10 {
		t.Errorf("%d changes took %d transactions, want at most 10", 5*len(stored), got)
	}
}

// countCommits counts the transactions that the writer's connection commits from now on.
func countCommits(t *testing.T, store *Store) *atomic.Int32 {
	t.Helper()
	var commits atomic.Int32
	err := store.writes.change(t.Context(), func(_ context.Context, tx *session) error {
		return tx.conn.Raw(func(conn any) error {
			conn.(driver.HookRegisterer).RegisterCommitHook(func() int32 { commits.Add(1); return 0 })
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return &commits
}

// blockWriter keeps the writer from making other changes until release is called.
func blockWriter(t *testing.T, store *Store) (release func()) {
	t.Helper()
	blocked, released := make(chan struct{}), make(chan struct{})
	ended := inBackground(1, func(int) {
		err := store.writes.change(t.Context(), func(context.Context, *session) error {
			close(blocked)
			<-released
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
	<-blocked
	return func() {
		close(released)
		ended()
	}
}

// Patient changes share the next transaction with the others, however many of these wait.
func TestPatientChangesUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := Open(t.Context(), newPath(t), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		release := blockWriter(t, store)
		var order []string
		start := func(kind string, n int, change func(context.Context, func(context.Context, *session) error) error) (wait func()) {
			return inBackground(n, func(int) {
				err := change(t.Context(), func(context.Context, *session) error {
					order = append(order, kind)
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		urgent, patient := start("urgent", 10*maxBatch, store.writes.change), start("patient", 20, store.writes.changeSoon)
		synctest.Wait()
		release()
		urgent()
		patient()
		if early := order[:maxBatch]; strings.Count(strings.Join(early, " "), "patient") != 20 {
			t.Errorf("not all of 20 patient changes are among the first %d changes", len(early))
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestFailedTransaction has changes in a batch that make the whole transaction fail. The other changes must still succeed.
func TestFailedTransaction(t *testing.T) {
	tests := []struct {
		name    string
		culprit func(ctx context.Context, tx *session) error
		want    webhook.Kind
	}{
		{"rolled back", func(ctx context.Context, tx *session) error {
			return errors.Join(tx.exec(ctx, "ROLLBACK"), errors.New("rolled back"))
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
			whileLocked(t, path, 21, func(i int) {
				if i%7 != 3 {
					create(t, store, newWebhook("co_1"))
					return
				}
				err := store.writes.change(t.Context(), test.culprit)
				if err == nil || webhook.KindOf(err) != test.want {
					t.Errorf("the failing change: got error %v, want kind %v", err, test.want)
				}
			})
			wantCount(t, store, 18)
		})
	}
}

// TestWaitForTheLock has another process hold the lock. Changes wait for it until their context ends. Reads do not wait.
func TestWaitForTheLock(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	before, after := newWebhook("co_1"), newWebhook("co_1")
	create(t, store, before)
	unlock := lockFile(t, path)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	for i := range 3 { // the writer has the first one, the others wait for the writer
		_, err := store.CreateWebhook(ctx, webhook.Creation{Webhook: newWebhook("co_1"), Quota: ample})
		wantUnavailable(t, fmt.Sprintf("CreateWebhook %d", i), err)
		if !errors.Is(err, context.DeadlineExceeded) || !IsLocked(err) {
			t.Errorf("got error %v, want it to wrap %v and %v", err, context.DeadlineExceeded, errLocked)
		}
	}

	created := inBackground(1, func(int) { create(t, store, after) })
	time.Sleep(50 * time.Millisecond) // until the writer waits for the lock
	ctx, cancel = context.WithTimeout(t.Context(), busyTimeout*4/5)
	defer cancel()
	list, err := store.ListWebhooks(ctx, "co_1", webhook.Page{Size: 100, Number: 1})
	if err != nil || list.Count != 1 || len(list.Webhooks) != 1 {
		t.Errorf("ListWebhooks = %+v, %v, want one webhook", list, err)
	}
	if _, err := store.Webhook(ctx, "co_1", before.ID); err != nil {
		t.Errorf("Webhook: %v", err)
	}
	if _, err := store.PrepareCreation(ctx, webhook.CreationQuery{Company: "co_1", Now: time.Now()}); err != nil {
		t.Errorf("PrepareCreation: %v", err)
	}
	unlock()
	created()
	wantIDs(t, store, "co_1", before.ID, after.ID) // nothing was stored after its caller had given up
}

// TestLogSize writes much more than the write-ahead log may contain before it is checkpointed.
func TestLogSize(t *testing.T) {
	const limit = 8 << 20 // bytes, twice SQLite's default of 1,000 pages of 4 KiB
	path := newPath(t)
	store := openStore(t, path)
	for i := range 16 {
		w := newWebhook("co_1")
		w.SealedToken = make([]byte, 1<<20)
		create(t, store, w)
		wantCount(t, store, i+1) // readers come and go
		if info, err := os.Stat(path + "-wal"); err != nil || info.Size() > limit {
			t.Fatalf("write-ahead log: %v, %v, want at most %d bytes", info, err, limit)
		}
	}
}

// TestClose closes a store while changes wait for the lock. Each one is either acknowledged and stored, or unavailable.
func TestClose(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	var acknowledged atomic.Int32
	whileLocked(t, path, 20, func(i int) {
		if i == 10 {
			time.Sleep(50 * time.Millisecond) // until the writer has a change
			if err := store.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			return
		}
		_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: newWebhook("co_1"), Quota: ample})
		if err == nil {
			acknowledged.Add(1)
			return
		}
		wantUnavailable(t, "CreateWebhook while closing", err)
	})
	if acknowledged.Load() == 0 {
		t.Error("no change was finished")
	}
	wantCount(t, openStore(t, path), int(acknowledged.Load()))

	_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: newWebhook("co_1"), Quota: ample})
	wantUnavailable(t, "CreateWebhook after Close", err)
	if err := store.Ping(t.Context()); err == nil {
		t.Error("Ping works after Close")
	}
}

// TestExpiredRecords checks that creations delete expired idempotency records.
func TestExpiredRecords(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	store, err := Open(t.Context(), newPath(t), func() time.Time { return now })
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer store.Close()
	add := func(creations int, wantRecords string) {
		t.Helper()
		for range creations {
			w := newWebhook("co_1")
			w.CreatedAt = now
			record := &webhook.IdempotencyRecord{Key: webhook.NewIdempotencyKey("create-webhook", w.ID)}
			if _, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: w, Quota: ample, Idempotency: record}); err != nil {
				t.Fatalf("CreateWebhook: %v", err)
			}
		}
		wantValue(t, store, "SELECT count(*) FROM idempotency_records", wantRecords)
	}
	add(10, "10")
	now = now.Add(webhook.IdempotencyTTL - time.Millisecond)
	add(1, "11")
	now = now.Add(time.Millisecond) // the first ten expire
	add(10, "11")
}
