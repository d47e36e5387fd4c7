package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
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
	wantText(t, dest, "precious")
}

// TestBackupsAtOnce has several backups take one name: one gets it, and is whole.
func TestBackupsAtOnce(t *testing.T) {
	const backups = 4
	store := openStore(t, newPath(t))
	w := newWebhook("co_1")
	create(t, store, w)
	for range 5 {
		dest := filepath.Join(t.TempDir(), "backup.db")
		var made atomic.Int32
		inBackground(backups, func(int) {
			switch err := store.Backup(t.Context(), dest); {
			case err == nil:
				made.Add(1)
			case !strings.HasSuffix(err.Error(), existsAlready(dest).Error()):
				t.Errorf("Backup: got error %v, want that the file exists", err)
			}
		})()
		if made.Load() != 1 {
			t.Errorf("%d backups were made, want 1", made.Load())
		}
		wantFiles(t, filepath.Dir(dest), "backup.db")
		wantIDs(t, openStore(t, dest), "co_1", w.ID)
	}
}

// TestGiveName tries both ways to give a file its name.
func TestGiveName(t *testing.T) {
	noLinks := func(path, dest string) error {
		return &os.LinkError{Op: "link", Old: path, New: dest, Err: syscall.EPERM}
	}
	for name, link := range map[string]func(path, dest string) error{"with links": os.Link, "without links": noLinks} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			path, dest := filepath.Join(dir, "path"), filepath.Join(dir, "dest")
			writeFile(t, path, "new", 0o600)
			if err := giveName(path, dest, link); err != nil {
				t.Fatalf("giveName: %v", err)
			}
			wantText(t, dest, "new")
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			writeFile(t, path, "newer", 0o600)
			if err := giveName(path, dest, link); err == nil || err.Error() != existsAlready(dest).Error() {
				t.Errorf("giveName: got error %v, want %v", err, existsAlready(dest))
			}
			wantText(t, dest, "new")
			wantText(t, path, "newer")
			other := filepath.Join(dir, "other")
			if err := giveName(filepath.Join(dir, "gone"), other, link); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("giveName of nothing: got error %v, want %v", err, fs.ErrNotExist)
			}
			if _, err := os.Lstat(other); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("giveName of nothing left %v", err)
			}
		})
	}
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	if text, err := os.ReadFile(path); string(text) != want {
		t.Errorf("%s has %q, %v, want %q", filepath.Base(path), text, err, want)
	}
}

// TestBackupRemovesWhatWasAbandoned checks that a backup removes what others left that were killed, and
// nothing that is still being made or not a backup.
func TestBackupRemovesWhatWasAbandoned(t *testing.T) {
	store := openStore(t, newPath(t))
	dir := t.TempDir()
	for name, age := range map[string]time.Duration{
		backupPrefix + "1.db":         abandonedAfter + time.Minute,
		backupPrefix + "1.db-journal": abandonedAfter + time.Minute,
		backupPrefix + "2.db":         abandonedAfter - time.Minute,
		"2029-01-01.db":               1000 * time.Hour,
		".backup-3":                   1000 * time.Hour,
	} {
		path := filepath.Join(dir, name)
		writeFile(t, path, "text", 0o600)
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Backup(t.Context(), filepath.Join(dir, "new.db")); err != nil {
		t.Fatalf("Backup: %v", err)
	}
	want := []string{".backup-3", backupPrefix + "2.db", "2029-01-01.db", "new.db"}
	if got := filesIn(t, dir); !slices.Equal(got, want) {
		t.Errorf("the directory has %q, want %q", got, want)
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
