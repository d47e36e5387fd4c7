package e2e

import "testing"

// testQuota fills the company up to its quota, which also makes the list longer than the default page.
func testQuota(t *testing.T, s *suite) {
	if s.quota == 0 {
		need(t, "", "WEBHOOKS_E2E_QUOTA")
	}
	create := s.post(s.valid().body())
	repeated := create.idempotent(newKey())
	first := s.do(t, repeated)
	kept := s.created(t, first)
	s.fill(t, s.quota-1)
	t.Run("race for the last place", func(t *testing.T) {
		created := 0
		for _, r := range s.race(t, 8, func(int) request { return create }) {
			if r.status == 201 {
				created++
			} else {
				r.wantError(t, 409, full(s.quota))
			}
		}
		if count := s.count(t); created != 1 || count != s.quota {
			t.Errorf("%d requests created a webhook, and the company has %d, want 1 and %d", created, count, s.quota)
		}
	})
	s.fill(t, s.quota)
	s.rejects(t,
		row{"full", create, 409, full(s.quota)},
		row{"full, with a key", create.idempotent(newKey()), 409, full(s.quota)},
		row{"events before the quota", s.post(s.valid().with("events", "no.such.event").body()), 422, notAvailable},
	)
	t.Run("the quota before TLS", func(t *testing.T) {
		s.needOwn(t)
		s.do(t, s.post(s.valid().with("url", s.own.receivers.closed).body())).wantError(t, 409, full(s.quota))
	})
	t.Run("a repeat is not rejected", func(t *testing.T) { s.do(t, repeated).wantSame(t, first) })
	t.Run("another company has its own quota", func(t *testing.T) {
		s.created(t, s.do(t, create.as(need(t, s.keys.other, "WEBHOOKS_E2E_OTHER_KEY"))))
	})
	t.Run("two pages of the default size", func(t *testing.T) {
		for _, page := range []string{"1", "2"} {
			s.do(t, s.get("/webhooks?page="+page)).wantSame(t, s.do(t, s.get("/webhooks?size=100&page="+page)))
		}
		wantList(t, s.list(t, s.keys.both, 7), s.list(t, s.keys.both, 100))
	})
	t.Run("a deletion makes room for one", func(t *testing.T) {
		s.remove(t, kept)
		s.created(t, s.do(t, create))
		s.do(t, create).wantError(t, 409, full(s.quota))
	})
}

// fill creates webhooks until the company has n. They are deleted when the test t ends.
func (s *suite) fill(t *testing.T, n int) {
	t.Helper()
	for have := s.count(t); have < n; have = s.count(t) {
		for _, r := range s.race(t, min(8, n-have), func(int) request { return s.post(s.valid().body()) }) {
			s.created(t, r)
		}
	}
}
