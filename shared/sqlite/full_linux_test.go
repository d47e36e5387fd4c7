package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"webhooks/shared/sqlite/sqlitetest"
	"webhooks/shared/webhook"
)

// TestFullDisk fills a small file system, and then enlarges it.
func TestFullDisk(t *testing.T) {
	sqlitetest.OnSmallDisk(t, "2m", func(dir string, enlarge func()) { testFullDisk(t, dir, enlarge) })
}

func testFullDisk(t *testing.T, dir string, enlarge func()) {
	path := filepath.Join(dir, "webhooks.db")
	store := openStore(t, path)
	stored := fillUp(t, store)
	if len(stored) < 10 {
		t.Fatalf("only %d webhooks fit", len(stored))
	}
	for range 3 {
		_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: largeWebhook(), Quota: ample})
		wantUnavailable(t, "CreateWebhook on a full disk", err)
	}
	if count := firstPage(t, store, "co_1").Count; count != len(stored) {
		t.Errorf("count %d, want %d", count, len(stored))
	}
	source := newPath(t) // on another disk
	fillUpTo(t, openStore(t, source), 4*len(stored))
	backup := filepath.Join(filepath.Dir(source), "backup.db")
	if _, err := Backup(t.Context(), source, backup); err != nil {
		t.Fatal(err)
	}
	// Restore fails at the safety copy, and overwrite in its transaction.
	_, err := Restore(t.Context(), backup, path, true, restoreTime)
	wantUnavailable(t, "Restore on a full disk", err)
	wantUnavailable(t, "overwrite on a full disk", overwrite(t.Context(), path, backup, ""))
	if count := firstPage(t, store, "co_1").Count; count != len(stored) {
		t.Errorf("count %d after a failed restore, want %d", count, len(stored))
	}
	wantConsistent(t, store)
	enlarge()
	for range 50 {
		w := largeWebhook()
		create(t, store, w)
		stored = append(stored, w.ID)
	}
	if count := firstPage(t, store, "co_1").Count; count != len(stored) {
		t.Errorf("with room again count %d, want %d", count, len(stored))
	}
	wantConsistent(t, store)
}

// fillUp creates webhooks until the disk is full, and returns the IDs of those that were acknowledged.
func fillUp(t *testing.T, store *Store) (stored []string) {
	t.Helper()
	for range 10_000 {
		w := largeWebhook()
		_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: w, Quota: ample})
		if err != nil {
			wantUnavailable(t, "CreateWebhook on a full disk", err)
			return stored
		}
		stored = append(stored, w.ID)
	}
	t.Fatal("10,000 large webhooks did not fill the disk")
	return nil
}

func largeWebhook() webhook.Webhook {
	w := newWebhook("co_1")
	w.Description = strings.Repeat("\U0001F4E8", webhook.MaxDescriptionLength)
	return w
}

func fillUpTo(t *testing.T, store *Store, n int) {
	t.Helper()
	for range n {
		create(t, store, largeWebhook())
	}
}
