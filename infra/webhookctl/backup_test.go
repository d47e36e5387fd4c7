package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// newServed returns a running service with one webhook of the company acme.
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
	want := `^Backed up \.webhooks/webhooks\.db to b\.db: 1 webhook of 1 company, \d+ bytes, schema 1\.
The token key file \(\.webhooks/token\.key, or the one in --token-key-file\) is not included: back it up as well, to another place\.
$`
	if !regexp.MustCompile(want).MatchString(stdout) {
		t.Errorf("backup printed %q", stdout)
	}
	checkMode(t, filepath.Join(p.dir, "b.db"), 0o600)
	if got := runTool(t, newTool(t, p.dir, "backup", "b.db")); got.code != 1 || !strings.Contains(got.stderr, "b.db already exists: choose the path of a new file") {
		t.Errorf("exit status %d, stderr %q", got.code, got.stderr)
	}
	mustRefuse(t, newTool(t, p.dir, "restore", "b.db"), ".webhooks/webhooks.db already exists: use another --data, or --replace to replace it with the backup")
	if status, _, body := s.request(t, "DELETE", location, key, ""); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}

	// The service is running.
	stdout, stderr := mustRun(t, newTool(t, p.dir, "restore", "b.db", "--replace"))
	want = `^Restored b\.db to \.webhooks/webhooks\.db: 1 webhook of 1 company, \d+ bytes, schema 1\.
The replaced database was kept as \S+/\.webhooks/webhooks\.db\.replaced-\d{8}T\d{6}Z\.
API keys that have been revoked since the backup work again: check "webhookctl keys list"\.
$`
	if !regexp.MustCompile(want).MatchString(stdout) || stderr != "" {
		t.Errorf("restore printed %q, noted %q", stdout, stderr)
	}
	checkMode(t, filepath.Join(p.dir, ".webhooks/webhooks.db"), 0o600)
	for range 2 {
		if status, _, body := s.request(t, "GET", location, key, ""); status != 200 {
			t.Errorf("the webhook deleted after the backup: got %d %s", status, body)
		}
		s.stop(t)
		s = startServer(t, p)
	}
}

func TestRestoreIntoNewDirectory(t *testing.T) {
	p := place{dir: t.TempDir()}
	mustRun(t, newTool(t, p.dir, "types", "add", "a.b"))
	mustRun(t, newTool(t, p.dir, "backup", "b.db"))
	mustRefuse(t, newTool(t, p.dir, "restore", "none.db", "--data", "new"), "none.db does not exist: check the path of the backup")
	if _, err := os.Stat(filepath.Join(p.dir, "new")); err == nil {
		t.Error("a rejected restore created a directory")
	}
	_, stderr := mustRun(t, newTool(t, p.dir, "restore", "b.db", "--data", "new"))
	want := "new/token.key does not exist: copy the token key file of the backup there before you start the service, or pass its path with --token-key-file.\n"
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
	const onlySQLite = `backup and restore are only for SQLite: AWS backs up DynamoDB tables, and "webhookctl export" writes a company to a file`
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
		{"no database", []string{"backup", "b.db"}, ".webhooks/webhooks.db does not exist: check --data"},
		{"backup of DynamoDB", []string{"backup", "b.db", "--store", "dynamodb"}, onlySQLite},
		{"restore of DynamoDB", []string{"restore", "b.db", "--store", "dynamodb"}, onlySQLite},
		{"no directory", []string{"backup", "--data", filepath.Join(full, ".webhooks"), filepath.Join(full, "gone", "b.db")},
			"creating the backup: cannot create " + filepath.Join(full, "gone", "b.db") + ": no such file or directory: choose a path in another directory"},
		{"replacing by a variable", []string{"restore", "no.db", "--data", filepath.Join(full, ".webhooks")},
			filepath.Join(full, ".webhooks/webhooks.db") + " already exists: use another --data, or --replace to replace it with the backup"},
		{"no backup", []string{"restore", "b.db"}, "b.db does not exist: check the path of the backup"},
		{"an export", []string{"restore", "acme.jsonl"}, `acme.jsonl is an export and not a backup: use "webhookctl import"`},
		{"another file", []string{"restore", "no.db"}, "verifying no.db: the file is not a SQLite database: use another path, or restore a backup"},
		{"no file", []string{"restore"}, `expected "<file>"` + helpFor("restore --help")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tool := newTool(t, p.dir, tt.args...)
			tool.Env = append(tool.Env, "WEBHOOKS_REPLACE=true") // which nothing reads
			mustRefuse(t, tool, tt.want)
		})
	}
	if _, err := os.Stat(filepath.Join(p.dir, ".webhooks/webhooks.db")); err == nil {
		t.Error("a rejected restore created a database")
	}
}
