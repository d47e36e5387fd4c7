package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"webhooks/shared/sqlite/sqlitetest"
	"webhooks/shared/webhook"
)

// TestFullDisk fills a small file system, tries to restore a larger backup, and then enlarges it.
func TestFullDisk(t *testing.T) {
	sqlitetest.OnSmallDisk(t, "2m", func(dir string, enlarge func()) { testFullDisk(t, dir, enlarge) })
}

func testFullDisk(t *testing.T, dir string, enlarge func()) {
	path := filepath.Join(dir, "webhooks.db")
	store := openStore(t, path)
	createLarge := func(store *Store) error {
		w := newWebhook("co_1")
		w.Description = strings.Repeat("\U0001F4E8", webhook.MaxDescriptionLength)
		_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: w, Quota: ample})
		return err
	}
	create(t, store, newWebhook("co_2"))
	accept(t, store, newEvent("co_2", day()))
	works, err := store.Work(t.Context(), []webhook.Ref{{Number: 1}}, day())
	if err != nil || len(works) != 1 {
		t.Fatalf("Work = %v, %v, want one", works, err)
	}
	outcome := delivered(works[0].Ref)
	outcome.Attempt.URL = strings.Repeat("a", 64<<10)
	stored := 1
	err = createLarge(store)
	for ; err == nil; err = createLarge(store) {
		stored++
	}
	wantUnavailable(t, "CreateWebhook on a full disk", err)
	_, err = store.Record(t.Context(), outcome)
	wantUnavailable(t, "Record on a full disk", err)
	wantCount(t, store, stored)

	source := newPath(t) // on another disk
	large := openStore(t, source)
	for range 4 * stored {
		if err := createLarge(large); err != nil {
			t.Fatal(err)
		}
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	if _, err := Backup(t.Context(), source, backup); err != nil {
		t.Fatal(err)
	}
	// Restore fails at the safety copy, and overwrite in its transaction.
	_, err = Restore(t.Context(), backup, path, true, restoreTime)
	wantUnavailable(t, "Restore on a full disk", err)
	wantUnavailable(t, "overwrite on a full disk", overwrite(t.Context(), path, backup, ""))
	wantCount(t, store, stored)

	enlarge()
	for range 50 {
		if err := createLarge(store); err != nil {
			t.Fatalf("CreateWebhook with room again: %v", err)
		}
	}
	wantCount(t, store, stored+50)
	if applied, err := store.Record(t.Context(), outcome); !applied || err != nil {
		t.Errorf("Record with room again = %v, %v, want true", applied, err)
	}
}
