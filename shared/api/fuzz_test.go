package api

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"webhooks/shared/access"
	"webhooks/shared/delivery"
	"webhooks/shared/webhook"
)

// FuzzParseNewWebhook checks that any body is either rejected as invalid, or parsed as encoding/json,
// which is more lenient, parses it, into valid text within the limits.
func FuzzParseNewWebhook(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `[]`, `{"webhook":null}`, `{"webhook":{"name":"n","url":"u","events":"e"}}`,
		`{"webhook":{"name":"\ud83d\ude00","url":"u","events":["a","b","a"],"description":null},"x":[{}]}`,
		`{"webhook":{"name":"\ud83d","url":"u","events":["a"]}}`, `{"webhook":{},"webhook":{}}`, "{\"webhook\":{\"name\":\"\xff\"}}",
		`{"Webhook":{"NAME":"n"},"webhook":{"name":"\\ud800","url":"\u0000","events":"\u2028","description":""}} `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		c, err := parseNewWebhook("", body)
		if err != nil {
			if webhook.KindOf(err) != webhook.KindInvalid {
				t.Errorf("got %v", err)
			}
			return
		}
		var lax map[string]any
		if err := json.Unmarshal(body, &lax); err != nil && !strings.Contains(err.Error(), "cannot unmarshal") {
			t.Errorf("accepted, although %v", err)
		}
		if fields, _ := lax["webhook"].(map[string]any); fields["name"] != c.name || fields["url"] != c.url {
			t.Errorf("got %q and %q of %v", c.name, c.url, fields)
		}
		texts := append([]string{c.name, c.description, c.url}, c.events...)
		if slices.ContainsFunc(texts, func(s string) bool { return !utf8.ValidString(s) }) {
			t.Errorf("invalid text: %q", texts)
		}
		unique := slices.Compact(slices.Sorted(slices.Values(c.events)))
		if len(unique) != len(c.events) || len(c.events) == 0 || len(c.events) > webhook.MaxEvents {
			t.Errorf("got the events %q", c.events)
		}
		if strings.TrimSpace(c.name) == "" || utf8.RuneCountInString(c.name) > webhook.MaxNameLength || len(c.url) > webhook.MaxURLLength {
			t.Errorf("got %q, %q", c.name, c.url)
		}
	})
}

// FuzzParseNewEvents checks that any body is either rejected, or that its events are delivered as they were sent, except for
// white space between tokens, and with the values that encoding/json finds.
func FuzzParseNewEvents(f *testing.F) {
	for _, seed := range []string{
		``, `{"event":{"type":"a","data":{}}}`, `{"event":{"type":"a","data":{ "b" : [1.10e2, "\\\"{\u00e9<", {"c":null}] }},"x":"]}"}`,
		`{"events":[{"type":"a","data":{"b":{}},"key":"k"} , {"data":{"b":"é\u2028"},"type":"b","timestamp":"2026-01-02T03:04:05.6+01:00"}]}`,
		`{"events":[],"event":{"type":"a","data":{}}}`, `{"\u0065vent":{"type":"a\u0000","d\u0061ta":{},"key":"k","company":null}}`,
		`{"event":{"type":"a","data":{},"type":"b"}}`, `{"event":{"type":1,"data":{}},"events":[1,true , null,"]"]}`,
	} {
		f.Add([]byte(seed), "")
		f.Add([]byte(seed), "k")
	}
	f.Fuzz(func(t *testing.T, body []byte, key string) {
		r := request{key: access.Key{Company: "acme"}, body: body, header: http.Header{}}
		if key != "" {
			r.header.Set("Idempotency-Key", key)
		}
		events, batch, err := parseNewEvents(r)
		if err != nil {
			if kind := webhook.KindOf(err); kind != webhook.KindInvalid && (kind != webhook.KindTooLarge || len(body) < maxEventBody) {
				t.Errorf("got %v", err)
			}
			return
		}
		var top map[string]json.RawMessage // a struct would ignore case
		if err := json.Unmarshal(body, &top); err != nil {
			t.Fatalf("accepted, although %v", err)
		}
		entries := []json.RawMessage{top["event"]}
		if batch {
			entries = nil
			if err := json.Unmarshal(top["events"], &entries); err != nil {
				t.Fatal(err)
			}
		}
		if len(events) != len(entries) || len(events) == 0 || len(events) > maxBatch {
			t.Fatalf("got %d events, want %d", len(events), len(entries))
		}
		for i, e := range events {
			checkNewEvent(t, e, entries[i], key)
		}
	})
}

// checkNewEvent compares a parsed event with what was sent, in the body and as a key in the header.
func checkNewEvent(t *testing.T, e newEvent, sent []byte, key string) {
	var want map[string]json.RawMessage
	text := func(name string) (text string) {
		_ = json.Unmarshal(want[name], &text) // absent or null
		return text
	}
	var data bytes.Buffer
	if err := errors.Join(json.Unmarshal(sent, &want), json.Compact(&data, want["data"])); err != nil {
		t.Fatal(err)
	}
	received, err := delivery.Body(e.eventType, e.timestamp, e.data)
	if err != nil || !json.Valid(received) || !bytes.HasSuffix(received, append([]byte(`Z","data":`+data.String()), '}')) {
		t.Errorf("got the body %s, %v, want the data %s", received, err, &data)
	}
	if e.eventType != text("type") || e.key != cmp.Or(text("key"), key) || e.company != "acme" {
		t.Errorf("got %+v of %s", e, sent)
	}
	if e.timestamp.IsZero() != (text("timestamp") == "") || e.sent != hashOf(text("type"), text("timestamp"), want["data"]) {
		t.Errorf("got the time %v and the hash %x of %s", e.timestamp, e.sent, sent)
	}
}

// FuzzFind checks that any path has either no route, or one with the same segments.
func FuzzFind(f *testing.F) {
	for _, seed := range []string{
		"/webhooks", "/webhooks/", "//webhooks", "/webhooks/types", "/webhooks/x", "/webhook", "/webhooks/%2F", "/webhooks/%2e%2e", "/%77ebhooks",
		"*", "", "/", "/webhooks/%", "/webhooks/%00/", "/webhooks/{webhookId}", "/events", "/events/x", "/webhooks/types/status",
		"/webhooks/x/deliveries", "/webhooks/%2F/deliveries/y/", "/webhooks/x/deliveries/y%2Fretry/retry", "/webhooks/x//y",
	} {
		f.Add("GET", seed)
		f.Add("DELETE", seed)
	}
	routes := mount([]Endpoint{
		ListWebhooks(nil), CreateWebhook(Creator{Random: rand.Reader}), ListWebhookTypes(nil), GetWebhook(nil), DeleteWebhook(nil),
		PublishEvent(Publisher{Random: rand.Reader}), GetEvent(nil, nil), ListDeliveries(nil, nil), GetDelivery(nil, nil),
		RetryDelivery(nil, nil), GetWebhookStatus(nil, nil),
	})
	f.Fuzz(func(t *testing.T, method, path string) {
		route, values, allowed := find(routes, method, path)
		switch {
		case route == nil && values != nil, route != nil && len(allowed) > 0:
			t.Errorf("got %v, %v, %v", route, values, allowed)
			return
		case route == nil:
			return
		}
		if route.Method != method && (method != http.MethodHead || route.Method != http.MethodGet) {
			t.Errorf("%s %q has the route %s", method, path, route.Method)
		}
		segments, pattern := strings.Split(strings.TrimSuffix(path, "/"), "/"), strings.Split(route.Path, "/")
		if len(segments) != len(pattern) || route.Path == "/webhooks/{webhookId}" && values[webhookIDName] == "types" {
			t.Fatalf("%q has the route %s", path, route.Path)
		}
		for i, want := range pattern {
			if name, ok := variable(want); ok {
				want = values[name]
			}
			if plain, err := url.PathUnescape(segments[i]); err != nil || plain != want || i > 0 && want == "" {
				t.Errorf("%q has the route %s with the values %q", path, route.Path, values)
			}
		}
	})
}
