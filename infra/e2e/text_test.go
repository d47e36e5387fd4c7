package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// testText checks that text comes back exactly as it was sent, in every answer.
func testText(t *testing.T, s *suite) {
	rows := []struct{ name, text string }{
		{"emoji", "😀 👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿"},
		{"NUL", "a\x00b"},
		{"controls", "\x01\x08\t\n\f\r\x1b\x1f\x7f"},
		{"C1 controls", "\u0080\u0085\u009f"},
		{"line separators", "a\u2028b\u2029c"},
		{"HTML", `<script>&amp;'"</script>`},
		{"backslashes", `\ \\ \n \u0041 C:\new`},
		{"spaces around", "  a  "},
		{"exotic spaces around", "\u00a0a\u3000"},
		{"composed and decomposed", "\u00e9 e\u0301"},
		{"right to left", "\u202eabc\u202c שלום"},
		{"byte order mark", "\ufeffa\ufeff"},
		{"replacement character", "\ufffd"},
		{"noncharacters", "\uffff\U0010ffff"},
		{"private use", "\ue000\U000f0000"},
		{"template", "{{.}} %s ${x} #{x}"},
		{"SQL", `'; DROP TABLE webhooks; --`},
		{"word of the reference", "redacted"},
		{"number", "1e400"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			made := s.create(t, s.valid().with("name", row.text).with("description", row.text))
			s.wantText(t, made, row.text, s.receiver)
		})
	}
	t.Run("sent as escapes", func(t *testing.T) {
		body := strings.NewReplacer(
			"Billing Events", `\ud83d\ude00\u00e9\u003c\/\u0000`,
			"Receive invoice and payment updates", `\u2028\"\t`,
		).Replace(s.valid().body())
		made := s.created(t, s.do(t, s.creation(body)))
		if made.Name != "😀é</\x00" || made.Description != "\u2028\"\t" {
			t.Errorf("it made %q and %q", made.Name, made.Description)
		}
	})
	t.Run("url", func(t *testing.T) {
		for _, sent := range s.receiverSpellings() {
			made := s.create(t, s.valid().with("url", sent))
			s.wantText(t, made, "Billing Events", sent)
		}
	})
}

// wantText checks a webhook's text in its creation's answer, alone and in the list.
func (s *suite) wantText(t *testing.T, made webhook, text, url string) {
	t.Helper()
	if made.Name != text || made.URL != url || made.Description != text && text != "Billing Events" {
		t.Errorf("it made %q, %q for %q, want the text as sent", made.Name, made.Description, made.URL)
	}
	if got := decodeWebhook(t, s.get(t, made.ID)); !got.equal(made.redacted()) {
		t.Errorf("it reads %s\nwant %s", got.json(), made.redacted().json())
	}
	if got := s.newest(t); !got.equal(made.redacted()) {
		t.Errorf("the list ends with %s\nwant %s", got.json(), made.redacted().json())
	}
}

// newest is the last webhook of the company's list.
func (s *suite) newest(t *testing.T) webhook {
	t.Helper()
	p := s.list(t, s.keys.both, 1, max(1, s.count(t)))
	if len(p.Elements) != 1 {
		t.Fatal("the list has no last element")
	}
	return p.Elements[0]
}

// receiverSpellings are other spellings of the receiver's URL, which reach the same host.
func (s *suite) receiverSpellings() []string {
	authority, path, _ := strings.Cut(strings.TrimPrefix(s.receiver, "https://"), "/")
	return []string{
		"https://" + authority,
		"https://" + authority + "/",
		"HTTPS://" + strings.ToUpper(authority) + "/" + path,
		"https://" + authority + "/a/../b/./c//" + path,
		"https://" + authority + "/%7Euser/%2f%2F/" + path,
		"https://" + authority + "/" + path + "?",
		"https://" + authority + "/" + path + "?b=2&a=1&a=%20+'&empty",
	}
}

// testRequestID checks that the id of a request is made by the service; that each is new is
// checked on all answers.
func testRequestID(t *testing.T, s *suite) {
	const mine = "made-by-the-client-0001"
	for _, c := range calls() {
		t.Run(c.name, func(t *testing.T) {
			r := s.do(t, c.request(s, unknownID, s.keys.both).withHeader("X-Request-Id", mine))
			if r.header.Get("X-Request-Id") == mine {
				t.Errorf("%s with the client's X-Request-Id", r)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		r := s.do(t, request{path: "/webhooks"}.withHeader("X-Request-Id", mine))
		r.wantError(t, http.StatusUnauthorized, invalidToken)
		if r.header.Get("X-Request-Id") == mine {
			t.Errorf("%s with the client's X-Request-Id", r)
		}
	})
}
