package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func testGet(t *testing.T, s *suite) {
	w, other := s.create(t, s.valid()), s.create(t, s.valid())
	for _, path := range []string{"/webhooks/" + w.ID, "/webhook?webhookId=" + w.ID, "/webhooks/" + w.ID + "?webhookId=" + other.ID} {
		t.Run(path, func(t *testing.T) { s.do(t, s.get(path)).want(t, 200, w.redacted().json()) })
	}
	s.rejectsMissingID(t, http.MethodGet, "/webhook", w.ID)
}

// rejectsMissingID tests a route whose query must contain an ID.
func (s *suite) rejectsMissingID(t *testing.T, method, path, id string) {
	t.Helper()
	for _, query := range []string{"", "?webhookId=", "?webhookId", "?id=" + id, "?webhookid=" + id} {
		s.rejects(t, row{method + " " + path + query, s.request(method, path+query), 400, mustSpecify("webhookId")})
	}
	s.rejects(t,
		row{method + " " + path + " twice", s.request(method, path+"?webhookId="+id+"&webhookId="+id).on(serve), 400, mustSpecify("webhookId")},
		row{method + " " + path + " malformed", s.request(method, path+"?webhookId=%zz").on(serve), 400, badQuery})
}

func testDelete(t *testing.T, s *suite) {
	existing := s.create(t, s.valid())
	for _, c := range callsWithID() {
		if c.method != http.MethodDelete {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			s.grows(t, 0, func() {
				w := s.create(t, s.valid())
				s.do(t, c.request(s, w.ID)).want(t, 200, deleted(w.ID))
				again := s.do(t, c.request(s, w.ID))
				again.wantError(t, 404, notFoundDelete)
				again.wantSame(t, s.do(t, c.request(s, unknownID)))
				s.do(t, s.get("/webhooks/"+w.ID)).wantError(t, 404, notFound)
			})
		})
	}
	s.rejectsMissingID(t, http.MethodDelete, "/webhook", existing.ID)
	s.rejectsMissingID(t, http.MethodDelete, "/webhooks", existing.ID)
	s.wantStored(t, existing)
}

// An ID can be any text.
func testUnknownIDs(t *testing.T, s *suite) {
	existing := s.create(t, s.valid())
	id := existing.ID
	for name, id := range map[string]string{
		"well-formed": unknownID, "of the API reference": "wh_001", "prefix": "wh_", "no prefix": strings.TrimPrefix(id, "wh_"),
		"lower case": strings.ToLower(id), "too large": "wh_8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "a character more": id + "0",
		"a character less": id[:len(id)-1], "twice": id + id, "list": id + "," + id, "quoted": `"` + id + `"`, "space": " ", "space before": " " + id,
		"space after": id + " ", "line end after": id + "\n", "NUL after": id + "\x00", "not UTF-8": "\xff\xfe", "emoji": "😀", "percent": "%",
		"escape": "%41", "plus": "+", "ampersand": "a&b=c", "semicolon": "a;b", "hash": "#", "question mark": "?", "two dots": "..", "three dots": "...",
		"wildcard": "*", "template": "{webhookId}", "SQL": "' OR '1'='1", "database key": "W#" + id,
		"long": strings.Repeat("w", 2000), "slash": "a/b", "slash before": "/" + id, "slash after": id + "/", "relative path": "../webhooks",
		"relative path of the ID": "./" + id, "types in another case": "Types", "webhooks": "webhooks",
	} {
		for _, c := range callsWithID() {
			r := c.request(s, url.QueryEscape(id))
			if strings.HasSuffix(c.path, "/") {
				r = c.request(s, strings.ReplaceAll(url.PathEscape(id), "..", "%2e%2e"))
				if !utf8.ValidString(id) || strings.ContainsAny(id, "/%?#\x00\n") || id == ".." {
					r = r.on(serve) // gateways reject or cut such paths, or unescape them twice
				}
			} else if !utf8.ValidString(id) || strings.ContainsAny(id, "%\x00\n") {
				r = r.on(serve, gateway) // SAM rejects such queries or unescapes them twice
			}
			s.rejects(t, row{c.name + ": " + name, r, 404, c.unknown()})
		}
	}
	s.rejects(t,
		row{"delete types", s.delete("/webhooks/types").on(serve, gateway), 405, noMethod("GET, HEAD")},
		row{"get types by query", s.get("/webhook?webhookId=types"), 404, notFound},
	)
	s.wantStored(t, existing)
}
