package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

var restoreTime = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// newBackup returns a backup with one webhook.
func newBackup(t *testing.T) (path string, w webhook.Webhook) {
	t.Helper()
	source := newPath(t)
	store := openStore(t, source)
	w = newWebhook("co_1")
	create(t, store, w)
	path = filepath.Join(t.TempDir(), "backup.db")
	summary, err := Backup(t.Context(), source, path)
	if err != nil {
		t.Fatalf("Backup: %v", err)
	}
	if summary.Webhooks != 1 || summary.APIKeys != 0 || summary.Schema == 0 || summary.Size == 0 {
		t.Errorf("Backup = %+v, want one webhook", summary)
	}
	return path, w
}

// newOld creates a database as a killed process leaves it, with much of it in the write-ahead log, and returns what that
// process had acknowledged.
func newOld(t *testing.T, path string) *ledger {
	t.Helper()
	seen := newLedger()
	child := startChild(t, path, seen, 100)
	<-child.enough
	child.kill()
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		t.Fatalf("the write-ahead log: %v, %v, want it not to be empty", info, err)
	}
	return seen
}

func TestRestore(t *testing.T) {
	tests := []struct {
		name   string
		before func(t *testing.T, path string) *ledger // creates the existing database, if any
		kept   bool
	}{
		{"new", func(*testing.T, string) *ledger { return nil }, false},
		{"new, with what is left of a lost database", func(t *testing.T, path string) *ledger {
			newOld(t, path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			return nil
		}, false},
		{"existing", newOld, true},
		{"damaged", func(t *testing.T, path string) *ledger { writeFile(t, path, "ruins", 0o600); return nil }, true},
		{"empty file", func(t *testing.T, path string) *ledger { writeFile(t, path, "", 0o600); return nil }, false},
		{"link to a damaged file", func(t *testing.T, path string) *ledger {
			target := newPath(t)
			writeFile(t, target, "ruins", 0o600)
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
			return nil
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			backup, w := newBackup(t)
			path := newPath(t)
			seen := test.before(t, path)
			link, _ := os.Readlink(path) // or "" for another file
			restored, err := Restore(t.Context(), backup, path, true, restoreTime)
			if err != nil {
				t.Fatalf("Restore: %v", err)
			}
			if restored.Webhooks != 1 || (restored.Kept != "") != test.kept {
				t.Errorf("Restore = %+v, want one webhook, safety copy %v", restored, test.kept)
			}
			if left, err := filepath.Glob(path + ".restoring*"); err != nil || left != nil {
				t.Errorf("files left in the directory: %v, %v", left, err)
			}
			if got, _ := os.Readlink(path); got != link {
				t.Errorf("the link to %q is now %q", link, got)
			}
			store := openStore(t, path)
			wantIDs(t, store, "co_1", w.ID)
			wantIDs(t, store, childCompany)
			if seen != nil {
				seen.compare(t, openStore(t, restored.Kept))
			}
		})
	}
}

// A process that has the database open keeps working during a restore, and then sees the restored data.
func TestRestoreWhileServing(t *testing.T) {
	backup, w := newBackup(t)
	path := newPath(t)
	store := openStore(t, path) // reads
	seen := newLedger()
	busy := startChild(t, path, seen, 1)
	<-busy.enough
	var copies []*Store
	for i := range 5 {
		restored, err := Restore(t.Context(), backup, path, true, restoreTime.Add(time.Duration(i)*time.Second))
		if err != nil {
			t.Fatalf("Restore: %v", err)
		}
		copies = append(copies, openStore(t, restored.Kept))
		wantIDs(t, store, "co_1", w.ID)
	}
	busy.kill()
	// Every webhook is in the database or in one of the safety copies.
	found := map[string]bool{}
	for _, store := range append(copies, store) {
		wantConsistent(t, store)
		for _, w := range childWebhooks(t, store) {
			found[w.ID] = true
		}
	}
	for name, id := range seen.created {
		if !found[id] && !seen.deleting[id] {
			t.Errorf("%s was acknowledged with key %s and is in no copy", id, name)
		}
	}
}

// A process that has the database open never sees the tables of an older version.
func TestRestoreOldWhileServing(t *testing.T) {
	path := newPath(t)
	store := openStore(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	wait := inBackground(2, func(int) {
		for ctx.Err() == nil {
			if _, err := store.KeyByHash(t.Context(), access.Hash{}); !errors.Is(err, webhook.ErrNotFound) {
				t.Errorf("KeyByHash: %v", err)
			}
		}
	})
	for i := range 5 {
		if _, err := Restore(t.Context(), newOldFile(t), path, true, restoreTime.Add(time.Duration(i)*time.Second)); err != nil {
			t.Errorf("Restore: %v", err)
		}
	}
	cancel()
	wait()
	if left, err := filepath.Glob(path + ".restoring*"); err != nil || left != nil {
		t.Errorf("files left in the directory: %v, %v", left, err)
	}
}

// What a killed restore left is not in the way of the next one, which has the same process ID in a container.
func TestRestoreAfterKilledRestore(t *testing.T) {
	path := newPath(t)
	for _, suffix := range []string{"", ".db"} {
		writeFile(t, fmt.Sprintf("%s.restoring-%d%s", path, os.Getpid(), suffix), "incomplete", 0o600)
	}
	if _, err := Restore(t.Context(), newOldFile(t), path, false, restoreTime); err != nil {
		t.Errorf("Restore: %v", err)
	}
}

// A restore that is killed leaves the old database or the new one.
func TestRestoreKilled(t *testing.T) {
	backup, w := newBackup(t)
	for round := range 12 {
		path := newPath(t)
		seen := newOld(t, path)
		child := childCommand(t, path, childRestore+"="+backup)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(round*4) * time.Millisecond)
		_ = child.Process.Kill()
		_ = child.Wait()
		store := openStore(t, path)
		if _, err := store.Webhook(t.Context(), "co_1", w.ID); err == nil {
			wantIDs(t, store, "co_1", w.ID)
			wantIDs(t, store, childCompany)
			kept, err := filepath.Glob(path + ".replaced-*")
			if err != nil || len(kept) != 1 {
				t.Fatalf("round %d: safety copies %v, %v", round, kept, err)
			}
			seen.compare(t, openStore(t, kept[0]))
		} else {
			seen.compare(t, store)
		}
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
}

func TestRestoreInvalidBackups(t *testing.T) {
	const pageSize = 4096
	tests := []struct {
		name   string
		change func(t *testing.T, backup string)
		want   error
	}{
		{"a table is missing", raw("DROP TABLE webhooks"), errDamaged},
		{"a column is missing", raw("ALTER TABLE webhooks DROP COLUMN description"), errDamaged},
		{"an index is missing", raw("DROP INDEX api_keys_by_company"), errDamaged},
		{"another program's database", raw("PRAGMA application_id = 1"), errNotOurs},
		{"an empty file", func(t *testing.T, backup string) { writeFile(t, backup, "", 0o600) }, errNotOurs},
		{"half a backup", func(t *testing.T, backup string) {
			if err := os.Truncate(backup, 5*pageSize); err != nil {
				t.Fatal(err)
			}
		}, errDamaged},
		{"a page of zeros", func(t *testing.T, backup string) {
			text, err := os.ReadFile(backup)
			if err != nil {
				t.Fatal(err)
			}
			clear(text[len(text)-pageSize:])
			writeFile(t, backup, string(text), 0o600)
		}, errDamaged},
		{"a database in use", func(t *testing.T, backup string) { writeFile(t, backup+"-wal", "something", 0o600) }, errOpenElsewhere},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			backup, _ := newBackup(t)
			test.change(t, backup)
			path := newPath(t)
			if _, err := Restore(t.Context(), backup, path, false, restoreTime); !errors.Is(err, test.want) {
				t.Errorf("Restore: got error %v, want %v", err, test.want)
			}
			wantFiles(t, filepath.Dir(path))
		})
	}
}
