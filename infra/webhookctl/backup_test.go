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
	key = newKey(t, p)
	url, caFile := receiver(t)
	s = startServer(t, p, "--allow-network", "127.0.0.0/8", "--ca-file", caFile)
	id, _ := s.create(t, key, url)
	return s, key, "/webhooks/" + id
}

func TestBackupAndRestore(t *testing.T) {
	p := place{dir: t.TempDir()}
	s, key, location := newServed(t, p)
	stdout, _ := mustRun(t, newTool(t, p.dir, "backup", "b.db"))
	want := `^Backed up \.webhooks/webhooks\.db to b\.db: 1 webhook, 1 API key, \d+ bytes, schema 3\.
The token key file \(\.webhooks/token\.key, or the one in --token-key-file\) is not included: back it up as well, to another place\.
$`
	if !regexp.MustCompile(want).MatchString(stdout) {
		t.Errorf("backup printed %q", stdout)
	}
	checkMode(t, filepath.Join(p.dir, "b.db"), 0o600)
	t.Setenv("TMPDIR", t.TempDir())
	if stdout, stderr := mustRun(t, newTool(t, p.dir, "backup", "-")); stdout != string(mustRead(t, p.dir+"/b.db")) ||
		!strings.HasPrefix(stderr, "Backed up .webhooks/webhooks.db to stdout: 1 webhook") {
		t.Errorf("backup to stdout printed %d bytes, and %q on stderr, want the same backup", len(stdout), stderr)
	}
	if files, err := os.ReadDir(os.TempDir()); err != nil || len(files) != 0 {
		t.Errorf("backup to stdout left %v, %v", files, err)
	}
	mustFail(t, newTool(t, p.dir, "backup", "b.db"), "creating the backup: "+p.dir+"/b.db already exists: choose the path of a new file")
	mustFail(t, newTool(t, p.dir, "backup", "gone/b.db"),
		"creating the backup: cannot create "+p.dir+"/gone/b.db: no such file or directory: choose a path in another directory")
	mustFail(t, newTool(t, p.dir, "restore", "b.db"), ".webhooks/webhooks.db already exists: use another --data, or --replace to replace it with the backup")
	if status, _, body := s.request(t, "DELETE", location, key, ""); status != 200 {
		t.Fatalf("got %d %s", status, body)
	}

	mustFail(t, newTool(t, p.dir, "restore", "b.db", "--replace"),
		"a process is delivering the events in .webhooks/webhooks.db: stop it before the restore (for example with systemctl stop webhooks)")
	s.stop(t)
	stdout, stderr := mustRun(t, newTool(t, p.dir, "restore", "b.db", "--replace"))
	want = `^Restored b\.db to \.webhooks/webhooks\.db: 1 webhook, 1 API key, \d+ bytes, schema 3\.
The replaced database was kept as \S+/\.webhooks/webhooks\.db\.replaced-\d{8}T\d{6}Z\.
API keys that have been revoked since the backup work again: check "webhookctl keys list"\.
$`
	if !regexp.MustCompile(want).MatchString(stdout) || stderr != "" {
		t.Errorf("restore printed %q, and %q on stderr", stdout, stderr)
	}
	checkMode(t, filepath.Join(p.dir, ".webhooks/webhooks.db"), 0o600)
	s = startServer(t, p)
	if status, _, body := s.request(t, "GET", location, key, ""); status != 200 {
		t.Errorf("the webhook deleted after the backup: got %d %s", status, body)
	}

	_, stderr = mustRun(t, newTool(t, p.dir, "restore", "b.db", "--data", "new"))
	want = "new/token.key does not exist: copy the token key file of the backup there before you start the service, or pass its path with --token-key-file.\n"
	if stderr != want {
		t.Errorf("restore printed %q on stderr, want %q", stderr, want)
	}
	if stdout, _ := mustRun(t, newTool(t, p.dir, "types", "list", "--data", "new")); !strings.Contains(stdout, "a.b") {
		t.Errorf("the event types in the new directory are %q", stdout)
	}
}
