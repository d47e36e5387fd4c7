package transfer

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/seal"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
)

const company = "acme"

// start is when the tests' company was made.
var start = time.Date(2030, 1, 2, 3, 4, 5, 678_000_000, time.UTC)

// newStore makes an empty store on a SQLite file.
func newStore(t *testing.T) *sqlite.Store {
	t.Helper()
	store, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "webhooks.db"), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// newSealer makes a sealer with a key of its own, which is made of one byte.
func newSealer(t *testing.T, secret byte) seal.Sealer {
	t.Helper()
	key, err := seal.NewKey(bytes.Repeat([]byte{secret}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return seal.Sealer{Keys: seal.KeyRing{key}, Random: rand.Reader}
}

const (
	firstID  = "wh_01JZ0000000000000000000001"
	secondID = "wh_01JZ0000000000000000000002"
	keyID    = "key_acme_01JZ0000000000000000000000"
)

// fill stores a company with something of every kind, whose tokens are "token of " and the id.
func fill(t *testing.T, store *sqlite.Store, sealer seal.Sealer) {
	t.Helper()
	for _, eventType := range []webhook.EventType{
		{Name: "z.first", AddedAt: start, Description: "<first> & \"best\"\n"},
		{Name: "a.second", AddedAt: start.Add(time.Second), Hidden: true},
		{Name: "own", Company: company, AddedAt: start},
		{Name: "another's", Company: "other", AddedAt: start},
	} {
		must(t, store.ImportEventType(t.Context(), eventType))
	}
	must(t, store.CreateKey(t.Context(), newKey(company, keyID)))
	must(t, store.CreateKey(t.Context(), newKey("other", "key_other_01JZ0000000000000000000000")))
	for _, id := range []string{firstID, secondID} {
		must(t, store.ImportWebhook(t.Context(), newWebhook(t, sealer, company, id)))
	}
	must(t, store.ImportWebhook(t.Context(), newWebhook(t, sealer, "other", firstID)))
}

func newKey(company, id string) access.Key {
	return access.Key{
		ID:          id,
		Company:     company,
		Permissions: []access.Permission{access.WebhooksWrite, access.WebhooksRead},
		Hash:        sha256.Sum256([]byte(id)),
		CreatedAt:   start,
		ExpiresAt:   start.Add(time.Hour),
		RevokedAt:   start.Add(time.Minute),
	}
}

func newWebhook(t *testing.T, sealer seal.Sealer, company, id string) webhook.Webhook {
	t.Helper()
	sealed, err := sealer.Seal(t.Context(), company, id, "token of "+id)
	if err != nil {
		t.Fatal(err)
	}
	return webhook.Webhook{
		ID: id, Company: company, Name: "Billing\x00Events", Description: "\u2028<b>", URL: "https://example.com/ä",
		Events: []string{"z.first", "a.second"}, SealedToken: sealed, Version: 3, CreatedAt: start,
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// export gives the lines of a company's export.
func export(t *testing.T, exporter Exporter) []string {
	t.Helper()
	var out strings.Builder
	_, err := exporter.Export(t.Context(), company, &out)
	must(t, err)
	return strings.SplitAfter(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// load checks and imports lines, and gives what is told of them.
func load(t *testing.T, importer Importer, lines []string) (Result, []string) {
	t.Helper()
	var told []string
	importer.Differs = func(what string) { told = append(told, what) }
	text := strings.Join(lines, "")
	_, err := importer.Check(t.Context(), strings.NewReader(text))
	must(t, err)
	result, err := importer.Import(t.Context(), strings.NewReader(text))
	must(t, err)
	return result, told
}

// wantTokens opens all tokens of a company that is filled.
func wantTokens(t *testing.T, store *sqlite.Store, sealer seal.Sealer) {
	t.Helper()
	for _, id := range []string{firstID, secondID} {
		w, err := store.Webhook(t.Context(), company, id)
		must(t, err)
		token, err := sealer.Open(t.Context(), company, id, w.SealedToken)
		if err != nil || token != "token of "+id {
			t.Errorf("the token of %s is %q, %v", id, token, err)
		}
	}
}

// failing is a source that fails after some pages.
type failing struct {
	Source
	pages int
	err   error
}

func (f *failing) WebhooksAfter(ctx context.Context, company, after string, limit int) ([]webhook.Webhook, error) {
	if f.pages--; f.pages < 0 {
		return nil, f.err
	}
	return f.Source.WebhooksAfter(ctx, company, after, limit)
}
