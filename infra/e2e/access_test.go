package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// call is one way to reach an endpoint, with an id where the endpoint takes one.
type call struct {
	name       string
	method     string
	path       func(id string) string
	permission string
	takesID    bool
}

// calls are all ways of the contract's table. Each is right but for what a test changes.
func calls() []call {
	fixed := func(path string) func(string) string { return func(string) string { return path } }
	after := func(prefix string) func(string) string { return func(id string) string { return prefix + id } }
	return []call{
		{"list", http.MethodGet, fixed("/webhooks"), "webhooks:read", false},
		{"create", http.MethodPost, fixed("/webhooks"), "webhooks:write", false},
		{"types", http.MethodGet, fixed("/webhooks/types"), "webhooks:read", false},
		{"get by path", http.MethodGet, after("/webhooks/"), "webhooks:read", true},
		{"get by query", http.MethodGet, after("/webhook?webhookId="), "webhooks:read", true},
		{"delete by path", http.MethodDelete, after("/webhooks/"), "webhooks:write", true},
		{"delete by query", http.MethodDelete, after("/webhook?webhookId="), "webhooks:write", true},
		{"delete by query of the list", http.MethodDelete, after("/webhooks?webhookId="), "webhooks:write", true},
	}
}

// request makes the call's request for an id, with a key.
func (c call) request(s *suite, id, key string) request {
	r := request{method: c.method, path: c.path(id), key: key}
	if c.method == http.MethodPost {
		r.body = s.valid().body()
	}
	return r
}

const (
	invalidToken   = "Invalid token"
	notFound       = "Webhook not found."
	notFoundDelete = "Webhook not found. Unable to delete unknown resource"
	missingID      = `A valid "webhookId" must be specified.`
	notAvailable   = "Some events are not available"
	unknownID      = "wh_01ARZ3NDEKTSV4RRFFQ69G5FAV"
)

// notFoundFor is the reference's message of an endpoint for an id that does not exist.
func (c call) notFoundFor() string {
	if c.method == http.MethodDelete {
		return notFoundDelete
	}
	return notFound
}

func testAuthentication(t *testing.T, s *suite) {
	key := s.keys.both
	existing := s.create(t, s.valid())
	rows := []struct {
		name          string
		authorization []string
	}{
		{"no header", nil},
		{"empty", []string{""}},
		{"scheme alone", []string{"Bearer"}},
		{"no scheme", []string{key}},
		{"other scheme", []string{"Basic " + key}},
		{"scheme joined to the key", []string{"Bearer" + key}},
		{"one character less", []string{"Bearer " + key[:len(key)-1]}},
		{"one character more", []string{"Bearer " + key + "a"}},
		{"a character changed", []string{"Bearer " + changeLast(key)}},
		{"upper case", []string{"Bearer " + strings.ToUpper(key)}},
		{"twice", []string{"Bearer " + key + " " + key}},
		{"in quotes", []string{`Bearer "` + key + `"`}},
		{"well formed, never issued", []string{"Bearer " + s.keys.neverIssued}},
		{"no key at all", []string{"Bearer x"}},
		{"very long", []string{"Bearer " + strings.Repeat("a", 4000)}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			for _, c := range calls() {
				r := c.request(s, existing.ID, "").withHeader("Authorization", row.authorization...)
				s.do(t, r).wantError(t, http.StatusUnauthorized, invalidToken)
			}
		})
	}
	t.Run("key in other places", func(t *testing.T) {
		s.do(t, request{path: "/webhooks?access_token=" + key}).wantError(t, http.StatusUnauthorized, invalidToken)
		s.do(t, request{path: "/webhooks"}.withHeader("X-Api-Key", key)).wantError(t, http.StatusUnauthorized, invalidToken)
	})
	t.Run("expired", func(t *testing.T) {
		s.refuseEverywhere(t, existing.ID, need(t, s.keys.expired, "WEBHOOKS_E2E_EXPIRED_KEY"))
	})
	t.Run("revoked", func(t *testing.T) {
		s.refuseEverywhere(t, existing.ID, need(t, s.keys.revoked, "WEBHOOKS_E2E_REVOKED_KEY"))
	})
	t.Run("nothing was done", func(t *testing.T) {
		s.get(t, existing.ID).wantBody(t, http.StatusOK, existing.redacted().json())
	})
}

// refuseEverywhere checks that a key opens nothing.
func (s *suite) refuseEverywhere(t *testing.T, id, key string) {
	t.Helper()
	for _, c := range calls() {
		s.do(t, c.request(s, id, key)).wantError(t, http.StatusUnauthorized, invalidToken)
	}
}

func changeLast(key string) string {
	last := "a"
	if strings.HasSuffix(key, last) {
		last = "b"
	}
	return key[:len(key)-1] + last
}

func testPermission(t *testing.T, s *suite) {
	existing := s.create(t, s.valid())
	single := map[string]struct{ key, variable string }{
		"webhooks:read":  {s.keys.read, "WEBHOOKS_E2E_READ_KEY"},
		"webhooks:write": {s.keys.write, "WEBHOOKS_E2E_WRITE_KEY"},
	}
	for _, c := range calls() {
		for permission, holder := range single {
			t.Run(c.name+" with "+permission, func(t *testing.T) {
				key := need(t, holder.key, holder.variable)
				if permission == c.permission {
					s.allowed(t, c, key)
					return
				}
				s.do(t, c.request(s, existing.ID, key)).wantErrorNaming(t, http.StatusForbidden, c.permission)
			})
		}
	}
	t.Run("nothing was done", func(t *testing.T) {
		s.get(t, existing.ID).wantBody(t, http.StatusOK, existing.redacted().json())
	})
}

// allowed checks that one permission is enough for a call.
func (s *suite) allowed(t *testing.T, c call, key string) {
	t.Helper()
	id := ""
	if c.takesID {
		id = s.create(t, s.valid()).ID
	}
	if r := s.do(t, c.request(s, id, key)); r.status != http.StatusOK && r.status != http.StatusCreated {
		t.Errorf("%s\nwant 200 or 201", r)
	}
}

// testExpiry checks that a key works until it expires and not after, although it was in use.
func testExpiry(t *testing.T, s *suite) {
	s.onlyOwn(t)
	key, end := s.usedKey(t, 2*time.Second)
	time.Sleep(time.Until(end))
	s.refuseEverywhere(t, unknownID, key)
}

// usedKey makes a key that has been in use, and gives the time by which it has expired. Its lifetime
// is longer than what is given where that is over before the key is used.
func (s *suite) usedKey(t *testing.T, lifetime time.Duration) (key string, end time.Time) {
	t.Helper()
	begin := time.Now()
	key = s.own.createKey(t, mainCompany, allPermissions, "--expires", lifetime.String())
	end = time.Now().Add(lifetime)
	r := s.do(t, request{path: "/webhooks", key: key})
	switch {
	case r.status == http.StatusOK:
		return key, end
	case time.Now().Before(begin.Add(lifetime)) || lifetime > time.Minute:
		t.Fatalf("%s\nwant 200 until the key expires", r)
	}
	return s.usedKey(t, 2*lifetime)
}

// testRevocation checks that a key that was in use when it was revoked stops within a minute.
func testRevocation(t *testing.T, s *suite) {
	s.onlyOwn(t)
	const promised = 60 * time.Second
	if testing.Short() {
		t.Skip("this case takes a minute: run it without -short")
	}
	key := s.own.createKey(t, revokedCompany, "webhooks:read,webhooks:write")
	use := request{path: "/webhooks", key: key}
	if r := s.do(t, use); r.status != http.StatusOK {
		t.Fatalf("%s\nwant 200 before the revocation", r)
	}
	s.own.revokeKeys(t, revokedCompany)
	for revoked := time.Now(); ; time.Sleep(time.Second) {
		asked := time.Now()
		r := s.do(t, use)
		if r.status == http.StatusUnauthorized {
			r.wantError(t, http.StatusUnauthorized, invalidToken)
			return
		}
		if asked.Sub(revoked) > promised {
			t.Fatalf("the revoked key still works after %v", asked.Sub(revoked))
		}
	}
}

// testOtherCompany checks that what another company has cannot be told from what does not exist.
func testOtherCompany(t *testing.T, s *suite) {
	other := need(t, s.keys.other, "WEBHOOKS_E2E_OTHER_KEY")
	existing := s.create(t, s.valid())
	for _, c := range calls() {
		if !c.takesID {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			foreign := s.do(t, c.request(s, existing.ID, other))
			foreign.wantError(t, http.StatusNotFound, c.notFoundFor())
			foreign.wantSame(t, s.do(t, c.request(s, unknownID, other)))
		})
	}
	t.Run("list", func(t *testing.T) {
		for _, w := range s.all(t, other, 100) {
			if w.ID == existing.ID {
				t.Errorf("another company's list has %s", w.ID)
			}
		}
	})
	t.Run("empty list", func(t *testing.T) {
		r := s.do(t, request{path: "/webhooks", key: other})
		r.wantBody(t, http.StatusOK, `{"entities":"Webhook","count":0,"per_page":100,"pages":{"current":1,"max":1},"elements":[]}`)
	})
	t.Run("each has its own", func(t *testing.T) {
		before := s.count(t)
		theirs := s.created(t, s.do(t, s.creation(s.valid().body()).withKey(other)))
		if after := s.count(t); after != before {
			t.Errorf("the count is %d and was %d before another company's creation", after, before)
		}
		s.get(t, theirs.ID).wantError(t, http.StatusNotFound, notFound)
	})
	t.Run("nothing was done", func(t *testing.T) {
		s.get(t, existing.ID).wantBody(t, http.StatusOK, existing.redacted().json())
	})
}
