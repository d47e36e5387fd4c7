package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"webhooks/shared/sqlite/sqlitetest"
	"webhooks/shared/webhook"
)

// TestFullDisk fills the disk of a service, runs commands, and then frees some space.
func TestFullDisk(t *testing.T) {
	// Smaller than the write-ahead log may grow, so that space in it is never reused.
	sqlitetest.OnSmallDisk(t, "3m", func(dir string, freeSpace func()) { testFullDisk(t, dir, freeSpace) })
}

func testFullDisk(t *testing.T, dir string, freeSpace func()) {
	s := startServer(t, place{dir: dir}, "--dev", "--tls-check", "off", "--quota", "100000")
	key := s.devKey(t)
	description := strings.Repeat("\U0001F4E8", webhook.MaxDescriptionLength)
	large := `{"webhook":{"name":"n","url":"https://example.com/","events":"RecurringPayments.charge.paid","description":"` + description + `"}}`
	wantCount := func(want int) {
		t.Helper()
		if _, _, body := s.request(t, "GET", "/webhooks?size=1", key, ""); !strings.Contains(body, fmt.Sprintf(`"count":%d,`, want)) {
			t.Errorf("got %s, want %d webhooks", body, want)
		}
	}

	_, _, first := s.request(t, "POST", "/webhooks", key, large, "Idempotency-Key", "first")
	var ids []string // of the other webhooks
	for {
		status, _, body := s.request(t, "POST", "/webhooks", key, large)
		if status != http.StatusCreated {
			wantBusy(t, "POST", status, body)
			break
		}
		ids = append(ids, regexp.MustCompile(`wh_\w+`).FindString(body))
	}
	left := 1 + len(ids)
	for _, id := range ids {
		status, _, body := s.request(t, "DELETE", "/webhooks/"+id, key, "")
		if status != http.StatusOK {
			wantBusy(t, "DELETE", status, body)
			if status, _, body := s.request(t, "GET", "/webhooks/"+id, key, ""); status != http.StatusOK {
				t.Errorf("the webhook that could not be deleted: got %d %s, want 200", status, body)
			}
			break
		}
		left--
	}
	if left == 1 {
		t.Fatal("all deletions succeeded")
	}
	wantCount(left)
	if status, _, body := s.request(t, "POST", "/webhooks", key, "{}"); status != http.StatusBadRequest {
		t.Errorf("a creation without a webhook: got %d %s, want 400", status, body)
	}
	if status, _, body := s.request(t, "POST", "/webhooks", key, large, "Idempotency-Key", "first"); status != http.StatusCreated || body != first {
		t.Errorf("the first creation again: got %d %s, want 201 %s", status, body, first)
	}
	if status, _, body := s.request(t, "GET", "/healthz", "", ""); status != http.StatusOK || body != `{"status":"ok","store":"ok"}` {
		t.Errorf("/healthz: got %d %s", status, body)
	}
	if !strings.Contains(s.stderr.String(), "database or disk is full (13)") {
		t.Errorf("the log does not have the cause of the failed requests:\n%s", &s.stderr)
	}
	const full = "the disk is full: free some space and run this again: database or disk is full (13)"
	var got outcome
	for n := 0; n < 100 && got.code == 0; n++ { // a command that needs little space may succeed a few times
		got = start(t, newTool(t, dir, "keys", "create", "--company", "other", "--permissions", "webhooks:read")).wait(t)
	}
	if want := (outcome{stderr: "webhookctl: " + full + "\n", code: 1}); got != want {
		t.Errorf("keys create: got %+v, want %+v", got, want)
	}
	files := func() string { return fmt.Sprint(filepath.Glob(filepath.Join(dir, "*"))) }
	before := files()
	mustFail(t, newTool(t, dir, "backup", "b.db"), full)
	if after := files(); after != before {
		t.Errorf("the failed backup left %s, before there were %s", after, before)
	}

	freeSpace()
	for range 50 {
		if status, _, body := s.request(t, "POST", "/webhooks", key, large); status != http.StatusCreated {
			t.Fatalf("a creation after space was freed: got %d %s", status, body)
		}
	}
	if status, _, body := s.request(t, "DELETE", "/webhooks/"+ids[len(ids)-1], key, ""); status != http.StatusOK {
		t.Errorf("a deletion after space was freed: got %d %s", status, body)
	}
	wantCount(left + 49)
	mustRun(t, newTool(t, dir, "backup", "b.db"))
	s.stop(t)
}

// TestUnusableFile puts a dangling link where SQLite creates its log.
func TestUnusableFile(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, newTool(t, dir, "tables", "create"))
	must(t, os.Symlink("/nowhere/at/all", dir+"/.webhooks/webhooks.db-wal"))
	mustFail(t, newTool(t, dir, "types", "list"),
		"the database file cannot be read or written: check free space (df), the disk (dmesg) and this user's permissions: …")
}

func wantBusy(t *testing.T, method string, status int, body string) {
	t.Helper()
	const want = `{"error":"The service is busy. Try again later."}`
	if status != http.StatusServiceUnavailable || body != want {
		t.Errorf("%s on a full disk: got %d %s, want 503 and %s", method, status, body, want)
	}
}
