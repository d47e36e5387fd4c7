package sqlite

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

func TestOpenEscapedPaths(t *testing.T) {
	for _, name := range []string{"with blank.db", "a?mode=memory.db", "a#b.db", "100%.db", "%41.db", "ü.db", "a&b=c.db"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), name)
			store := openStore(t, path)
			create(t, store, newWebhook("co_1"))
			if _, err := os.Stat(path + "-wal"); err != nil {
				t.Errorf("the write-ahead log: %v", err)
			}
		})
	}
}

func TestOpenFileModes(t *testing.T) {
	tests := []struct {
		name   string
		before func(t *testing.T, path string)
	}{
		{"new file", func(*testing.T, string) {}},
		{"empty file, readable by others", func(t *testing.T, path string) { writeFile(t, path, "", 0o644) }},
		{"database, accessible by others", func(t *testing.T, path string) {
			store, err := Open(t.Context(), path, time.Now)
			if err != nil {
				t.Fatalf("Open: %v", err)
			}
			if err := store.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			if err := os.Chmod(path, 0o666); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := newPath(t)
			test.before(t, path)
			create(t, openStore(t, path), newWebhook("co_1"))
			for _, suffix := range []string{"", "-wal", "-shm"} {
				info, err := os.Stat(path + suffix)
				if err != nil {
					t.Fatal(err)
				}
				if got := info.Mode().Perm(); got != 0o600 {
					t.Errorf("mode of %q is %o, want 600", "webhooks.db"+suffix, got)
				}
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	tests := []struct {
		name   string
		before func(t *testing.T, path string)
		want   string // PATH stands for the path
	}{
		{"newer schema", func(t *testing.T, path string) {
			store := openStore(t, path)
			execute(t, store, "PRAGMA user_version = 7")
		}, "opening the database file PATH: a newer version of this program created the file (schema 7, this program supports up to 1): use that version or a newer one"},
		{"another program's database", func(t *testing.T, path string) {
			raw(t, path, "CREATE TABLE notes (text TEXT)")
		}, "opening the database file PATH: the file belongs to another program: use another path"},
		{"another program's mark", func(t *testing.T, path string) {
			raw(t, path, "PRAGMA application_id = 1; PRAGMA user_version = 1")
		}, "opening the database file PATH: the file belongs to another program: use another path"},
		{"negative version", func(t *testing.T, path string) {
			store := openStore(t, path)
			execute(t, store, "PRAGMA user_version = -1")
		}, "opening the database file PATH: the file belongs to another program: use another path"},
		{"not a database", func(t *testing.T, path string) {
			writeFile(t, path, strings.Repeat("no database ", 1000), 0o600)
		}, "opening the database file PATH: the file is not a SQLite database: use another path, or restore a backup"},
		{"directory", func(t *testing.T, path string) {
			if err := os.Mkdir(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "PATH is a directory: use the path of a file in it"},
		{"missing directory", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, "creating the database file: open PATH: no such file or directory"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := newPath(t)
			test.before(t, path)
			_, err := Open(t.Context(), path, time.Now)
			if want := strings.ReplaceAll(test.want, "PATH", path); err == nil || err.Error() != want {
				t.Errorf("Open: got error\n%v\nwant\n%v", err, want)
			}
		})
	}
}

// TestSettings checks that commits are synced before they return, and that readers cannot write.
func TestSettings(t *testing.T) {
	store := openStore(t, newPath(t))
	for _, test := range []struct{ pragma, want string }{
		{"journal_mode", "wal"},
		{"synchronous", "2"}, // FULL
		{"fullfsync", "1"},
		{"checkpoint_fullfsync", "1"},
		{"busy_timeout", "20"},
	} {
		var got string
		err := store.writes.change(t.Context(), func(ctx context.Context, tx *session) error {
			return tx.scan(ctx, "PRAGMA "+test.pragma, nil, &got)
		})
		if err != nil || got != test.want {
			t.Errorf("the writer's %s is %q, %v, want %q", test.pragma, got, err, test.want)
		}
	}
	var timeout int
	err := store.reads.db.QueryRowContext(t.Context(), "PRAGMA busy_timeout").Scan(&timeout)
	if want := int(busyTimeout.Milliseconds()); err != nil || timeout != want {
		t.Errorf("a reader's busy_timeout is %d, %v, want %d", timeout, err, want)
	}
	if _, err := store.reads.db.ExecContext(t.Context(), "DELETE FROM webhooks"); err == nil {
		t.Error("a reader's connection can write")
	}
}

func TestCallsAfterClose(t *testing.T) {
	store, err := Open(t.Context(), newPath(t), time.Now)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	for range 2 { // Close can be repeated
		if err := store.Close(); err != nil {
			t.Fatalf("Close: %v", err)
		}
	}
	_, err = store.CreateWebhook(t.Context(), webhook.Creation{Webhook: newWebhook("co_1"), Quota: 1})
	if webhook.KindOf(err) != webhook.KindUnavailable {
		t.Errorf("CreateWebhook: got error %v, want KindUnavailable", err)
	}
	if err := store.Ping(t.Context()); err == nil {
		t.Error("Ping works after Close")
	}
}

func writeFile(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// openRaw opens a file without our settings.
func openRaw(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driverName, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// raw runs statements on a file without our settings.
func raw(t *testing.T, path, statements string) {
	t.Helper()
	if _, err := openRaw(t, path).Exec(statements); err != nil {
		t.Fatal(err)
	}
}

func TestPingMovedFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	store := openStore(t, path)
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("before: %v", err)
	}
	rename(path, path+".moved")
	if err := store.Ping(t.Context()); webhook.KindOf(err) != webhook.KindUnavailable {
		t.Errorf("moved: got %v, want KindUnavailable", err)
	}
	openStore(t, path)
	if err := store.Ping(t.Context()); webhook.KindOf(err) != webhook.KindUnavailable {
		t.Errorf("replaced: got %v, want KindUnavailable", err)
	}
	rename(path+".moved", path)
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("moved back: %v", err)
	}
}
