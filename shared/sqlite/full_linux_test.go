package sqlite

import (
	"path/filepath"
	"strings"
	"testing"

	"webhooks/shared/sqlite/sqlitetest"
	"webhooks/shared/webhook"
)

// TestFullDisk fills up a small file system, and makes room again.
func TestFullDisk(t *testing.T) {
	sqlitetest.OnSmallDisk(t, "2m", func(dir string, makeRoom func()) { testFullDisk(t, dir, makeRoom) })
}

func testFullDisk(t *testing.T, dir string, makeRoom func()) {
	store := openStore(t, filepath.Join(dir, "webhooks.db"))
	stored := fillUp(t, store)
	if len(stored) < 10 {
		t.Fatalf("only %d webhooks found room", len(stored))
	}
	for range 3 { // and so it stays
		_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: largeWebhook(), Quota: ample})
		wantUnavailable(t, "CreateWebhook without room", err)
	}
	if count := firstPage(t, store, "co_1").Count; count != len(stored) {
		t.Errorf("the count is %d, want %d", count, len(stored))
	}
	makeRoom()
	for range 50 {
		w := largeWebhook()
		create(t, store, w)
		stored = append(stored, w.ID)
	}
	if count := firstPage(t, store, "co_1").Count; count != len(stored) {
		t.Errorf("with room again the count is %d, want %d", count, len(stored))
	}
	wantConsistent(t, store)
}

// fillUp creates webhooks until there is no room for another, and gives the ids of those that were
// acknowledged.
func fillUp(t *testing.T, store *Store) (stored []string) {
	t.Helper()
	for range 10_000 {
		w := largeWebhook()
		_, err := store.CreateWebhook(t.Context(), webhook.Creation{Webhook: w, Quota: ample})
		if err != nil {
			wantUnavailable(t, "CreateWebhook without room", err)
			return stored
		}
		stored = append(stored, w.ID)
	}
	t.Fatal("10,000 large webhooks did not fill it up")
	return nil
}

func largeWebhook() webhook.Webhook {
	w := newWebhook("co_1")
	w.Description = strings.Repeat("\U0001F4E8", webhook.MaxDescriptionLength)
	return w
}
