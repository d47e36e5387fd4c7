package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// TestBackupWhileServing checks that a backup has everything from before it, nothing half made, and
// that it opens like any database.
func TestBackupWhileServing(t *testing.T) {
	store := openStore(t, newPath(t))
	var before []webhook.Webhook
	for range 30 {
		w := newWebhook("co_1")
		create(t, store, w)
		before = append(before, w)
	}
	key := access.Key{ID: access.NewKeyID("co_1", "01ARZ3NDEKTSV4RRFFQ69G5FAV"), Company: "co_1", CreatedAt: time.UnixMilli(1).UTC()}
	if err := store.CreateKey(t.Context(), key); err != nil {
		t.Fatalf("CreateKey: %v", err)
	}
	stop := make(chan struct{})
	writers := inBackground(4, func(int) {
		for {
			select {
			case <-stop:
				return
			default:
				create(t, store, newWebhook("co_2"))
			}
		}
	})
	dest := filepath.Join(t.TempDir(), "backup.db")
	if err := store.Backup(t.Context(), dest); err != nil {
		t.Fatalf("Backup: %v", err)
	}
	close(stop)
	writers()
	if info, err := os.Stat(dest); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v, %v, want mode 600", info, err)
	}
	wantFiles(t, filepath.Dir(dest), "backup.db")

	restored := openStore(t, dest)
	var want []string
	for _, w := range before {
		want = append(want, w.ID)
	}
	wantIDs(t, restored, "co_1", want...)
	if _, err := restored.KeyByHash(t.Context(), key.Hash); err != nil {
		t.Errorf("KeyByHash in the backup: %v", err)
	}
	create(t, restored, newWebhook("co_1"))
}

func TestBackupRefusesAFileThatExists(t *testing.T) {
	store := openStore(t, newPath(t))
	dest := filepath.Join(t.TempDir(), "backup.db")
	writeFile(t, dest, "precious", 0o600)
	err := store.Backup(t.Context(), dest)
	if want := dest + " exists already: give the path of a new file"; err == nil || err.Error() != want {
		t.Errorf("Backup: got error %v, want %v", err, want)
	}
	if text, err := os.ReadFile(dest); string(text) != "precious" {
		t.Errorf("the file has %q, %v, want what it had", text, err)
	}
}

func TestBackupThatFailsLeavesNothing(t *testing.T) {
	store := openStore(t, newPath(t))
	create(t, store, newWebhook("co_1"))
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantUnavailable(t, "Backup", store.Backup(ctx, filepath.Join(dir, "backup.db")))
	wantFiles(t, dir)
	if err := store.Backup(t.Context(), filepath.Join(dir, "missing", "backup.db")); err == nil {
		t.Error("Backup into a directory that is not there succeeded")
	}
}

// wantFiles checks the names in a directory.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if len(want) != 1 || entry.Name() != want[0] {
			t.Errorf("%s is in the directory, want %q alone", entry.Name(), want)
		}
	}
	if len(entries) != len(want) {
		t.Errorf("%d files are in the directory, want %d", len(entries), len(want))
	}
}
