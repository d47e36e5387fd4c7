package api

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

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

// FuzzFind checks that any path has either no route, or one with the same segments.
func FuzzFind(f *testing.F) {
	for _, seed := range []string{
		"/webhooks", "/webhooks/", "//webhooks", "/webhooks/types", "/webhooks/x", "/webhook", "/webhooks/%2F", "/webhooks/%2e%2e", "/%77ebhooks",
		"*", "", "/", "/webhooks/%", "/webhooks/%00/", "/webhooks/{webhookId}",
	} {
		f.Add("GET", seed)
		f.Add("DELETE", seed)
	}
	routes := mount([]Endpoint{
		ListWebhooks(nil), CreateWebhook(Creator{Random: rand.Reader}), ListWebhookTypes(nil), GetWebhook(nil), DeleteWebhook(nil),
	})
	f.Fuzz(func(t *testing.T, method, path string) {
		route, values, allowed := find(routes, method, path)
		id, hasID := values[webhookIDName]
		switch {
		case route == nil && hasID, id == "types", route != nil && len(allowed) > 0, hasID && id == "":
			t.Errorf("got %v, %v, %v", route, values, allowed)
		case route == nil:
			return
		}
		if route.Method != method && (method != http.MethodHead || route.Method != http.MethodGet) {
			t.Errorf("%s %q has the route %s", method, path, route.Method)
		}
		path = strings.TrimSuffix(path, "/")
		if !hasID {
			if plain, err := url.PathUnescape(path); err != nil || plain != route.Path {
				t.Errorf("%q has the route %s", path, route.Path)
			}
			return
		}
		want := strings.TrimPrefix(path[strings.LastIndexByte(path, '/'):], "/")
		if want, err := url.PathUnescape(want); err != nil || want != id || strings.Count(path, "/") != 2 {
			t.Errorf("%q has the id %q", path, id)
		}
	})
}
