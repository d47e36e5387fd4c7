package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"webhooks/shared/sqlite/sqlitetest"
	"webhooks/shared/webhook"
)

// TestFullDisk fills the disk of a service and then frees some space.
func TestFullDisk(t *testing.T) {
	// Smaller than the write-ahead log may grow, so that space in it is never reused.
	sqlitetest.OnSmallDisk(t, "3m", func(dir string, freeSpace func()) { testFullDisk(t, dir, freeSpace) })
}

func testFullDisk(t *testing.T, dir string, freeSpace func()) {
	s := startServer(t, place{dir: dir}, "--dev", "--tls-check", "off", "--quota", "100000")
	d := &fullDisk{service: s, key: s.devKey(t)}

	status, _, first := d.createLarge(t, "Idempotency-Key", "first")
	if status != http.StatusCreated {
		t.Fatalf("the first creation: got %d %s", status, first)
	}
	created, deleted := 1+d.createUntilFull(t), d.deleteUntilFull(t)
	t.Logf("%d creations and %d deletions succeeded", created, deleted)
	if status, _, body := s.request(t, "POST", "/webhooks", d.key, "{}"); status != http.StatusBadRequest {
		t.Errorf("a creation without a webhook: got %d %s, want 400", status, body)
	}
	if status, _, body := d.createLarge(t, "Idempotency-Key", "first"); status != http.StatusCreated || body != first {
		t.Errorf("the first creation again: got %d %s, want 201 %s", status, body, first)
	}
	if got, _ := d.list(t); got != created-deleted {
		t.Errorf("there are %d webhooks, want %d", got, created-deleted)
	}
	if status, _, body := s.request(t, "GET", "/healthz", "", ""); status != http.StatusOK || body != `{"status":"ok","store":"ok"}` {
		t.Errorf("/healthz: got %d %s", status, body)
	}
	if got := s.logged("request failed", "cause"); !strings.Contains(got, "database or disk is full (13)") {
		t.Errorf("the log of the failed requests is %q\n%s", got, &s.stderr)
	}
	wantCommandsFail(t, dir)

	freeSpace()
	for range 50 {
		if status, _, body := d.createLarge(t); status != http.StatusCreated {
			t.Fatalf("a creation after space was freed: got %d %s", status, body)
		}
	}
	_, ids := d.list(t)
	if status, _, body := s.request(t, "DELETE", "/webhooks/"+ids[0], d.key, ""); status != http.StatusOK {
		t.Errorf("a deletion after space was freed: got %d %s", status, body)
	}
	if got, _ := d.list(t); got != created-deleted+49 {
		t.Errorf("after space was freed there are %d webhooks, want %d", got, created-deleted+49)
	}
	mustRun(t, newTool(t, dir, "backup", "b.db"))
	s.stop(t)
}

// TestUnusableFile has a dangling link where SQLite creates its log.
func TestUnusableFile(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, newTool(t, dir, "tables", "create"))
	must(t, os.Symlink("/nowhere/at/all", dir+"/.webhooks/webhooks.db-wal"))
	mustFail(t, newTool(t, dir, "types", "list"),
		"the database file cannot be read or written: check free space (df), the disk (dmesg) and this user's permissions: …")
}

// fullDisk is a service on a small disk, with an API key.
type fullDisk struct {
	*service
	key string
}

// createLarge tries to create a large webhook, with additional headers as in [service.request].
func (d *fullDisk) createLarge(t *testing.T, headers ...string) (status int, header http.Header, body string) {
	t.Helper()
	description := strings.Repeat("\U0001F4E8", webhook.MaxDescriptionLength)
	return d.request(t, "POST", "/webhooks", d.key, `{"webhook":{"name":"n","url":"https://example.com/",
		"events":"RecurringPayments.charge.paid","description":"`+description+`"}}`, headers...)
}

// createUntilFull creates webhooks until the disk is full and returns their number.
func (d *fullDisk) createUntilFull(t *testing.T) int {
	t.Helper()
	for n := range 10_000 {
		if status, header, body := d.createLarge(t); status != http.StatusCreated {
			wantBusy(t, "POST", status, header, body)
			return n
		}
	}
	t.Fatal("10,000 large webhooks did not fill the disk")
	return 0
}

// deleteUntilFull deletes webhooks until that fails, too, and returns their number.
func (d *fullDisk) deleteUntilFull(t *testing.T) int {
	t.Helper()
	_, ids := d.list(t)
	for n, id := range ids {
		if status, header, body := d.request(t, "DELETE", "/webhooks/"+id, d.key, ""); status != http.StatusOK {
			wantBusy(t, "DELETE", status, header, body)
			if status, _, body := d.request(t, "GET", "/webhooks/"+id, d.key, ""); status != http.StatusOK {
				t.Errorf("the webhook that could not be deleted: got %d %s, want 200", status, body)
			}
			return n
		}
	}
	t.Fatal("all deletions succeeded")
	return 0
}

func wantBusy(t *testing.T, method string, status int, header http.Header, body string) {
	t.Helper()
	const want = `{"error":"The service is busy. Try again later."}`
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if status != http.StatusServiceUnavailable || body != want || err != nil || seconds < 1 {
		t.Errorf("%s on a full disk: got %d, Retry-After %q, %s, want 503 and %s", method, status, header.Get("Retry-After"), body, want)
	}
}

// list returns the number of the company's webhooks, and the IDs of the first hundred except the very first, which the test
// must not delete.
func (d *fullDisk) list(t *testing.T) (count int, ids []string) {
	t.Helper()
	status, _, body := d.request(t, "GET", "/webhooks", d.key, "")
	var list struct {
		Count    int
		Elements []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
		t.Fatalf("GET /webhooks: got %d %s, %v", status, body, err)
	}
	for _, element := range list.Elements {
		ids = append(ids, element.ID)
	}
	return list.Count, ids[1:]
}

// wantCommandsFail runs commands that need disk space. One that needs little may succeed a few times.
func wantCommandsFail(t *testing.T, dir string) {
	t.Helper()
	const full = "the disk is full: free some space and run this again: database or disk is full (13)"
	var got outcome
	for n := 0; n < 100 && got.code == 0; n++ {
		got = runTool(t, newTool(t, dir, "keys", "create", "--company", "other", "--permissions", "webhooks:read"))
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
}
