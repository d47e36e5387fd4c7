package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"webhooks/shared/sqlite/sqlitetest"
	"webhooks/shared/webhook"
)

// TestFullDisk has a service run out of room and get some again.
func TestFullDisk(t *testing.T) {
	// Less than what SQLite's log may grow to, so that room in it is never used again.
	sqlitetest.OnSmallDisk(t, "3m", func(dir string, makeRoom func()) { testFullDisk(t, dir, makeRoom) })
}

func testFullDisk(t *testing.T, dir string, makeRoom func()) {
	s := startServer(t, place{dir: dir}, "--dev", "--tls-check", "off", "--quota", "100000")
	d := &fullDisk{server: s, key: s.devKey(t)}

	status, _, first := d.create(t, "first")
	if status != http.StatusCreated {
		t.Fatalf("the first creation: got %d %s", status, first)
	}
	created, deleted := 1+d.createUntilFull(t), d.deleteUntilFull(t)
	t.Logf("%d creations and %d deletions found room", created, deleted)
	if status, _, body := s.request(t, "POST", "/webhooks", d.key, "{}"); status != http.StatusBadRequest {
		t.Errorf("a creation without a webhook: got %d %s, want 400", status, body)
	}
	if status, _, body := d.create(t, "first"); status != http.StatusCreated || body != first {
		t.Errorf("the first creation again: got %d %s, want 201 %s", status, body, first)
	}
	if got := d.count(t); got != created-deleted {
		t.Errorf("there are %d webhooks, want %d", got, created-deleted)
	}
	if status, _, body := s.request(t, "GET", "/healthz", "", ""); status != http.StatusOK || body != `{"status":"ok","store":"ok"}` {
		t.Errorf("/healthz: got %d %s", status, body)
	}
	if got := s.logged("request failed", "cause"); !strings.Contains(got, "database or disk is full (13)") {
		t.Errorf("the log says %q of the failed requests\n%s", got, &s.stderr)
	}
	d.wantCommandsFail(t, dir)

	makeRoom()
	for range 50 {
		if status, _, body := d.create(t, ""); status != http.StatusCreated {
			t.Fatalf("a creation with room again: got %d %s", status, body)
		}
	}
	if status, _, body := s.request(t, "DELETE", "/webhooks/"+d.ids(t)[0], d.key, ""); status != http.StatusOK {
		t.Errorf("a deletion with room again: got %d %s", status, body)
	}
	if got, want := d.count(t), created-deleted+49; got != want {
		t.Errorf("with room again there are %d webhooks, want %d", got, want)
	}
	mustRun(t, newTool(t, dir, "backup", "b.db"))
	s.stop(t)
}

// TestFileThatCannotBeUsed has a link to nowhere stand where SQLite makes its log.
func TestFileThatCannotBeUsed(t *testing.T) {
	dir := t.TempDir()
	mustRun(t, newTool(t, dir, "tables", "create"))
	if err := os.Symlink("/nowhere/at/all", dir+"/.webhooks/webhooks.db-wal"); err != nil {
		t.Fatal(err)
	}
	got := runTool(t, newTool(t, dir, "types", "list"))
	const want = "webhookctl: the database file cannot be read or written: check free space (df), the disk (dmesg) and this user's permissions: "
	if got.code != 1 || !strings.HasPrefix(got.stderr, want) || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("got exit code %d, stderr %q, want one line that begins with %q", got.code, got.stderr, want)
	}
}

// fullDisk is a service whose disk has little room.
type fullDisk struct {
	server *service
	key    string
}

// create makes a large webhook, under an idempotency key if that is not empty.
func (d *fullDisk) create(t *testing.T, idempotencyKey string) (status int, header http.Header, body string) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"webhook": map[string]any{
		"name": "n", "url": "https://example.com/", "events": "RecurringPayments.charge.paid",
		"description": strings.Repeat("\U0001F4E8", webhook.MaxDescriptionLength),
	}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+d.server.addr+"/webhooks", strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+d.key)
	if idempotencyKey != "" {
		r.Header.Set("Idempotency-Key", idempotencyKey)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	read, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(read)
}

// createUntilFull creates webhooks until there is no room for one more, and gives how many were made.
func (d *fullDisk) createUntilFull(t *testing.T) int {
	t.Helper()
	for n := range 10_000 {
		if status, header, body := d.create(t, ""); status != http.StatusCreated {
			wantBusy(t, "POST", status, header, body)
			return n
		}
	}
	t.Fatal("10,000 large webhooks did not fill it up")
	return 0
}

// deleteUntilFull deletes webhooks until there is no room for that either, and gives how many are gone.
func (d *fullDisk) deleteUntilFull(t *testing.T) int {
	t.Helper()
	for n, id := range d.ids(t) {
		if status, header, body := d.server.request(t, "DELETE", "/webhooks/"+id, d.key, ""); status != http.StatusOK {
			wantBusy(t, "DELETE", status, header, body)
			if status, _, body := d.server.request(t, "GET", "/webhooks/"+id, d.key, ""); status != http.StatusOK {
				t.Errorf("the webhook that could not be deleted: got %d %s, want 200", status, body)
			}
			return n
		}
	}
	t.Fatal("all deletions found room")
	return 0
}

func wantBusy(t *testing.T, method string, status int, header http.Header, body string) {
	t.Helper()
	const want = `{"error":"The service is busy. Try again later."}`
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if status != http.StatusServiceUnavailable || body != want || err != nil || seconds < 1 {
		t.Errorf("%s without room: got %d, Retry-After %q, %s, want 503 and %s", method, status, header.Get("Retry-After"), body, want)
	}
}

// list reads how many webhooks the company has, and the ids of the first hundred but the very first,
// which is to stay.
func (d *fullDisk) list(t *testing.T) (count int, ids []string) {
	t.Helper()
	status, _, body := d.server.request(t, "GET", "/webhooks", d.key, "")
	var list struct {
		Count    int `json:"count"`
		Elements []struct {
			ID string `json:"id"`
		} `json:"elements"`
	}
	if err := json.Unmarshal([]byte(body), &list); err != nil || status != http.StatusOK {
		t.Fatalf("GET /webhooks: got %d %s, %v", status, body, err)
	}
	for _, element := range list.Elements {
		ids = append(ids, element.ID)
	}
	return list.Count, ids[1:]
}

func (d *fullDisk) count(t *testing.T) int {
	t.Helper()
	count, _ := d.list(t)
	return count
}

func (d *fullDisk) ids(t *testing.T) []string {
	t.Helper()
	_, ids := d.list(t)
	return ids
}

// wantCommandsFail runs commands that need room. One that needs little may still find it.
func (d *fullDisk) wantCommandsFail(t *testing.T, dir string) {
	t.Helper()
	const full = "webhookctl: the disk is full: free some space and run this again: "
	for n := 0; ; n++ {
		if n == 100 {
			t.Fatal("100 keys found room")
		}
		got := runTool(t, newTool(t, dir, "keys", "create", "--company", "other", "--permissions", "webhooks:read"))
		if got.code == 0 {
			continue
		}
		if want := full + "database or disk is full (13)\n"; got.code != 1 || got.stderr != want {
			t.Errorf("keys create, %d: got exit code %d, stderr %q, want %q", n, got.code, got.stderr, want)
		}
		break
	}
	files := func() string { return fmt.Sprint(filepath.Glob(filepath.Join(dir, "*"))) }
	before := files()
	got := runTool(t, newTool(t, dir, "backup", "b.db"))
	want := regexp.MustCompile("^" + full + `copying the database to ` + regexp.QuoteMeta(dir) + `: database or disk is full \(13\)\n$`)
	if got.code != 1 || !want.MatchString(got.stderr) {
		t.Errorf("backup: got exit code %d, stderr %q, want %v", got.code, got.stderr, want)
	}
	if after := files(); after != before {
		t.Errorf("the failed backup left %s, before there were %s", after, before)
	}
}
