package transfer

import (
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

// wantLines is the export of a company that is filled, with SEALED for a webhook's sealed token.
const wantLines = `{"kind":"header","format":"webhooks-export","version":1,"company":"acme"}
{"kind":"event_type","level":"platform","name":"z.first","description":"<first> & \"best\"\n","added_at":"2030-01-02T03:04:05.678Z","hidden":false}
{"kind":"event_type","level":"platform","name":"a.second","description":"","added_at":"2030-01-02T03:04:06.678Z","hidden":true}
{"kind":"event_type","level":"company","name":"own","description":"","added_at":"2030-01-02T03:04:05.678Z","hidden":false}
{"kind":"api_key","id":"key_acme_01JZ0000000000000000000000","permissions":["webhooks:write","webhooks:read"],"hash":"80cc710a248e66088a101780be415c4a4ad3e3c073f6919609659e58a3fa6c19","created_at":"2030-01-02T03:04:05.678Z","expires_at":"2030-01-02T04:04:05.678Z","revoked_at":"2030-01-02T03:05:05.678Z"}
{"kind":"webhook","id":"wh_01JZ0000000000000000000001","name":"Billing\u0000Events","description":"\u2028<b>","url":"https://example.com/ä","events":["z.first","a.second"],"sealed_token":"SEALED","version":3,"created_at":"2030-01-02T03:04:05.678Z"}
{"kind":"webhook","id":"wh_01JZ0000000000000000000002","name":"Billing\u0000Events","description":"\u2028<b>","url":"https://example.com/ä","events":["z.first","a.second"],"sealed_token":"SEALED","version":3,"created_at":"2030-01-02T03:04:05.678Z"}
{"kind":"end","event_types":3,"api_keys":1,"webhooks":2}`

func TestExport(t *testing.T) {
	store, sealer := newStore(t), newSealer(t, 1)
	fill(t, store, sealer)
	got := strings.Join(export(t, Exporter{Source: store}), "")
	for _, id := range []string{firstID, secondID} {
		w, err := store.Webhook(t.Context(), company, id)
		must(t, err)
		got = strings.ReplaceAll(got, base64.StdEncoding.EncodeToString(w.SealedToken), "SEALED")
	}
	if got != wantLines {
		t.Errorf("got\n%s\nwant\n%s", got, wantLines)
	}
}

func TestExportOfNothing(t *testing.T) {
	store := newStore(t)
	fill(t, store, newSealer(t, 1))
	var out strings.Builder
	if _, err := (Exporter{Source: store}).Export(t.Context(), "nobody", &out); !errors.Is(err, ErrNothing) {
		t.Errorf("got error %v, want %v", err, ErrNothing)
	}
	if out.String() != "" {
		t.Errorf("wrote %q", out.String())
	}
}

// TestExportThatFails checks that what was written until then cannot be taken for a whole export.
func TestExportThatFails(t *testing.T) {
	store, sealer := newStore(t), newSealer(t, 1)
	fill(t, store, sealer)
	source := &failing{Source: store, pages: 1, err: webhook.Unavailable(errors.New("gone"))}
	var out strings.Builder
	_, err := Exporter{Source: source}.Export(t.Context(), company, &out)
	if !errors.Is(err, source.err) {
		t.Errorf("got error %v, want %v", err, source.err)
	}
	importer := Importer{Sealer: sealer}
	if _, err := importer.Check(t.Context(), strings.NewReader(out.String())); err == nil {
		t.Errorf("%q is taken for an export", out.String())
	}
}

func TestIsExport(t *testing.T) {
	store := newStore(t)
	fill(t, store, newSealer(t, 1))
	lines := strings.Join(export(t, Exporter{Source: store}), "")
	for text, want := range map[string]bool{
		lines: true,
		strings.Replace(lines, `"version":1`, `"version":9`, 1): true,
		strings.Replace(lines, formatName, "another", 1):        false,
		`{"kind":"end"}`:      false,
		"SQLite format 3\x00": false,
		"":                    false,
	} {
		if got := IsExport(strings.NewReader(text)); got != want {
			t.Errorf("IsExport is %v of %q", got, text)
		}
	}
}

func TestImport(t *testing.T) {
	old, sealer := newStore(t), newSealer(t, 1)
	fill(t, old, sealer)
	lines := export(t, Exporter{Source: old})
	store := newStore(t)
	importer := Importer{Target: store, Sealer: sealer}
	all := Counts{EventTypes: 3, APIKeys: 1, Webhooks: 2}
	for i, want := range []Result{{Stored: all}, {Same: all}} {
		if got, told := load(t, importer, lines); got != want || told != nil {
			t.Errorf("import %d: got %+v and %q, want %+v", i+1, got, told, want)
		}
		if got := export(t, Exporter{Source: store}); !slices.Equal(got, lines) {
			t.Errorf("import %d: exported again it is\n%s\nwant\n%s", i+1, got, lines)
		}
	}
	list, err := store.ListWebhooks(t.Context(), company, webhook.Page{Size: 10, Number: 1})
	if err != nil || list.Count != 2 {
		t.Errorf("the company has %d webhooks, %v, want 2", list.Count, err)
	}
	wantTokens(t, store, sealer)
}

// TestImportOfTheRest goes on where an import was interrupted.
func TestImportOfTheRest(t *testing.T) {
	old, sealer := newStore(t), newSealer(t, 1)
	fill(t, old, sealer)
	lines := export(t, Exporter{Source: old})
	store := newStore(t)
	importer := Importer{Target: store, Sealer: sealer}
	if _, err := importer.Import(t.Context(), strings.NewReader(strings.Join(lines[:6], ""))); err == nil {
		t.Error("half an export is taken for a whole one")
	}
	want := Result{Stored: Counts{Webhooks: 1}, Same: Counts{EventTypes: 3, APIKeys: 1, Webhooks: 1}}
	if got, _ := load(t, importer, lines); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := export(t, Exporter{Source: store}); !slices.Equal(got, lines) {
		t.Errorf("exported again it is\n%s\nwant\n%s", got, lines)
	}
}

func TestResealing(t *testing.T) {
	oldSealer, newSealer := newSealer(t, 1), newSealer(t, 2)
	tests := []struct {
		name     string
		exporter Exporter
		importer Importer
	}{
		{"by the import", Exporter{}, Importer{Sealer: newSealer, Source: &oldSealer}},
		{"by the export", Exporter{Reseal: &[2]seal.Sealer{oldSealer, newSealer}}, Importer{Sealer: newSealer}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			old, store := newStore(t), newStore(t)
			fill(t, old, oldSealer)
			test.exporter.Source, test.importer.Target = old, store
			lines := export(t, test.exporter)
			all := Counts{EventTypes: 3, APIKeys: 1, Webhooks: 2}
			for i, want := range []Result{{Stored: all}, {Same: all}} {
				if got, told := load(t, test.importer, lines); got != want || told != nil {
					t.Errorf("import %d: got %+v and %q, want %+v", i+1, got, told, want)
				}
				wantTokens(t, store, newSealer)
			}
			wantTokens(t, old, oldSealer)
		})
	}
}

func TestUnknownTokenKey(t *testing.T) {
	old, other := newStore(t), newSealer(t, 2)
	fill(t, old, newSealer(t, 1))
	lines := strings.Join(export(t, Exporter{Source: old}), "")
	for name, importer := range map[string]Importer{
		"the target's is another":    {Sealer: other},
		"the source's is another":    {Sealer: newSealer(t, 1), Source: &other},
		"the target has none at all": {Sealer: seal.Sealer{Keys: seal.KeyRing{}}},
	} {
		_, err := importer.Check(t.Context(), strings.NewReader(lines))
		if !errors.Is(err, seal.ErrUnknownKey) || !strings.HasPrefix(err.Error(), "line 6: webhook "+firstID+": opening a token: token key ") {
			t.Errorf("%s: got error %v, want %v in line 6", name, err, seal.ErrUnknownKey)
		}
	}
	exporter := Exporter{Source: old, Reseal: &[2]seal.Sealer{other, other}}
	if _, err := exporter.Export(t.Context(), company, new(strings.Builder)); !errors.Is(err, seal.ErrUnknownKey) {
		t.Errorf("export: got error %v, want %v", err, seal.ErrUnknownKey)
	}
}

// TestDifferences imports over what is there and not the same.
func TestDifferences(t *testing.T) {
	old, sealer := newStore(t), newSealer(t, 1)
	fill(t, old, sealer)
	lines := export(t, Exporter{Source: old})

	store := newStore(t)
	must(t, store.ImportEventType(t.Context(), webhook.EventType{Name: "z.first", AddedAt: start.Add(time.Hour), Description: "mine", Hidden: true}))
	must(t, store.ImportEventType(t.Context(), webhook.EventType{Name: "own", Company: company, AddedAt: start.Add(time.Hour)}))
	key := newKey(company, keyID)
	key.RevokedAt, key.Permissions = time.Time{}, key.Permissions[:1]
	must(t, store.CreateKey(t.Context(), key))
	first, second := newWebhook(t, sealer, company, firstID), newWebhook(t, sealer, company, secondID)
	first.Name, first.URL, first.Events, first.Version = "mine", "https://mine.example.com", []string{"mine"}, 9
	var err error
	second.SealedToken, err = sealer.Seal(t.Context(), company, secondID, "another token")
	must(t, err)
	must(t, store.ImportWebhook(t.Context(), first))
	must(t, store.ImportWebhook(t.Context(), second))
	before := export(t, Exporter{Source: store})

	result, told := load(t, Importer{Target: store, Sealer: sealer}, lines)
	if want := (Result{Stored: Counts{EventTypes: 1}, Differs: Counts{EventTypes: 2, APIKeys: 1, Webhooks: 2}}); result != want {
		t.Errorf("got %+v, want %+v", result, want)
	}
	want := []string{
		"event type z.first of the platform is there already, differs in description, state (removed) and time of adding, and stays as it is",
		"event type own of the company is there already, differs in time of adding, and stays as it is",
		"API key key_acme_01JZ0000000000000000000000 is there already, differs in permissions and revocation, and stays as it is",
		"webhook wh_01JZ0000000000000000000001 is there already, differs in URL, events, name and version, and stays as it is",
		"webhook wh_01JZ0000000000000000000002 is there already, differs in token, and stays as it is",
	}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	after := slices.DeleteFunc(export(t, Exporter{Source: store}), func(line string) bool { return strings.Contains(line, "a.second\",\"description") })
	before[len(before)-1] = after[len(after)-1] // the number of types
	if !slices.Equal(after, before) {
		t.Errorf("what was there is now\n%s\nwant\n%s", after, before)
	}
}

// TestKeyOfAnotherCompany finds an API key that would let its holder into two companies.
func TestKeyOfAnotherCompany(t *testing.T) {
	old, sealer := newStore(t), newSealer(t, 1)
	fill(t, old, sealer)
	lines := export(t, Exporter{Source: old})
	store := newStore(t)
	key := newKey("other", "key_other_01JZ0000000000000000000009")
	key.Hash = newKey(company, keyID).Hash
	must(t, store.CreateKey(t.Context(), key))
	result, told := load(t, Importer{Target: store, Sealer: sealer}, lines)
	want := "API key key_acme_01JZ0000000000000000000000 is there already, differs in company and id, and stays as it is"
	if result.Differs.APIKeys != 1 || len(told) != 1 || told[0] != want {
		t.Errorf("got %+v and %q, want %q", result, told, want)
	}
	if found, err := store.KeyByHash(t.Context(), key.Hash); err != nil || found.Company != "other" {
		t.Errorf("the key is now %+v, %v", found, err)
	}
}
