package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// TestBackupWhileServing checks that a backup contains everything written before it, is consistent, and opens like any
// database.
func TestBackupWhileServing(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
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
	if _, err := Backup(t.Context(), path, dest); err != nil {
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

// TestBackupNeverOverwrites has several backups with the same name. One succeeds, and the others report that the file exists.
func TestBackupNeverOverwrites(t *testing.T) {
	path := newPath(t)
	w := newWebhook("co_1")
	create(t, openStore(t, path), w)
	for range 5 {
		dest := filepath.Join(t.TempDir(), "backup.db")
		var created atomic.Int32
		inBackground(4, func(int) {
			switch _, err := Backup(t.Context(), path, dest); {
			case err == nil:
				created.Add(1)
			case !strings.HasSuffix(err.Error(), dest+" already exists: choose the path of a new file"):
				t.Errorf("Backup: error %v, want that the file exists", err)
			}
		})()
		if created.Load() != 1 {
			t.Errorf("%d backups succeeded, want 1", created.Load())
		}
		wantFiles(t, filepath.Dir(dest), "backup.db")
		wantIDs(t, openStore(t, dest), "co_1", w.ID)
	}
}

func TestBackupErrors(t *testing.T) {
	path, dir := newPath(t), t.TempDir()
	create(t, openStore(t, path), newWebhook("co_1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Backup(ctx, path, filepath.Join(dir, "backup.db"))
	wantUnavailable(t, "Backup", err)
	if _, err := Backup(t.Context(), path, filepath.Join(dir, "missing", "backup.db")); err == nil {
		t.Error("a backup into a directory that does not exist succeeded")
	}
	other := newPath(t)
	raw(t, other, "CREATE TABLE notes (text TEXT)")
	if _, err := Backup(t.Context(), other, filepath.Join(dir, "backup.db")); err == nil || !strings.Contains(err.Error(), errNotOurs.Error()) {
		t.Errorf("another program's database: error %v, want %v", err, errNotOurs)
	}
	wantFiles(t, dir)
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
