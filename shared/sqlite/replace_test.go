package sqlite

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

func TestRestoreKeepsWhatItReplaces(t *testing.T) {
	backup, _ := newBackup(t)
	path := newPath(t)
	seen := newOld(t, path)
	restored, err := Restore(t.Context(), backup, path, true, restoreTime)
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	wantKept(t, restored.Kept, seen)
}

// TestRestoreThroughLink has a link stand where the database is looked for. SQLite keeps the log beside what
// the link leads to.
func TestRestoreThroughLink(t *testing.T) {
	backup, w := newBackup(t)
	path, link := newPath(t), newPath(t)
	seen := newOld(t, path)
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(t.Context(), link); !errors.Is(err, errOpenElsewhere) {
		t.Errorf("Verify of a link to a database with a log: %v, want %v", err, errOpenElsewhere)
	}
	restored, err := Restore(t.Context(), backup, link, true, restoreTime)
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	wantKept(t, restored.Kept, seen)
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is %v, %v now", info, err)
	}
	wantIDs(t, openStore(t, path), "co_1", w.ID)
}

// wantKept checks that a database that was kept can be restored, and has all that was acknowledged.
func wantKept(t *testing.T, kept string, seen *ledger) {
	t.Helper()
	again := newPath(t)
	if _, err := Restore(t.Context(), kept, again, false, restoreTime); err != nil {
		t.Fatalf("Restore of what was kept: %v", err)
	}
	seen.compare(t, openStore(t, again))
}

// settle leaves nothing but the change of one row in the log, so that the head of the file is not there.
func settle(t *testing.T, path string, seen *ledger) {
	t.Helper()
	store, err := Open(t.Context(), path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	child := startChild(t, path, seen.last, 0)
	child.killAfter(3, 0)
	child.report(t, seen)
}

// TestRestoreKilled ends a restore after each of its steps, as a kill would. Only once the old
// database is kept may it be out of use, and never is a part of it in use.
func TestRestoreKilled(t *testing.T) {
	for _, test := range []struct {
		name   string
		before func(t *testing.T, path string) *ledger
	}{
		{"with everything in the log", func(t *testing.T, path string) *ledger { return newOld(t, path) }},
		{"with little in the log", func(t *testing.T, path string) *ledger {
			seen := newOld(t, path)
			settle(t, path, seen)
			return seen
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			template := newPath(t)
			seen := test.before(t, template)
			backup, w := newBackup(t)
			refused := 0
			for done := range len((&replacement{}).steps(t.Context())) + 1 {
				path := newPath(t)
				copyFile(t, template, path)
				copyFile(t, template+"-wal", path+"-wal")
				r := restoreSteps(t, backup, path, done)
				store, err := Open(t.Context(), path, time.Now)
				switch {
				case err == nil && r.placed:
					wantIDs(t, store, "co_1", w.ID)
					wantIDs(t, store, childCompany)
				case err == nil:
					seen.compare(t, store)
				case r.spoilt && !r.placed && strings.Contains(err.Error(), errNoFile.Error()):
					refused++
				default:
					t.Errorf("killed after %d steps: Open: %v", done, err)
				}
				if store != nil {
					if err := store.Close(); err != nil {
						t.Error(err)
					}
				}
				if r.kept != "" {
					wantKept(t, r.kept, seen)
				}
				if t.Failed() {
					t.Fatalf("killed after %d steps", done)
				}
				if done >= 1 {
					wantRestorable(t, backup, path, w)
				}
			}
			if refused == 0 {
				t.Error("nothing was refused: is what is left of a database in use?")
			}
		})
	}
}

// restoreSteps does the first steps of a restore and then lets go of everything.
func restoreSteps(t *testing.T, backup, path string, steps int) *replacement {
	t.Helper()
	with, _, err := verifiedCopy(t.Context(), backup, path)
	if err != nil {
		t.Fatal(err)
	}
	r := &replacement{path: path, with: with, now: restoreTime}
	if err := r.claim(true); err != nil {
		t.Fatal(err)
	}
	defer r.old.Close()
	for _, step := range r.steps(t.Context())[:steps] {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// wantRestorable checks that one more restore works, and removes what one that was killed left.
func wantRestorable(t *testing.T, backup, path string, w webhook.Webhook) {
	t.Helper()
	restored, err := Restore(t.Context(), backup, path, true, restoreTime.Add(time.Hour))
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	if restored.Kept != "" {
		if _, err := Verify(t.Context(), restored.Kept); err != nil {
			t.Errorf("what it says that it kept: %v", err)
		}
	}
	for _, name := range filesIn(t, filepath.Dir(path)) {
		if name != "webhooks.db" && !strings.HasPrefix(name, "webhooks.db.replaced-") {
			t.Errorf("%s is left in the directory", name)
		}
	}
	wantIDs(t, openStore(t, path), "co_1", w.ID)
}

// TestRestoreKilledInANewDirectory has no old database: what is there until the new one is in its place
// must at most be empty.
func TestRestoreKilledInANewDirectory(t *testing.T) {
	backup, w := newBackup(t)
	for done := range len((&replacement{}).steps(t.Context())) + 1 {
		path := newPath(t)
		r := restoreSteps(t, backup, path, done)
		if r.kept != "" {
			t.Errorf("%s was kept of nothing", r.kept)
		}
		wantRestorable(t, backup, path, w)
	}
}

// TestRestoreFails has the last steps fail, where the new file has gone.
func TestRestoreFails(t *testing.T) {
	backup, _ := newBackup(t)
	t.Run("before the old database has ended", func(t *testing.T) {
		path := newPath(t)
		seen := newOld(t, path)
		_, err := replaceFile(t.Context(), path, filepath.Join(filepath.Dir(path), "gone"), true, restoreTime)
		if !errors.Is(err, ErrInUse) {
			t.Errorf("got error %v, want %v", err, ErrInUse)
		}
		seen.compare(t, openStore(t, path))
		for _, name := range filesIn(t, filepath.Dir(path)) {
			if strings.Contains(name, ".re") {
				t.Errorf("%s is left in the directory", name)
			}
		}
	})
	t.Run("after that", func(t *testing.T) {
		path := newPath(t)
		seen := newOld(t, path)
		r := restoreSteps(t, backup, path, 3)
		err := r.undo(io.ErrUnexpectedEOF)
		if want := fmt.Sprintf("the database that was there is kept as %s", r.kept); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want one with %q", err, want)
		}
		wantKept(t, r.kept, seen)
	})
	t.Run("where there was none", func(t *testing.T) {
		path := newPath(t)
		r := restoreSteps(t, backup, path, 3)
		if err := r.undo(io.ErrUnexpectedEOF); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got error %v", err)
		}
		wantFiles(t, filepath.Dir(path))
	})
}

// TestRestoreRemovesAJournal checks that the journal of a database that was being made is not played
// into the one that takes its place.
func TestRestoreRemovesAJournal(t *testing.T) {
	backup, w := newBackup(t)
	path := newPath(t)
	hotJournal(t, path)
	restored, err := Restore(t.Context(), backup, path, true, restoreTime)
	if err != nil {
		t.Fatalf("Restore: %v", err)
	}
	wantIDs(t, openStore(t, path), "co_1", w.ID)
	wantNotes(t, restored.Kept, "first")
}

// hotJournal makes a database as a process leaves it that was killed in the middle of a transaction
// without a write-ahead log.
func hotJournal(t *testing.T, path string) {
	t.Helper()
	work := newPath(t)
	db := openRaw(t, work)
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		"CREATE TABLE notes (text TEXT)", "CREATE TABLE more (text TEXT)", "INSERT INTO notes VALUES ('first')",
		"PRAGMA cache_spill = 1", "PRAGMA cache_size = 1", "BEGIN", "UPDATE notes SET text = 'second'",
		// So much does not stay in memory.
		"INSERT INTO more WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) SELECT hex(randomblob(2000)) FROM n",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	copyFile(t, work, path)
	copyFile(t, work+"-journal", path+"-journal")
	if text, err := os.ReadFile(path); err != nil || !bytes.Contains(text, []byte("second")) {
		t.Fatalf("the file has not been written to: %v", err)
	}
	if info, err := os.Stat(path + "-journal"); err != nil || info.Size() == 0 {
		t.Fatalf("the journal: %v, %v, want one with something in it", info, err)
	}
}

func wantNotes(t *testing.T, path, want string) {
	t.Helper()
	var got string
	err := openRaw(t, path).QueryRowContext(t.Context(), "SELECT group_concat(text) FROM notes").Scan(&got)
	if err != nil || got != want {
		t.Errorf("the notes are %.50q, %v, want %q", got, err, want)
	}
}

// TestLockOfAFileThatWasReplaced has a file lose its name after it was opened and before it was locked.
func TestLockOfAFileThatWasReplaced(t *testing.T) {
	path := newPath(t)
	writeFile(t, path, "old", 0o600)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := lockAt(path, file); err != nil {
		t.Errorf("where it is still there: %v", err)
	}
	writeFile(t, path+".new", "new", 0o600)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	if err := lockAt(path, file); !errors.Is(err, ErrInUse) {
		t.Errorf("where another one is: got error %v, want %v", err, ErrInUse)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := lockAt(path, file); !errors.Is(err, ErrInUse) {
		t.Errorf("where none is: got error %v, want %v", err, ErrInUse)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, to, string(text), 0o600)
}
