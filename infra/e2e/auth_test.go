package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// A call is a route. Those that take an ID end in it.
type call struct {
	name, method, path string
	permission         string
}

func calls() []call {
	return append([]call{
		{"list", "GET", "/webhooks", "webhooks:read"},
		{"create", "POST", "/webhooks", "webhooks:write"},
		{"types", "GET", "/webhooks/types", "webhooks:read"},
	}, callsWithID()...)
}

func callsWithID() []call {
	return []call{
		{"get by path", "GET", "/webhooks/", "webhooks:read"},
		{"get by query", "GET", "/webhook?webhookId=", "webhooks:read"},
		{"delete by path", "DELETE", "/webhooks/", "webhooks:write"},
		{"delete by query", "DELETE", "/webhook?webhookId=", "webhooks:write"},
		{"delete by query of the list", "DELETE", "/webhooks?webhookId=", "webhooks:write"},
	}
}

func (c call) takesID() bool { return strings.HasSuffix(c.path, "=") || strings.HasSuffix(c.path, "/") }

// request returns a request with an escaped ID that is valid except for what the test changes.
func (c call) request(s *suite, id string) request {
	r := request{method: c.method, path: c.path, key: s.keys.both}
	if c.takesID() {
		r.path += id
	}
	if c.method == http.MethodPost {
		r.body = s.valid().body()
	}
	return r
}

// unknown is the message for an ID that does not exist.
func (c call) unknown() string {
	if c.method == http.MethodDelete {
		return notFoundDelete
	}
	return notFound
}

const unknownID = "wh_01ARZ3NDEKTSV4RRFFQ69G5FAV"

func testAuthentication(t *testing.T, s *suite) {
	existing := s.create(t, s.valid())
	key := s.keys.both
	for name, authorization := range map[string]string{
		"empty": "", "scheme only": "Bearer", "no scheme": key, "another scheme": "Basic " + key, "no space after the scheme": "Bearer" + key,
		"a character less": "Bearer " + key[:len(key)-1], "upper case": "Bearer " + strings.ToUpper(key), "key twice": "Bearer " + key + " " + key,
		"quoted": `Bearer "` + key + `"`, "very long": "Bearer " + strings.Repeat("a", 4000),
	} {
		s.rejects(t, row{name, s.get("/webhooks").as("").with("Authorization", authorization), 401, invalidToken})
	}
	for name, key := range map[string]string{"no": "", "NEVER_ISSUED": s.keys.neverIssued, "EXPIRED": s.keys.expired, "REVOKED": s.keys.revoked} {
		t.Run(name+" key", func(t *testing.T) {
			if name != "no" {
				need(t, key, "WEBHOOKS_E2E_"+name+"_KEY")
			}
			for _, c := range calls() {
				s.do(t, c.request(s, existing.ID).as(key)).wantError(t, 401, invalidToken)
			}
		})
	}
	t.Run("scheme in another case, more spaces", func(t *testing.T) {
		r := s.do(t, s.get("/webhooks/types").as("").with("Authorization", "bEARER   "+key))
		r.wantSame(t, s.do(t, s.get("/webhooks/types")))
	})
	s.rejects(t,
		row{"key in the query", s.get("/webhooks?access_token=" + key).as(""), 401, invalidToken},
		row{"X-Api-Key", s.get("/webhooks").as("").with("X-Api-Key", key), 401, invalidToken},
		row{"Proxy-Authorization", s.get("/webhooks").as("").with("Proxy-Authorization", "Bearer "+key).on(serve), 401, invalidToken},
		row{"header twice", s.get("/webhooks").as("").with("Authorization", "Bearer "+key, "Bearer "+key).on(serve, gateway), 401, invalidToken},
		row{"non-ASCII", s.get("/webhooks").as("").with("Authorization", "Bearer \xff").on(serve), 401, invalidToken},
		row{"after an empty header", s.get("/webhooks").as("").with("Authorization", "", "Bearer "+key).on(serve), 401, invalidToken},
	)
	s.wantStored(t, existing)
}

func testPermission(t *testing.T, s *suite) {
	existing := s.create(t, s.valid())
	for _, key := range []struct{ key, permission, variable string }{
		{s.keys.read, "webhooks:read", "WEBHOOKS_E2E_READ_KEY"}, {s.keys.write, "webhooks:write", "WEBHOOKS_E2E_WRITE_KEY"},
	} {
		for _, c := range calls() {
			t.Run(c.name+" with "+key.permission, func(t *testing.T) {
				secret := need(t, key.key, key.variable)
				if key.permission != c.permission {
					s.do(t, c.request(s, existing.ID).as(secret)).wantError(t, 403, lacks(c.permission))
					return
				}
				own := s.create(t, s.valid())
				if r := s.do(t, c.request(s, own.ID).as(secret)); r.status >= 400 {
					t.Errorf("%s\nwant success", r)
				}
			})
		}
	}
	s.wantStored(t, existing)
}

// Another company's webhook is the same as one that does not exist.
func testOtherCompany(t *testing.T, s *suite) {
	other := need(t, s.keys.other, "WEBHOOKS_E2E_OTHER_KEY")
	existing := s.create(t, s.valid())
	for _, c := range callsWithID() {
		t.Run(c.name, func(t *testing.T) {
			r := s.do(t, c.request(s, existing.ID).as(other))
			r.wantError(t, 404, c.unknown())
			r.wantSame(t, s.do(t, c.request(s, unknownID).as(other)))
		})
	}
	t.Run("list", func(t *testing.T) {
		s.do(t, s.get("/webhooks").as(other)).
			want(t, 200, `{"entities":"Webhook","count":0,"per_page":100,"pages":{"current":1,"max":1},"elements":[]}`)
	})
	t.Run("create", func(t *testing.T) {
		s.grows(t, 0, func() {
			theirs := s.created(t, s.do(t, s.post(s.valid().body()).as(other)))
			s.do(t, s.get("/webhooks/"+theirs.ID)).wantError(t, 404, notFound)
		})
	})
	s.wantStored(t, existing)
}
