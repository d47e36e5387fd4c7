package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
			create(t, openStore(t, path), newWebhook("co_1"))
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if err := os.Chmod(path+suffix, 0o666); err != nil {
					t.Fatal(err)
				}
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := newPath(t)
			test.before(t, path)
			create(t, openStore(t, path), newWebhook("co_1"))
			for _, suffix := range []string{"", "-wal", "-shm"} {
				if info, err := os.Stat(path + suffix); err != nil || info.Mode() != 0o600 {
					t.Errorf("%q: %+v, %v, want mode 600", suffix, info, err)
				}
			}
		})
	}
}

func TestOpenErrors(t *testing.T) {
	ours := fmt.Sprintf("PRAGMA application_id = %d; ", applicationID)
	const notOurs = "opening the database file PATH: the file belongs to another program: use another path"
	tests := []struct {
		name   string
		before func(t *testing.T, path string)
		want   string // PATH stands for the path
	}{
		{"newer schema", raw(ours + "PRAGMA user_version = 7"),
			"opening the database file PATH: a newer version of this program created the file (schema 7, this program supports up to 3): use that version or a newer one"},
		{"negative version", raw(ours + "PRAGMA user_version = -1"), notOurs},
		{"another program's mark", raw("PRAGMA application_id = 1; PRAGMA user_version = 1"), notOurs},
		{"another program's database", raw("CREATE TABLE notes (text TEXT)"), notOurs},
		{"not a database", func(t *testing.T, path string) { writeFile(t, path, strings.Repeat("no database ", 1000), 0o600) },
			"opening the database file PATH: the file is not a SQLite database: use another path, or restore a backup"},
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
	} {
		var got string
		err := store.writes.change(t.Context(), func(ctx context.Context, tx *session) error {
			return tx.scan(ctx, "PRAGMA "+test.pragma, nil, &got)
		})
		if err != nil || got != test.want {
			t.Errorf("the writer's %s is %q, %v, want %q", test.pragma, got, err, test.want)
		}
	}
	if _, err := store.reads.db.ExecContext(t.Context(), "DELETE FROM webhooks"); err == nil {
		t.Error("a reader's connection can write")
	}
}

func TestPingMovedFile(t *testing.T) {
	path := newPath(t)
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
	wantUnavailable(t, "moved", store.Ping(t.Context()))
	openStore(t, path)
	wantUnavailable(t, "replaced", store.Ping(t.Context()))
	rename(path+".moved", path)
	if err := store.Ping(t.Context()); err != nil {
		t.Errorf("moved back: %v", err)
	}
}
