package sqlite

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// restoreTime is when the tests restore, and keptSuffix what a database that was replaced then has
// behind its name.
var restoreTime = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

const keptSuffix = ".replaced-20300102T030405Z"

// newBackup makes a backup with one webhook of a company.
func newBackup(t *testing.T) (path string, w webhook.Webhook) {
	t.Helper()
	source := newPath(t)
	store := openStore(t, source)
	w = newWebhook("co_1")
	create(t, store, w)
	path = filepath.Join(t.TempDir(), "backup.db")
	summary, err := BackupFile(t.Context(), source, path)
	if err != nil {
		t.Fatalf("BackupFile: %v", err)
	}
	if summary.Webhooks != 1 || summary.Companies != 1 || summary.Schema != 1 || summary.Size == 0 {
		t.Errorf("BackupFile = %+v, want a webhook of a company", summary)
	}
	return path, w
}

// newOld makes a database as a process leaves it that was killed, with much of it in its log, and
// gives what that process acknowledged.
func newOld(t *testing.T, path string) *ledger {
	t.Helper()
	seen := newLedger()
	child := startChild(t, path, nil, 0)
	child.killAfter(100, 0)
	child.report(t, seen)
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() == 0 {
		t.Fatalf("the log: %v, %v, want one with something in it", info, err)
	}
	return seen
}

func TestRestore(t *testing.T) {
	tests := []struct {
		name    string
		before  func(t *testing.T, path string) // what is there
		replace bool
		kept    bool
	}{
		{"into an empty directory", func(*testing.T, string) {}, false, false},
		{"into an empty directory, replacing", func(*testing.T, string) {}, true, false},
		{"over what is left beside a lost database", func(t *testing.T, path string) {
			newOld(t, path)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, false, false},
		{"over a database", func(t *testing.T, path string) { newOld(t, path) }, true, true},
		{"over a damaged database", func(t *testing.T, path string) { writeFile(t, path, "ruins", 0o644) }, true, true},
		{"over an empty file", func(t *testing.T, path string) { writeFile(t, path, "", 0o600) }, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			backup, w := newBackup(t)
			path := newPath(t)
			test.before(t, path)
			restored, err := Restore(t.Context(), backup, path, test.replace, restoreTime)
			if err != nil {
				t.Fatalf("Restore: %v", err)
			}
			want := ""
			if test.kept {
				want = path + keptSuffix
			}
			if restored.Kept != want || restored.Webhooks != 1 {
				t.Errorf("Restore = %+v, want a webhook, and the old database kept at %q", restored, want)
			}
			for _, file := range filesIn(t, filepath.Dir(path)) {
				if file != "webhooks.db" && file != "webhooks.db"+keptSuffix {
					t.Errorf("%s is left in the directory", file)
				}
				if info, err := os.Stat(filepath.Join(filepath.Dir(path), file)); err != nil || info.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v, want mode 600", file, info, err)
				}
			}
			store := openStore(t, path)
			wantIDs(t, store, "co_1", w.ID)
			wantIDs(t, store, childCompany)
		})
	}
}

func filesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// TestRestoreWhileInUse has another process hold the file, at rest and at work.
func TestRestoreWhileInUse(t *testing.T) {
	backup, w := newBackup(t)
	path := newPath(t)
	busy := startChild(t, path, nil, 0)
	if !busy.lines.Scan() {
		t.Fatal("the process says nothing")
	}
	ended := inBackground(1, func(int) { busy.report(t, newLedger()) })
	for range 20 { // at different moments of its writing
		if _, err := Restore(t.Context(), backup, path, true, restoreTime); !errors.Is(err, ErrInUse) {
			t.Fatalf("Restore: got error %v, want %v", err, ErrInUse)
		}
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := Restore(t.Context(), backup, path, false, restoreTime); !errors.Is(err, ErrExists) {
		t.Errorf("Restore without replacing: got error %v, want %v", err, ErrExists)
	}
	for _, file := range filesIn(t, filepath.Dir(path)) {
		if strings.HasPrefix(file, ".") || strings.Contains(file, "replaced") {
			t.Errorf("%s is left in the directory", file)
		}
	}
	busy.kill()
	ended()
	if _, err := Restore(t.Context(), backup, path, true, restoreTime); err != nil {
		t.Fatalf("Restore after the process has ended: %v", err)
	}
	wantIDs(t, openStore(t, path), "co_1", w.ID)
}

// TestRestoreEndsTheOldFile checks that a process that opened the old file in the last moment finds
// no database in it.
func TestRestoreEndsTheOldFile(t *testing.T) {
	backup, _ := newBackup(t)
	path := newPath(t)
	newOld(t, path)
	late := filepath.Join(t.TempDir(), "late.db") // leads to the old file, as an open one would
	if err := os.Link(path, late); err != nil {
		t.Fatal(err)
	}
	if _, err := Restore(t.Context(), backup, path, true, restoreTime); err != nil {
		t.Fatalf("Restore: %v", err)
	}
	if _, err := Open(t.Context(), late, time.Now); err == nil || !strings.Contains(err.Error(), errNoFile.Error()) {
		t.Errorf("opening the old file: got error %v, want %v", err, errNoFile)
	}
}

func TestRestoreRefuses(t *testing.T) {
	change := func(t *testing.T, backup string, do func([]byte) []byte) {
		t.Helper()
		text, err := os.ReadFile(backup)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, backup, string(do(text)), 0o600)
	}
	tests := []struct {
		name   string
		before func(t *testing.T, backup string)
		want   string
	}{
		{"a version below zero", func(t *testing.T, backup string) { raw(t, backup, "PRAGMA user_version = -1") },
			errNotOurs.Error()},
		{"a table is missing", func(t *testing.T, backup string) { raw(t, backup, "DROP TABLE webhooks") }, errDamaged.Error()},
		{"a column is missing", func(t *testing.T, backup string) { raw(t, backup, "ALTER TABLE webhooks DROP COLUMN description") },
			errDamaged.Error()},
		{"an index is missing", func(t *testing.T, backup string) { raw(t, backup, "DROP INDEX api_keys_by_company") },
			errDamaged.Error()},
		{"a newer schema", func(t *testing.T, backup string) { raw(t, backup, "PRAGMA user_version = 7") },
			"a newer version of this program made the file (schema 7, this program knows up to 1): use that version or a newer one"},
		{"another program's database", func(t *testing.T, backup string) { raw(t, backup, "PRAGMA application_id = 1") },
			errNotOurs.Error()},
		{"an empty file", func(t *testing.T, backup string) { change(t, backup, func([]byte) []byte { return nil }) },
			errNotOurs.Error()},
		{"no database", func(t *testing.T, backup string) {
			change(t, backup, func([]byte) []byte { return bytes.Repeat([]byte("no database "), 1000) })
		}, errNoFile.Error()},
		{"half a backup", func(t *testing.T, backup string) {
			change(t, backup, func(text []byte) []byte { return text[:len(text)/2] })
		}, errDamaged.Error()},
		{"a page of zeros", func(t *testing.T, backup string) {
			change(t, backup, func(text []byte) []byte { clear(text[len(text)-4096:]); return text })
		}, errDamaged.Error()},
		{"a database in use", func(t *testing.T, backup string) { writeFile(t, backup+"-wal", "something", 0o600) },
			errOpenElsewhere.Error()},
		{"a file that is not there", func(t *testing.T, backup string) {
			if err := os.Remove(backup); err != nil {
				t.Fatal(err)
			}
		}, fs.ErrNotExist.Error()},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			backup, _ := newBackup(t)
			test.before(t, backup)
			path := newPath(t)
			_, err := Restore(t.Context(), backup, path, false, restoreTime)
			if want := "verifying " + backup + ": " + test.want; err == nil || strings.ReplaceAll(err.Error(), "no such file or directory", fs.ErrNotExist.Error()) != want {
				t.Errorf("Restore: got error\n%v\nwant\n%v", err, want)
			}
			wantFiles(t, filepath.Dir(path))
		})
	}
}

func TestBackupFileLeavesTheSchemaAlone(t *testing.T) {
	path := newPath(t)
	raw(t, path, "CREATE TABLE notes (text TEXT)")
	dest := filepath.Join(t.TempDir(), "backup.db")
	if _, err := BackupFile(t.Context(), path, dest); err == nil || !strings.Contains(err.Error(), errNotOurs.Error()) {
		t.Errorf("BackupFile of another program's database: got error %v, want %v", err, errNotOurs)
	}
	wantFiles(t, filepath.Dir(dest))
	var tables int
	if err := openRaw(t, path).QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil || tables != 1 {
		t.Errorf("the file has %d tables, %v, want 1", tables, err)
	}
}
