package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

// testGet checks both routes to one webhook.
func testGet(t *testing.T, s *suite) {
	w := s.create(t, s.valid())
	byPath := s.get(t, w.ID)
	byPath.wantBody(t, http.StatusOK, `{"id":"`+w.ID+`","name":"Billing Events","description":"Receive invoice and payment updates","url":"`+
		s.receiver+`","events":["`+s.event+`"],"token":"redacted"}`)
	s.do(t, request{path: "/webhook?webhookId=" + w.ID, key: s.keys.both}).wantSame(t, byPath)
	t.Run("unknown", func(t *testing.T) {
		s.get(t, unknownID).wantError(t, http.StatusNotFound, notFound)
		s.do(t, request{path: "/webhook?webhookId=" + unknownID, key: s.keys.both}).wantError(t, http.StatusNotFound, notFound)
	})
	s.refuseMissingID(t, http.MethodGet, "/webhook")
}

// refuseMissingID checks a route that takes the id as a query parameter, without it.
func (s *suite) refuseMissingID(t *testing.T, method, path string) {
	t.Helper()
	for name, query := range map[string]string{
		"absent": "", "empty": "?webhookId=", "without a value": "?webhookId",
		"another name": "?id=" + unknownID, "another case": "?webhookid=" + unknownID,
	} {
		t.Run(method+" "+path+" with the id "+name, func(t *testing.T) {
			s.do(t, request{method: method, path: path + query, key: s.keys.both, wrong: true}).wantError(t, http.StatusBadRequest, missingID)
		})
	}
}

// testDelete checks the three routes of a deletion and what is left after one.
func testDelete(t *testing.T, s *suite) {
	for _, c := range calls() {
		if !c.takesID || c.method != http.MethodDelete {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			before := s.count(t)
			w := s.create(t, s.valid())
			r := c.request(s, w.ID, s.keys.both)
			s.do(t, r).wantBody(t, http.StatusOK, `{"id":"`+w.ID+`","deleted":true}`)
			second := s.do(t, r)
			second.wantError(t, http.StatusNotFound, notFoundDelete)
			second.wantSame(t, s.do(t, c.request(s, unknownID, s.keys.both)))
			s.get(t, w.ID).wantError(t, http.StatusNotFound, notFound)
			if after := s.count(t); after != before {
				t.Errorf("the count is %d and was %d before a creation and its deletion", after, before)
			}
		})
	}
	t.Run("without an id", func(t *testing.T) {
		before := s.all(t, s.keys.both, 100)
		s.refuseMissingID(t, http.MethodDelete, "/webhook")
		s.refuseMissingID(t, http.MethodDelete, "/webhooks")
		wantList(t, s.all(t, s.keys.both, 100), before)
	})
}

// testDeleteRace checks that of racing deletions one succeeds.
func testDeleteRace(t *testing.T, s *suite) {
	before := s.count(t)
	w := s.create(t, s.valid())
	deleted := 0
	answers := s.race(t, 8, func(int) request {
		return request{method: http.MethodDelete, path: "/webhooks/" + w.ID, key: s.keys.both}
	})
	for _, r := range answers {
		if r.status == http.StatusOK {
			r.wantBody(t, http.StatusOK, `{"id":"`+w.ID+`","deleted":true}`)
			deleted++
			continue
		}
		r.wantError(t, http.StatusNotFound, notFoundDelete)
	}
	if after := s.count(t); deleted != 1 || after != before {
		t.Errorf("%d of the racing deletions succeeded, and the count is %d and was %d before", deleted, after, before)
	}
}

// testOddIDs checks that an id of any form is unknown and nothing worse.
func testOddIDs(t *testing.T, s *suite) {
	existing := s.create(t, s.valid())
	odd := map[string]string{
		"of the reference": "wh_001", "prefix alone": "wh_", "no prefix": strings.TrimPrefix(existing.ID, "wh_"),
		"lower case": strings.ToLower(existing.ID), "overlong ULID": "wh_8ZZZZZZZZZZZZZZZZZZZZZZZZZ",
		"a character more": existing.ID + "0", "a character less": existing.ID[:len(existing.ID)-1],
		"twice": existing.ID + existing.ID, "list": existing.ID + "," + existing.ID, "quotes": `"` + existing.ID + `"`,
		"blank": " ", "blank before": " " + existing.ID, "blank after": existing.ID + " ",
		"line end after": existing.ID + "\n", "NUL after": existing.ID + "\x00", "not UTF-8": "\xff\xfe", "emoji": "😀",
		"percent": "%", "escape": "%41", "plus": "+", "ampersand": "a&b=c", "semicolon": "a;b", "hash": "#",
		"question mark": "?", "dots": "...", "wildcard": "*", "template": "{webhookId}", "SQL": "' OR '1'='1",
		"key of a store": "W#" + existing.ID, "number": "0", "word of a language": "null", "long": strings.Repeat("w", 2000),
		"slash": "a/b", "slash before": "/" + existing.ID, "slash after": existing.ID + "/",
		"way up": "../webhooks", "dots and a slash": "./" + existing.ID,
	}
	for name, id := range odd {
		for _, c := range calls() {
			if !c.takesID {
				continue
			}
			t.Run(c.name+": "+name, func(t *testing.T) {
				s.unknownIn(t, c, id)
			})
		}
	}
	t.Run("delete by path: types", func(t *testing.T) {
		s.onlyOn(t, gatewaysOwn, hostServe)
		s.delete(t, "types").wantError(t, http.StatusNotFound, notFoundDelete)
	})
	t.Run("get by query: types", func(t *testing.T) {
		s.do(t, request{path: "/webhook?webhookId=types", key: s.keys.both}).wantError(t, http.StatusNotFound, notFound)
	})
	s.get(t, existing.ID).wantBody(t, http.StatusOK, existing.redacted().json())
}

// unknownIn checks that a call does not know an id.
func (s *suite) unknownIn(t *testing.T, c call, id string) {
	t.Helper()
	escaped := url.QueryEscape(id)
	if strings.Contains(c.name, "path") {
		escaped = url.PathEscape(id)
		if !utf8.ValidString(id) || strings.ContainsAny(id, "/%?#\x00\n") {
			s.onlyOn(t, "gateways refuse such ids in the path, cut them or decode them twice", hostServe)
		}
	} else if !utf8.ValidString(id) || strings.ContainsAny(id, "%\x00\n") {
		s.onlyOn(t, "SAM refuses such ids or decodes them twice", hostServe, hostGateway)
	}
	r := c.request(s, escaped, s.keys.both)
	r.wrong = true
	s.do(t, r).wantError(t, http.StatusNotFound, c.notFoundFor())
}
