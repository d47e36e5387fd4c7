package transfer

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// TestCheckRefuses changes an export that is right.
func TestCheckRefuses(t *testing.T) {
	store, sealer := newStore(t), newSealer(t, 1)
	fill(t, store, sealer)
	lines := export(t, Exporter{Source: store})
	const header, eventType, apiKey, firstWebhook, end = 0, 1, 4, 5, 7 // where they are
	change := func(line int, old, new string) func([]string) {
		return func(lines []string) {
			if !strings.Contains(lines[line], old) {
				t.Fatalf("there is no %q in %s", old, lines[line])
			}
			lines[line] = strings.Replace(lines[line], old, new, 1)
		}
	}
	set := func(line int, text string) func([]string) { return func(lines []string) { lines[line] = text + "\n" } }
	tests := []struct {
		name   string
		change func(lines []string)
		want   string
	}{
		{"another file", set(header, `{"webhook":{}}`), `line 1: the header of an export must come first: is this the right file?`},
		{"another format", change(header, "webhooks-export", "x"), `line 1: the format is not "webhooks-export": is this the right file?`},
		{"a newer version", change(header, `"version":1`, `"version":2,"more":[]`), `line 1: version 2 of the format, and this program knows version 1: use a version of the program that wrote it, or a newer one`},
		{"no version", change(header, `"version":1,`, ``), `line 1: version 0 of the format, and this program knows version 1: use a version of the program that wrote it, or a newer one`},
		{"no company", change(header, `acme`, `a b`), `line 1: the company can be none`},
		{"no header", set(header, ""), `line 1: it is no JSON object: unexpected end of JSON input`},
		{"a second header", set(eventType, strings.TrimSpace(lines[header])), `line 2: there is a second header: import one export at a time`},
		{"no JSON", set(firstWebhook, `webhook`), `line 6: it is no JSON object: invalid character 'w' looking for beginning of value`},
		{"half a line", set(firstWebhook, lines[firstWebhook][:40]), `line 6: it is no JSON object: unexpected end of JSON input`},
		{"two objects", set(firstWebhook, `{"kind":"webhook"} {}`), `line 6: it is no JSON object: invalid character '{' after top-level value`},
		{"an array", set(firstWebhook, `[]`), `line 6: it is no JSON object: json: cannot unmarshal array into Go value of type struct { Kind string }`},
		{"another kind", change(firstWebhook, `"webhook"`, `"hook"`), `line 6: there is no kind "hook"`},
		{"another field", change(firstWebhook, `"url"`, `"uri"`), `line 6: it is not as an export has it: json: unknown field "uri"`},
		{"another type of a field", change(firstWebhook, `"version":3`, `"version":"3"`), `line 6: it is not as an export has it: json: cannot unmarshal string into Go struct field webhookLine.version of type int64`},
		{"no UTF-8", change(firstWebhook, `ä`, "\xff"), `line 6: it is no UTF-8`},
		{"a webhook's id", change(firstWebhook, firstID, "wh_1"), `line 6: webhook: the id is none of a webhook`},
		{"no name", change(firstWebhook, `"Billing\u0000Events"`, `""`), `line 6: webhook: name, url, sealed_token and version must be there`},
		{"no token", change(firstWebhook, `"sealed_token"`, `"sealed_token":"","name"`), `line 6: webhook: name, url, sealed_token and version must be there`},
		{"a long name", change(firstWebhook, `Billing`, strings.Repeat("ä", 256)), `line 6: webhook: the name has more than 255 characters`},
		{"a long description", change(firstWebhook, `<b>`, strings.Repeat("ä", 1024)), `line 6: webhook: the description has more than 1024 characters`},
		{"a long URL", change(firstWebhook, `ä`, strings.Repeat("a", 2048)), `line 6: webhook: the url has more than 2048 characters`},
		{"no events", change(firstWebhook, `["z.first","a.second"]`, `[]`), `line 6: webhook: a webhook has 1 to 40 events`},
		{"many events", change(firstWebhook, `["z.first"`, `["z.first"`+strings.Repeat(`,"x"`, 40)), `line 6: webhook: a webhook has 1 to 40 events`},
		{"an empty event", change(firstWebhook, `"z.first"`, `""`), `line 6: webhook: the name of an event has 1 to 128 characters`},
		{"an event twice", change(firstWebhook, `a.second`, `z.first`), `line 6: webhook: an event is there twice`},
		{"version 0", change(firstWebhook, `"version":3`, `"version":0`), `line 6: webhook: name, url, sealed_token and version must be there`},
		{"no time", change(firstWebhook, `,"created_at":"2030-01-02T03:04:05.678Z"`, ``), `line 6: webhook: the time of its making must be there`},
		{"a time that no store keeps", change(firstWebhook, `05.678Z`, `05.6789Z`), `line 6: webhook: a time is not in whole milliseconds`},
		{"a token of another webhook", change(firstWebhook, firstID, "wh_01JZ0000000000000000000009"), `line 6: webhook wh_01JZ0000000000000000000009: opening a token: it is no sealed token of this company and webhook`},
		{"another company", change(header, `acme`, `acmf`), `line 5: API key: the id is none of an API key of the company`},
		{"a level", change(eventType, `platform`, `world`), `line 2: event type: the level must be "platform" or "company"`},
		{"a type's name", change(eventType, `z.first`, `z first`), `line 2: event type: the name can be no event type's`},
		{"a type's description", change(eventType, `best`, strings.Repeat("x", 1024)), `line 2: event type: the description has more than 1024 characters`},
		{"a type's time", change(eventType, `"added_at":"2030-01-02T03:04:05.678Z",`, ``), `line 2: event type: the time of its making must be there`},
		{"a key of another company", change(apiKey, `key_acme`, `key_other`), `line 5: API key: the id is none of an API key of the company`},
		{"a permission", change(apiKey, `webhooks:read`, `webhooks:all`), `line 5: API key: unknown permission "webhooks:all": use webhooks:read or webhooks:write`},
		{"a hash", change(apiKey, `"hash":"`, `"hash":"00`), `line 5: API key: the hash is no SHA-256 in hexadecimal`},
		{"a key's time", change(apiKey, `04:04:05.678Z`, `04:04:05.6781Z`), `line 5: API key: a time is not in whole milliseconds`},
		{"cut off", set(end, strings.TrimSpace(lines[6])), `line 8: the export is cut off after it: export it anew`},
		{"a webhook is missing", set(6, strings.TrimSpace(lines[3])), `line 8: the export should hold 2 webhooks, 3 event types and 1 API key, and holds 1 webhook, 4 event types and 1 API key`},
		{"more after the end", func(lines []string) { lines[end] += "\n{}\n" }, `line 9: there is more after the end`},
		{"a line without an end", set(firstWebhook, strings.Repeat(" ", 2<<20)), `line 6: it is longer than any line of an export`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			changed := append([]string(nil), lines...)
			tt.change(changed)
			text := strings.Join(changed, "")
			_, err := Importer{Sealer: sealer}.Check(t.Context(), strings.NewReader(text)) // without a target to write to
			if err == nil || err.Error() != tt.want {
				t.Errorf("got error\n%v\nwant\n%s", err, tt.want)
			}
		})
	}
	if _, err := (Importer{Sealer: sealer}).Check(t.Context(), strings.NewReader("")); err == nil || err.Error() != "the export is empty" {
		t.Errorf("an empty file: got error %v", err)
	}
}

// endless is a company with so many webhooks that they should not be in memory all at once.
type endless struct {
	t     *testing.T
	left  int
	heap  uint64 // the largest that was seen
	pages int
}

func (*endless) AllEventTypes(context.Context, string) ([]webhook.EventType, error) { return nil, nil }

func (*endless) Keys(context.Context, string) ([]access.Key, error) { return nil, nil }

func (e *endless) WebhooksAfter(_ context.Context, company, _ string, limit int) ([]webhook.Webhook, error) {
	if e.pages++; e.pages%20 == 0 {
		var memory runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&memory)
		e.heap = max(e.heap, memory.HeapAlloc)
	}
	page := make([]webhook.Webhook, min(limit, e.left))
	sealer := newSealer(e.t, 1)
	for i := range page {
		page[i] = newWebhook(e.t, sealer, company, fmt.Sprintf("wh_%026d", 1_000_000-e.left+i))
		page[i].Description = strings.Repeat("d", webhook.MaxDescriptionLength)
	}
	e.left -= len(page)
	return page, nil
}

// TestMemory passes more through export and check than they may hold.
func TestMemory(t *testing.T) {
	const webhooks, most = 10_000, 8 << 20 // bytes, of some 15 million
	source := &endless{t: t, left: webhooks}
	out, in := io.Pipe()
	go func() {
		_, err := Exporter{Source: source}.Export(t.Context(), company, in)
		_ = in.CloseWithError(err)
	}()
	checked, err := Importer{Sealer: newSealer(t, 1)}.Check(t.Context(), out)
	if err != nil || checked.Webhooks != webhooks {
		t.Fatalf("got %+v, %v, want %d webhooks", checked, err, webhooks)
	}
	if source.heap == 0 || source.heap > most {
		t.Errorf("%d bytes were in use, want at most %d", source.heap, most)
	}
	t.Logf("at most %d bytes in use", source.heap)
}
