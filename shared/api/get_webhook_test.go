package api_test

import (
	"net/http"
	"strings"
	"testing"
)

// oddIDs are ids in every odd form: unknown, not an error. They are escaped for a URL.
func oddIDs() map[string]string {
	return map[string]string{
		"well-formed, but unknown": wellFormedID,
		"in lower case":            strings.ToLower(wellFormedID),
		"without prefix":           wellFormedID[3:],
		"with a space":             "wh_%20",
		"a space":                  "%20",
		"with a slash":             "wh_1%2F2",
		"an escaped slash":         "%2F",
		"dots":                     "%2e%2e",
		"a dot":                    ".",
		"unescaped dots":           "..",
		"with NUL":                 "wh_%00",
		"invalid UTF-8":            "%ff%fe",
		"escaped twice":            "%252F",
		"emoji":                    "%F0%9F%98%80",
		"SQL":                      "'%20OR%201=1--",
		"a key's prefix":           "C%23acme",
		"very long":                strings.Repeat("x", 8000),
		"webhooks":                 "webhooks",
	}
}

func TestGetWebhook(t *testing.T) {
	const (
		notFound = `{"error":"Webhook not found."}`
		noID     = `{"error":"A valid \"webhookId\" must be specified."}`
	)
	rows := []row{
		{name: "exactly the six fields, in the reference's order, the token redacted", given: created("a"),
			call: call{target: "/webhooks/{a}"}, status: 200, body: element("a")},
		{name: "the id as a query parameter", given: created("a"),
			call: call{target: "/webhook?webhookId={a}"}, status: 200, body: element("a")},
		{name: "the id escaped", given: created("a"),
			call: call{target: "/webhook?webhookId=%77%68_{a}"}, status: 404, body: notFound},
		{name: "the path's id wins over a parameter", given: created("a", "b"),
			call: call{target: "/webhooks/{a}?webhookId={b}"}, status: 200, body: element("a")},
		{name: "a key that may only read may get", given: created("a"),
			call: call{target: "/webhooks/{a}", key: "reader"}, status: 200, body: element("a")},
		{name: "a key that may only write may not", given: created("a"),
			call: call{target: "/webhooks/{a}", key: "writer"}, status: 403,
			body: refused(`The API key lacks the permission "webhooks:read".`)},
		{name: "another company's id is unknown", given: created("a"),
			call: call{target: "/webhooks/{a}", key: "rival"}, status: 404, body: notFound,
			check: sameWorkAs("/webhooks/" + wellFormedID)},
		{name: "another company's id is unknown, as a query parameter", given: created("a"),
			call: call{target: "/webhook?webhookId={a}", key: "rival"}, status: 404, body: notFound},
		{name: "a deleted webhook is unknown", given: func(w *world) {
			w.create("a", call{})
			w.do(call{method: "DELETE", target: "/webhooks/{a}"})
		}, call: call{target: "/webhooks/{a}"}, status: 404, body: notFound},
		{name: "HEAD works as GET does", given: created("a"),
			call: call{method: "HEAD", target: "/webhooks/{a}"}, status: 200, check: sameHeadersAs("/webhooks/{a}")},
		{name: "HEAD of an unknown one", call: call{method: "HEAD", target: "/webhooks/x"}, status: 404,
			check: sameHeadersAs("/webhooks/x")},
		{name: "webhookId missing", call: call{target: "/webhook"}, status: 400, body: noID},
		{name: "webhookId empty", call: call{target: "/webhook?webhookId="}, status: 400, body: noID},
		{name: "webhookId without value", call: call{target: "/webhook?webhookId"}, status: 400, body: noID},
		{name: "webhookId in another case", call: call{target: "/webhook?webhookid=" + wellFormedID}, status: 400, body: noID},
		{name: "webhookId given twice", given: created("a"),
			call: call{target: "/webhook?webhookId={a}&webhookId={a}"}, status: 400, body: noID},
		{name: "a malformed query", call: call{target: "/webhook?webhookId=%zz"}, status: 400,
			body: refused("The query string is malformed.")},
	}
	for name, id := range oddIDs() {
		rows = append(rows,
			row{name: "odd id: " + name, call: call{target: "/webhooks/" + id}, status: 404, body: notFound},
			row{name: "odd id as a parameter: " + name, call: call{target: "/webhook?webhookId=" + id}, status: 404, body: notFound})
	}
	run(t, rows)
}

// sameWorkAs checks that the store was asked the same for this request as for another one.
func sameWorkAs(target string) func(*testing.T, *world, reply) {
	return func(t *testing.T, w *world, r reply) {
		before := len(w.store.calls)
		other := w.do(call{target: target, key: "rival"})
		other.want(t, r.status, r.body)
		if got, want := w.store.calls[before:], w.store.calls[before-1:before]; len(got) != 1 || got[0] != want[0] {
			t.Errorf("the store was asked %v, want %v", got, want)
		}
	}
}

// A webhook is shown exactly as it was sent, in whatever script.
func TestTextComesBackAsSent(t *testing.T) {
	tests := []struct{ name, sent, want string }{
		{"markup is not escaped", `<b> & </b>`, `<b> & </b>`},
		{"white space around stays", ` a `, ` a `},
		{"decomposed characters are not composed", "e\u0301", "e\u0301"},
		{"composed characters are not decomposed", "\u00e9", "\u00e9"},
		{"a surrogate pair's escape is its character", `\ud83d\ude00`, "\U0001F600"},
		{"a replacement character is one", "\ufffd", "\ufffd"},
		{"noncharacters", "\uffff", "\uffff"},
		{"NUL", `a\u0000b`, `a\u0000b`},
		{"right-to-left", "\u202eabc", "\u202eabc"},
		{"quotes and backslashes", `\"\\`, `\"\\`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			body := `{"webhook":{"name":"` + test.sent + `","description":"` + test.sent +
				`","url":"https://hooks.example/?q=` + strings.ReplaceAll(test.name, " ", "+") + `","events":"` + paid + `"}}`
			w.create("a", call{body: body})
			want := `"name":"` + test.want + `","description":"` + test.want + `"`
			for _, target := range []string{"/webhooks/{a}", "/webhooks"} {
				if r := w.do(call{target: target}); r.status != http.StatusOK || !strings.Contains(r.body, want) {
					t.Errorf("%s: got %d %s, want it to have %s", target, r.status, r.body, want)
				}
			}
		})
	}
}
