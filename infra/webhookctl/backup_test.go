package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// newServed is a running service with one webhook of the company acme.
func newServed(t *testing.T, p place) (s *service, key, location string) {
	t.Helper()
	mustRun(t, newTool(t, p.dir, p.args("tables", "create")...))
	key = newKey(t, p)
	url, caFile := receiver(t)
	s = startServer(t, p, "--allow-network", "127.0.0.0/8", "--ca-file", caFile)
	status, header, body := s.request(t, "POST", "/webhooks", key, creation(url))
	if status != 201 {
		t.Fatalf("got %d %s", status, body)
	}
	return s, key, header.Get("Location")
}

func TestBackupAndRestore(t *testing.T) {
	p := place{dir: t.TempDir()}
	s, key, location := newServed(t, p)
	stdout, _ := mustRun(t, newTool(t, p.dir, "backup", "b.db"))
	want := `^b\.db is a backup of \.webhooks/webhooks\.db: 1 webhook of 1 company, \d+ bytes, schema 1\.
The token key file \(\.webhooks/token\.key, or what --token-key-file names\) is not in it: keep a copy of that as well, in another place\.
$`
	if !regexp.MustCompile(want).MatchString(stdout) {
		t.Errorf("backup printed %q", stdout)
	}
	checkMode(t, filepath.Join(p.dir, "b.db"), 0o600)
	mustRefuse(t, newTool(t, p.dir, "backup", "b.db"), "b.db exists already: give the path of a new file")

	// The service has the file open, though it does nothing.
	const inUse = ".webhooks/webhooks.db is open in another process: stop the service, then run this again"
	mustRefuse(t, newTool(t, p.dir, "restore", "b.db", "--replace"), inUse)
	mustRefuse(t, newTool(t, p.dir, "restore", "b.db"), "there is a .webhooks/webhooks.db already: give another --data, or --replace to put the backup in its place")
	if status, _, body := s.request(t, "DELETE", location, key, ""); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}
	s.stop(t)

	stdout, stderr := mustRun(t, newTool(t, p.dir, "restore", "b.db", "--replace"))
	want = `^b\.db is restored to \.webhooks/webhooks\.db: 1 webhook of 1 company, \d+ bytes, schema 1\.
The database that was there is kept as \S+/\.webhooks/webhooks\.db\.replaced-\d{8}T\d{6}Z\.
Everything is as it was at the backup: API keys revoked since then work again; look at "webhookctl keys list"\.
$`
	if !regexp.MustCompile(want).MatchString(stdout) || stderr != "" {
		t.Errorf("restore printed %q, noted %q", stdout, stderr)
	}
	checkMode(t, filepath.Join(p.dir, ".webhooks/webhooks.db"), 0o600)
	s = startServer(t, p)
	if status, _, body := s.request(t, "GET", location, key, ""); status != 200 {
		t.Errorf("the webhook deleted after the backup: got %d %s", status, body)
	}
}

func TestRestoreIntoANewFolder(t *testing.T) {
	p := place{dir: t.TempDir()}
	mustRun(t, newTool(t, p.dir, "types", "add", "a.b"))
	mustRun(t, newTool(t, p.dir, "backup", "b.db"))
	mustRefuse(t, newTool(t, p.dir, "restore", "none.db", "--data", "new"), "there is no none.db: check the path of the backup")
	if _, err := os.Stat(filepath.Join(p.dir, "new")); err == nil {
		t.Error("a refused restore left a folder")
	}
	_, stderr := mustRun(t, newTool(t, p.dir, "restore", "b.db", "--data", "new"))
	want := "There is no new/token.key: put the token key file there that belongs to the backup, before you start the service (or name it with --token-key-file).\n"
	if stderr != want {
		t.Errorf("noted %q, want %q", stderr, want)
	}
	stdout, _ := mustRun(t, newTool(t, p.dir, "types", "list", "--data", "new"))
	if !strings.Contains(stdout, "a.b") {
		t.Errorf("the types are %q", stdout)
	}
}

func TestBackupErrors(t *testing.T) {
	p, full := place{dir: t.TempDir()}, t.TempDir()
	mustRun(t, newTool(t, full, "tables", "create"))
	const sqliteAlone = `backup and restore are for the SQLite file: AWS makes backups of DynamoDB tables, and "webhookctl export" writes a company to a file`
	if err := os.WriteFile(filepath.Join(p.dir, "no.db"), []byte(strings.Repeat("no database", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	mustRun(t, newTool(t, full, "types", "add", "a.b", "--company", "acme"))
	mustRun(t, newTool(t, full, "export", "--company", "acme", "--export-key-file", "acme.key", "--output", filepath.Join(p.dir, "acme.jsonl")))
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"no database", []string{"backup", "b.db"}, "there is no .webhooks/webhooks.db: check --data"},
		{"backup of DynamoDB", []string{"backup", "b.db", "--store", "dynamodb"}, sqliteAlone},
		{"restore of DynamoDB", []string{"restore", "b.db", "--store", "dynamodb"}, sqliteAlone},
		{"no folder", []string{"backup", "--data", filepath.Join(full, ".webhooks"), filepath.Join(full, "gone", "b.db")},
			"making the backup: no file can be made in " + filepath.Join(full, "gone") + ": no such file or directory: give a path in another folder"},
		{"replacing by a variable", []string{"restore", "no.db", "--data", filepath.Join(full, ".webhooks")},
			"there is a " + filepath.Join(full, ".webhooks/webhooks.db") + " already: give another --data, or --replace to put the backup in its place"},
		{"no backup", []string{"restore", "b.db"}, "there is no b.db: check the path of the backup"},
		{"an export", []string{"restore", "acme.jsonl"}, `acme.jsonl is no backup: what export wrote goes to "webhookctl import"`},
		{"another file", []string{"restore", "no.db"}, "verifying no.db: the file is not an SQLite database: give another path, or restore a backup"},
		{"no file", []string{"restore"}, `expected "<file>"` + helpFor("restore --help")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tool := newTool(t, p.dir, tt.args...)
			tool.Env = append(tool.Env, "WEBHOOKS_REPLACE=true") // which nothing reads
			mustRefuse(t, tool, tt.want)
		})
	}
	if _, err := os.Stat(filepath.Join(p.dir, ".webhooks/webhooks.db")); err == nil {
		t.Error("a refused restore left a database")
	}
}
