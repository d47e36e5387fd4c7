package transfer

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/seal"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
)

const (
	company  = "acme"
	firstID  = "wh_01JZ0000000000000000000001"
	secondID = "wh_01JZ0000000000000000000002"
	keyID    = "key_acme_01JZ0000000000000000000000"
)

// The secrets that tokens are sealed with.
const ofSource, ofExport, ofTarget = byte(1), byte(2), byte(3)

var start = time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "webhooks.db"), time.Now)
	must(t, err)
	t.Cleanup(func() { must(t, store.Close()) })
	return store
}

func newSealer(t *testing.T, secret byte) seal.Sealer {
	t.Helper()
	key, err := seal.NewKey(bytes.Repeat([]byte{secret}, seal.KeySize))
	must(t, err)
	return seal.Sealer{Keys: seal.KeyRing{key}, Random: rand.Reader}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newKey(company, id string) access.Key {
	return access.Key{
		ID: id, Company: company, Label: "<CI> & co", LastUsedOn: start.Truncate(24 * time.Hour), Permissions: []access.Permission{access.WebhooksWrite, access.WebhooksRead},
		Hash: sha256.Sum256([]byte(id)), CreatedAt: start, ExpiresAt: start.Add(time.Hour), RevokedAt: start.Add(time.Minute),
	}
}

func newWebhook(t *testing.T, secret byte, company, id string) webhook.Webhook {
	t.Helper()
	sealed, err := newSealer(t, secret).Seal(t.Context(), company, id, "token of "+id)
	must(t, err)
	return webhook.Webhook{
		ID: id, Company: company, Name: "Billing\x00Events", Description: "\u2028<b>", URL: "https://example.com/ä",
		Events: []string{"z.first", "a.second"}, SealedToken: sealed, Version: 3, CreatedAt: start,
	}
}

// filled returns a store with two companies that have items of every kind.
func filled(t *testing.T) *sqlite.Store {
	t.Helper()
	store := newStore(t)
	for _, eventType := range []webhook.EventType{
		{Name: "z.first", AddedAt: start, Description: "<first> & \"best\"\n"},
		{Name: "a:second", AddedAt: start.Add(time.Second), Hidden: true},
		{Name: "own", Company: company, AddedAt: start},
		{Name: "theirs", Company: "other", AddedAt: start},
	} {
		must(t, store.ImportEventType(t.Context(), eventType))
	}
	must(t, store.CreateKey(t.Context(), newKey(company, keyID)))
	must(t, store.CreateKey(t.Context(), newKey("other", "key_other_01JZ0000000000000000000000")))
	for _, w := range [][2]string{{company, firstID}, {company, secondID}, {"other", firstID}} {
		must(t, store.ImportWebhook(t.Context(), newWebhook(t, ofSource, w[0], w[1])))
	}
	return store
}

// exported returns the lines of the export of a company whose tokens are sealed with a secret.
func exported(t *testing.T, source Source, secret byte) []string {
	t.Helper()
	var out strings.Builder
	_, err := Exporter{Source: source, From: newSealer(t, secret), To: newSealer(t, ofExport)}.Export(t.Context(), company, 0, &out)
	must(t, err)
	return slices.Collect(strings.Lines(out.String()))
}

// load imports lines and returns the reported differences.
func load(t *testing.T, target Target, lines []string) (result Result, differences []string, err error) {
	t.Helper()
	in, err := NewReader(strings.NewReader(strings.Join(lines, "")))
	if err != nil {
		return Result{}, nil, err
	}
	differs := func(what string) { differences = append(differences, what) }
	result, err = Importer{Target: target, From: newSealer(t, ofExport), To: newSealer(t, ofTarget), Differs: differs}.Import(t.Context(), in)
	if err == nil {
		_, err = in.NextCompany()
	}
	return result, differences, err
}

// withoutTokens replaces the sealed tokens, which differ each time.
func withoutTokens(lines []string) string {
	return regexp.MustCompile(`"sealed_token":"[^"]*"`).ReplaceAllString(strings.Join(lines, ""), `"sealed_token":"SEALED"`)
}

const wantLines = `{"kind":"header","format":"webhooks-export","version":3,"company":"acme"}
{"kind":"event_type","level":"platform","name":"z.first","description":"<first> & \"best\"\n","added_at":"2030-01-02T03:04:05.678Z","hidden":false}
{"kind":"event_type","level":"platform","name":"a:second","description":"","added_at":"2030-01-02T03:04:06.678Z","hidden":true}
{"kind":"event_type","level":"company","name":"own","description":"","added_at":"2030-01-02T03:04:05.678Z","hidden":false}
{"kind":"api_key","id":"key_acme_01JZ0000000000000000000000","label":"<CI> & co","permissions":["webhooks:write","webhooks:read"],"hash":"80cc710a248e66088a101780be415c4a4ad3e3c073f6919609659e58a3fa6c19","created_at":"2030-01-02T03:04:05.678Z","expires_at":"2030-01-02T04:04:05.678Z","revoked_at":"2030-01-02T03:05:05.678Z","last_used_on":"2030-01-02T00:00:00Z"}
{"kind":"webhook","id":"wh_01JZ0000000000000000000001","name":"Billing\u0000Events","description":"\u2028<b>","url":"https://example.com/ä","events":["z.first","a.second"],"sealed_token":"SEALED","version":3,"created_at":"2030-01-02T03:04:05.678Z"}
{"kind":"webhook","id":"wh_01JZ0000000000000000000002","name":"Billing\u0000Events","description":"\u2028<b>","url":"https://example.com/ä","events":["z.first","a.second"],"sealed_token":"SEALED","version":3,"created_at":"2030-01-02T03:04:05.678Z"}
{"kind":"end","event_types":3,"api_keys":1,"webhooks":2}
`

// TestExportAndImport repeats an import that stopped in the middle. The target then has everything, with tokens that its own key
// opens.
func TestExportAndImport(t *testing.T) {
	lines := exported(t, filled(t), ofSource)
	if got := withoutTokens(lines); got != wantLines {
		t.Fatalf("export\n%s\nwant\n%s", got, wantLines)
	}
	lines[0] = strings.Replace(lines[0], `"version":3`, `"version":2`, 1) // which is still read
	target := newStore(t)
	if _, _, err := load(t, target, lines[:6]); err == nil || err.Error() != "the export is truncated after line 6: export again" {
		t.Errorf("truncated: error %v", err)
	}
	all := Counts{EventTypes: 3, APIKeys: 1, Webhooks: 2}
	for _, want := range []Result{
		{Stored: Counts{Webhooks: 1}, Same: Counts{EventTypes: 3, APIKeys: 1, Webhooks: 1}},
		{Same: all},
	} {
		if got, differences, err := load(t, target, lines); got != want || differences != nil || err != nil {
			t.Errorf("got %+v, %q, %v; want %+v", got, differences, err, want)
		}
		if got := withoutTokens(exported(t, target, ofTarget)); got != wantLines {
			t.Errorf("exported again\n%s\nwant\n%s", got, wantLines)
		}
	}
	for _, id := range []string{firstID, secondID} {
		w, err := target.Webhook(t.Context(), company, id)
		must(t, err)
		if token, err := newSealer(t, ofTarget).Open(t.Context(), company, id, w.SealedToken); err != nil || token != "token of "+id {
			t.Errorf("the token of %s is %q, %v", id, token, err)
		}
	}
}

func TestExportErrors(t *testing.T) {
	store, from, to := filled(t), newSealer(t, ofSource), newSealer(t, ofExport)
	var out strings.Builder
	if _, err := (Exporter{Source: store, From: from, To: to}).Export(t.Context(), "nobody", 0, &out); !errors.Is(err, ErrNothing) || out.Len() > 0 {
		t.Errorf("unknown company: error %v, wrote %q", err, out.String())
	}
	if _, err := (Exporter{Source: store, From: newSealer(t, ofTarget), To: to}).Export(t.Context(), company, 0, io.Discard); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("wrong token key: error %v", err)
	}
	gone := errors.New("gone")
	if _, err := (Exporter{Source: &failing{store, gone}, From: from, To: to}).Export(t.Context(), company, 0, &out); !errors.Is(err, gone) {
		t.Errorf("failing source: error %v", err)
	}
	if _, _, err := load(t, newStore(t), []string{out.String()}); err == nil {
		t.Errorf("an incomplete export was imported: %q", out.String())
	}
}

// failing is a source that fails after the first page.
type failing struct {
	Source
	err error
}

func (f *failing) WebhooksAfter(ctx context.Context, company, after string, limit int) ([]webhook.Webhook, error) {
	if after != "" {
		return nil, f.err
	}
	return f.Source.WebhooksAfter(ctx, company, after, limit)
}

// TestImportDifferences checks that existing items are never changed, and that differences are reported.
func TestImportDifferences(t *testing.T) {
	lines := exported(t, filled(t), ofSource)
	target := newStore(t)
	existing := newWebhook(t, ofTarget, company, firstID)
	existing.Name, existing.URL, existing.Version = "Other", "https://example.com/other", 4
	foreign := newWebhook(t, ofSource, company, secondID) // its token is not sealed with the target's key
	key := newKey("other", "key_other_01JZ0000000000000000000009")
	key.Hash = newKey(company, keyID).Hash // one secret must not open two companies
	key.Label, key.LastUsedOn = "other", start.Add(24*time.Hour)
	must(t, target.ImportEventType(t.Context(), webhook.EventType{Name: "z.first", AddedAt: start, Description: "another", Hidden: true}))
	must(t, target.CreateKey(t.Context(), key))
	must(t, target.ImportWebhook(t.Context(), existing))
	must(t, target.ImportWebhook(t.Context(), foreign))
	result, differences, err := load(t, target, lines)
	want := []string{
		"event type z.first already exists with a different description, state (removed) and was left unchanged",
		"API key key_acme_01JZ0000000000000000000000 already exists with a different company, ID, label and was left unchanged",
		"webhook wh_01JZ0000000000000000000001 already exists with a different name, URL, version and was left unchanged",
		"webhook wh_01JZ0000000000000000000002 already exists with a different token and was left unchanged",
	}
	if err != nil || !slices.Equal(differences, want) || result != (Result{Stored: Counts{EventTypes: 2}, Differs: Counts{1, 1, 2}}) {
		t.Errorf("got %+v, %v and\n%s\nwant\n%s", result, err, strings.Join(differences, "\n"), strings.Join(want, "\n"))
	}
	if got, err := target.Webhook(t.Context(), company, firstID); err != nil || got.Name != "Other" || !bytes.Equal(got.SealedToken, existing.SealedToken) {
		t.Errorf("the webhook is now %+v, %v", got, err)
	}
	if got, err := target.KeyByHash(t.Context(), key.Hash); err != nil || got.Company != "other" {
		t.Errorf("the API key is now %+v, %v", got, err)
	}
}

func TestInvalidExports(t *testing.T) {
	lines := exported(t, filled(t), ofSource)
	const header, eventType, apiKey, hook, end = 0, 1, 4, 5, 7
	for _, tt := range []struct {
		name     string
		line     int
		old, new string // old is empty: the whole line
		want     string
	}{
		{"another file", header, "", `{"webhook":{}}`, "line 1: not the header of an export: check the file"},
		{"another format", header, "webhooks-export", "x", "line 1: not the header of an export: check the file"},
		{"database", header, "", "SQLite format 3\x00", `this is a SQLite database: use "webhookctl restore"`},
		{"newer version", header, `"version":3`, `"version":4,"more":[]`, "line 1: the export has version 4 of the format, and this program reads versions 2 to 3"},
		{"older version", header, `"version":3`, `"version":1`, "line 1: the export has version 1 of the format, and this program reads versions 2 to 3"},
		{"invalid company", header, "acme", "a b", "line 1: company is not a valid company ID"},
		{"another company", header, "acme", "acmf", "line 5: id is not the ID of an API key of the company"},
		{"not JSON", hook, "", "webhook", "line 6: not a JSON object: "},
		{"not UTF-8", hook, "ä", "\xff", "line 6: not valid UTF-8"},
		{"unknown kind", hook, `"webhook"`, `"hook"`, `line 6: unknown kind "hook"`},
		{"unknown field", hook, `"url"`, `"uri"`, `line 6: json: unknown field "uri"`},
		{"wrong type", hook, `"version":3`, `"version":"3"`, "line 6: json: cannot unmarshal string"},
		{"long line", hook, "", strings.Repeat(" ", 2<<20), "line 6: longer than any line of an export"},
		{"webhook ID", hook, firstID, "wh_1", "line 6: id is not a webhook ID"},
		{"no name", hook, `"Billing\u0000Events"`, `""`, "line 6: name, url, sealed_token and version are required"},
		{"version 0", hook, `"version":3`, `"version":0`, "line 6: name, url, sealed_token and version are required"},
		{"long name", hook, "Billing", strings.Repeat("ä", 256), "line 6: name must not exceed 255 characters"},
		{"long URL", hook, "ä", strings.Repeat("a", 2048), "line 6: url must not exceed 2048 characters"},
		{"no events", hook, `["z.first","a.second"]`, `[]`, "line 6: events must have 1 to 40 entries"},
		{"duplicate event", hook, "a.second", "z.first", "line 6: events must be unique"},
		{"no time", hook, `,"created_at":"2030-01-02T03:04:05.678Z"`, "", "line 6: created_at is required"},
		{"microseconds", hook, "05.678Z", "05.6789Z", "line 6: times must be in whole milliseconds"},
		{"token of another webhook", hook, firstID, "wh_01JZ0000000000000000000009", "line 6: webhook wh_01JZ0000000000000000000009: opening a token: "},
		{"level", eventType, "platform", "world", `line 2: level must be "platform" or "company"`},
		{"type name", eventType, "z.first", "z/first", "line 2: name is not a valid event type name"},
		{"permission", apiKey, "webhooks:read", "webhooks:all", `line 5: unknown permission "webhooks:all"`},
		{"label", apiKey, "<CI>", "a\\nb", "line 5: label must be 1 to 100 visible characters long"},
		{"hash", apiKey, `"hash":"`, `"hash":"00`, "line 5: hash is not a SHA-256 in hexadecimal"},
		{"no end", end, "", strings.TrimSpace(lines[6]), "the export is truncated after line 8: export again"},
		{"missing webhook", 6, "", strings.TrimSpace(strings.Replace(lines[3], "own", "own2", 1)), "line 8: the export should contain 2 webhooks, 3 event types and 1 API key, but contains 1 webhook, 4 event types and 1 API key"},
		{"line after the end", end, "}", "}\n{}", "line 9: not the header of an export"},
		{"missing company", header, `"acme"`, `"acme","following":1`, "the export is truncated after line 8: export again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			changed := slices.Clone(lines)
			if tt.old == "" {
				changed[tt.line] = tt.new + "\n"
			} else {
				changed[tt.line] = strings.Replace(lines[tt.line], tt.old, tt.new, 1)
			}
			if _, _, err := load(t, newStore(t), changed); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got error\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
}

// endless is a source with more webhooks than fit into the memory that an export may use, and a target that drops them.
type endless struct {
	Target
	t    *testing.T
	left int
	heap uint64 // the most bytes in use so far
}

func (*endless) AllEventTypes(context.Context, string) ([]webhook.EventType, error) { return nil, nil }
func (*endless) Keys(context.Context, string) ([]access.Key, error)                 { return nil, nil }
func (*endless) ImportWebhook(context.Context, webhook.Webhook) error               { return nil }

func (e *endless) WebhooksAfter(_ context.Context, company, _ string, limit int) ([]webhook.Webhook, error) {
	if e.left%2000 == 0 {
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		e.heap = max(e.heap, memory.HeapAlloc)
	}
	page := make([]webhook.Webhook, min(limit, e.left))
	for i := range page {
		page[i] = newWebhook(e.t, ofSource, company, fmt.Sprintf("wh_%026d", 1_000_000-e.left+i))
		page[i].Description = strings.Repeat("d", webhook.MaxDescriptionLength)
	}
	e.left -= len(page)
	return page, nil
}

func TestMemory(t *testing.T) {
	const webhooks, limit = 10_000, 8 << 20 // bytes; all webhooks are about 15 million
	export, e := newSealer(t, ofExport), &endless{t: t, left: webhooks}
	out, in := io.Pipe()
	go func() {
		_, err := Exporter{Source: e, From: newSealer(t, ofSource), To: export}.Export(t.Context(), company, 0, in)
		_ = in.CloseWithError(err)
	}()
	reader, err := NewReader(out)
	must(t, err)
	result, err := Importer{Target: e, From: export, To: newSealer(t, ofTarget)}.Import(t.Context(), reader)
	if err != nil || result.Stored.Webhooks != webhooks || e.heap == 0 || e.heap > limit {
		t.Errorf("imported %+v, %v, with %d bytes in use; want %d webhooks and at most %d bytes", result, err, e.heap, webhooks, limit)
	}
}
