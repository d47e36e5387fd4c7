package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"testing"
)

// testQuota fills the company up to its quota, which also shows a list of more than one page of
// the default size.
func testQuota(t *testing.T, s *suite) {
	if s.quota == 0 {
		missing(t, "set %s", setting("WEBHOOKS_E2E_QUOTA"))
	}
	quota := strconv.Itoa(s.quota)
	create := s.creation(s.valid().body())
	repeated := create.withHeader("Idempotency-Key", newIdempotencyKey())
	first := s.do(t, repeated)
	kept := s.created(t, first)
	s.fill(t, s.quota-1)

	made := 0
	for _, r := range s.race(t, 8, func(int) request { return create }) {
		if r.status == http.StatusCreated {
			made++
			continue
		}
		r.wantErrorNaming(t, http.StatusConflict, quota)
	}
	if count := s.count(t); made != 1 || count != s.quota {
		t.Fatalf("the race for the last place made %d webhooks and the count is %d, want 1 and %s", made, count, quota)
	}
	for round := range 4 {
		t.Run(fmt.Sprintf("racers with one key share the last place, round %d", round+1), func(t *testing.T) {
			s.raceForLastPlace(t, create)
		})
	}
	s.fill(t, s.quota)
	t.Run("full", func(t *testing.T) {
		s.do(t, create).wantErrorNaming(t, http.StatusConflict, quota)
		s.do(t, create.withHeader("Idempotency-Key", newIdempotencyKey())).wantErrorNaming(t, http.StatusConflict, quota)
	})
	t.Run("an unavailable event answers first", func(t *testing.T) {
		r := s.do(t, s.creation(s.valid().with("events", "no.such.event").body()))
		r.wantError(t, http.StatusUnprocessableEntity, notAvailable)
	})
	t.Run("it answers before the TLS check", func(t *testing.T) {
		s.onlyOwn(t)
		r := s.do(t, s.creation(s.valid().with("url", s.own.receivers.closed).body()))
		r.wantErrorNaming(t, http.StatusConflict, quota)
	})
	t.Run("a repeat has its answer", func(t *testing.T) {
		s.do(t, repeated).wantSame(t, first)
	})
	t.Run("another company has its own", func(t *testing.T) {
		other := need(t, s.keys.other, "WEBHOOKS_E2E_OTHER_KEY")
		s.created(t, s.do(t, create.withKey(other)))
	})
	t.Run("pages of the default size", func(t *testing.T) {
		for _, number := range []string{"1", "2"} {
			r := s.do(t, request{path: "/webhooks?page=" + number, key: s.keys.both})
			r.wantSame(t, s.do(t, request{path: "/webhooks?size=100&page=" + number, key: s.keys.both}))
		}
		wantList(t, s.all(t, s.keys.both, 7), s.all(t, s.keys.both, 100))
	})
	t.Run("a deletion makes room for one", func(t *testing.T) {
		s.delete(t, kept.ID).wantBody(t, http.StatusOK, `{"id":"`+kept.ID+`","deleted":true}`)
		s.created(t, s.do(t, create))
		s.do(t, create).wantErrorNaming(t, http.StatusConflict, quota)
	})
}

// raceForLastPlace makes room for one webhook and checks that racing requests with one idempotency
// key all get its answer, although the company is full as soon as the first of them has won.
func (s *suite) raceForLastPlace(t *testing.T, create request) {
	t.Helper()
	s.fill(t, s.quota)
	last := s.newest(t)
	s.delete(t, last.ID).wantBody(t, http.StatusOK, `{"id":"`+last.ID+`","deleted":true}`)
	same := create.withHeader("Idempotency-Key", newIdempotencyKey())
	answers := s.race(t, 8, func(int) request { return same })
	won := slices.IndexFunc(answers, func(r response) bool { return r.status == http.StatusCreated })
	if won < 0 {
		t.Fatalf("%s\nwant one of the racers to succeed", answers[0])
	}
	for _, r := range answers {
		r.wantSame(t, answers[won])
	}
}

// fill creates webhooks, some at a time, until the company has n.
func (s *suite) fill(t *testing.T, n int) {
	t.Helper()
	const atOnce = 8
	for have := s.count(t); have < n; {
		batch := min(atOnce, n-have)
		for _, r := range s.race(t, batch, func(int) request { return s.creation(s.valid().body()) }) {
			s.created(t, r)
		}
		have += batch
	}
	if count := s.count(t); count != n {
		t.Fatalf("the count is %d, want %d: is the quota more than %d?", count, n, n)
	}
}
