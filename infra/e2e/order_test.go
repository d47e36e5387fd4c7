package e2e

import (
	"net/http"
	"strings"
	"testing"
)

const maxBody = 64 << 10

// testOrder checks, with requests that are wrong in several ways, which wrong answers first.
func testOrder(t *testing.T, s *suite) {
	tooLarge := strings.Repeat("x", maxBody+1)
	garbage := request{method: http.MethodPost, path: "/webhooks", body: "{", wrong: true}.withHeader("Idempotency-Key", "not visible")
	oversize := garbage
	oversize.body = tooLarge
	t.Run("401 before 413", func(t *testing.T) {
		s.do(t, oversize).wantError(t, http.StatusUnauthorized, invalidToken)
	})
	t.Run("401 before 400", func(t *testing.T) {
		s.do(t, garbage).wantError(t, http.StatusUnauthorized, invalidToken)
	})
	t.Run("403 before 413", func(t *testing.T) {
		r := s.do(t, oversize.withKey(need(t, s.keys.read, "WEBHOOKS_E2E_READ_KEY")))
		r.wantErrorNaming(t, http.StatusForbidden, "webhooks:write")
	})
	t.Run("403 before 400", func(t *testing.T) {
		r := s.do(t, garbage.withKey(need(t, s.keys.read, "WEBHOOKS_E2E_READ_KEY")))
		r.wantErrorNaming(t, http.StatusForbidden, "webhooks:write")
	})
	t.Run("413 before 400", func(t *testing.T) {
		s.do(t, oversize.withKey(s.keys.both)).wantErrorNaming(t, http.StatusRequestEntityTooLarge)
	})
	for _, row := range parameterMistakes() {
		t.Run("401 before 400 of "+row.name, func(t *testing.T) {
			s.do(t, row.request).wantError(t, http.StatusUnauthorized, invalidToken)
		})
		t.Run("403 before 400 of "+row.name, func(t *testing.T) {
			key, permission := need(t, s.keys.write, "WEBHOOKS_E2E_WRITE_KEY"), "webhooks:read"
			if row.request.method == http.MethodDelete {
				key, permission = need(t, s.keys.read, "WEBHOOKS_E2E_READ_KEY"), "webhooks:write"
			}
			s.do(t, row.request.withKey(key)).wantErrorNaming(t, http.StatusForbidden, permission)
		})
		t.Run("400 of "+row.name, func(t *testing.T) {
			s.do(t, row.request.withKey(s.keys.both)).wantErrorNaming(t, http.StatusBadRequest)
		})
	}
}

type mistake struct {
	name    string
	request request
}

// parameterMistakes are requests without a key and with a parameter that is wrong.
func parameterMistakes() []mistake {
	return []mistake{
		{"a size", request{method: http.MethodGet, path: "/webhooks?size=0", wrong: true}},
		{"a page", request{method: http.MethodGet, path: "/webhooks?page=0", wrong: true}},
		{"a list with an id", request{method: http.MethodGet, path: "/webhooks?webhookId=" + unknownID, wrong: true}},
		{"a get without an id", request{method: http.MethodGet, path: "/webhook", wrong: true}},
		{"a deletion without an id", request{method: http.MethodDelete, path: "/webhook", wrong: true}},
		{"a deletion of the list", request{method: http.MethodDelete, path: "/webhooks", wrong: true}},
	}
}
