package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
)

// TestBackupWhileServing creates several backups with the same name while another process writes. One succeeds: it is consistent,
// contains what was written before, and opens like any database. The others report that the file exists.
func TestBackupWhileServing(t *testing.T) {
	path := newPath(t)
	w := newWebhook("co_1")
	create(t, openStore(t, path), w)
	busy := startChild(t, path, newLedger(), 20)
	<-busy.enough
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
		restored := openStore(t, dest)
		wantIDs(t, restored, "co_1", w.ID)
		create(t, restored, newWebhook("co_1"))
	}
	busy.kill()
}

// TestBackupErrors checks that a backup that fails leaves no file.
func TestBackupErrors(t *testing.T) {
	path, dest := newPath(t), filepath.Join(t.TempDir(), "backup.db")
	openStore(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Backup(ctx, path, dest)
	wantUnavailable(t, "Backup", err)
	other := newPath(t)
	raw("CREATE TABLE notes (text TEXT)")(t, other)
	if _, err := Backup(t.Context(), other, dest); !errors.Is(err, errNotOurs) {
		t.Errorf("another program's database: error %v, want %v", err, errNotOurs)
	}
	wantFiles(t, filepath.Dir(dest))
}

// wantFiles checks the names in a directory.
func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	got, err := filepath.Glob(filepath.Join(dir, "*"))
	for i := range want {
		want[i] = filepath.Join(dir, want[i])
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the directory contains %v, %v, want %v", got, err, want)
	}
}
