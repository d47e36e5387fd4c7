package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// newIdempotencyKey makes a key that no run used.
func newIdempotencyKey() string { return "e2e-" + rand.Text() }

// visible are the visible ASCII characters.
func visible() string {
	var all strings.Builder
	for c := byte('!'); c <= '~'; c++ {
		all.WriteByte(c)
	}
	return all.String()
}

// testIdempotencyKey checks which keys there are and what a key belongs to.
func testIdempotencyKey(t *testing.T, s *suite) {
	body := s.valid().body()
	for name, key := range map[string]string{
		"a blank": "a b", "256 characters": strings.Repeat("k", 256), "4000 characters": strings.Repeat("k", 4000),
	} {
		t.Run("not allowed: "+name, func(t *testing.T) {
			s.do(t, s.wrongCreation(body).withHeader("Idempotency-Key", key)).wantErrorNaming(t, http.StatusBadRequest)
		})
	}
	for name, key := range map[string]string{"empty": "", "a tab": "a\tb", "a letter with an accent": "caf\u00e9", "a byte above ASCII": "caf\xe9"} {
		t.Run("not allowed: "+name, func(t *testing.T) {
			s.onlyOn(t, "gateways change or drop such headers", hostServe)
			s.do(t, s.wrongCreation(body).withHeader("Idempotency-Key", key)).wantErrorNaming(t, http.StatusBadRequest)
		})
	}
	unique := newIdempotencyKey()
	for name, key := range map[string]string{
		"255 characters":              unique + strings.Repeat("k", 255-len(unique)),
		"every visible character":     unique + visible(),
		"looks like a list of values": unique + ",a,b;q=1",
	} {
		t.Run("allowed: "+name, func(t *testing.T) {
			create := s.creation(body).withHeader("Idempotency-Key", key)
			first := s.do(t, create)
			s.created(t, first)
			s.do(t, create).wantSame(t, first)
		})
	}
	t.Run("one character", func(t *testing.T) {
		s.onlyOwn(t) // elsewhere somebody may have used it
		s.created(t, s.do(t, s.creation(body).withHeader("Idempotency-Key", "k")))
	})
	t.Run("case matters", func(t *testing.T) {
		lower := s.created(t, s.do(t, s.creation(body).withHeader("Idempotency-Key", unique+"k")))
		upper := s.created(t, s.do(t, s.creation(body).withHeader("Idempotency-Key", unique+"K")))
		if lower.ID == upper.ID {
			t.Error("two keys made one webhook")
		}
	})
	t.Run("it belongs to the company, not to the API key", func(t *testing.T) {
		write := need(t, s.keys.write, "WEBHOOKS_E2E_WRITE_KEY")
		create := s.creation(body).withHeader("Idempotency-Key", newIdempotencyKey())
		first := s.do(t, create)
		s.created(t, first)
		s.do(t, create.withKey(write)).wantSame(t, first)
	})
	t.Run("another company has its own", func(t *testing.T) {
		other := need(t, s.keys.other, "WEBHOOKS_E2E_OTHER_KEY")
		create := s.creation(body).withHeader("Idempotency-Key", newIdempotencyKey())
		first := s.created(t, s.do(t, create))
		second := s.created(t, s.do(t, create.withKey(other)))
		if first.ID == second.ID || first.Token == second.Token {
			t.Error("another company got the same answer")
		}
	})
}

// testIdempotencyRepeat checks what a key that was used answers.
func testIdempotencyRepeat(t *testing.T, s *suite) {
	body := s.valid().body()
	t.Run("the same bytes", func(t *testing.T) {
		before := s.count(t)
		create := s.creation(body).withHeader("Idempotency-Key", newIdempotencyKey())
		first := s.do(t, create)
		w := s.created(t, first)
		for range 3 {
			again := s.do(t, create)
			again.wantSame(t, first)
			s.created(t, again)
		}
		if after := s.count(t); after != before+1 {
			t.Errorf("the count is %d and was %d before four equal requests", after, before)
		}
		s.get(t, w.ID).wantBody(t, http.StatusOK, w.redacted().json())
	})
	for name, other := range map[string]string{
		"another name":    s.valid().with("name", "Other").body(),
		"a blank more":    body + " ",
		"an escape":       strings.Replace(body, "Billing", `\u0042illing`, 1),
		"one field moved": strings.Replace(body, "{", `{"ignored":1,`, 1),
	} {
		t.Run("other bytes: "+name, func(t *testing.T) {
			create := s.creation(body).withHeader("Idempotency-Key", newIdempotencyKey())
			first := s.do(t, create)
			s.created(t, first)
			changed := create
			changed.body = other
			before := s.count(t)
			s.do(t, changed).wantErrorNaming(t, http.StatusConflict)
			if after := s.count(t); after != before {
				t.Errorf("the count is %d and was %d before a conflict", after, before)
			}
			s.do(t, create).wantSame(t, first)
		})
	}
	t.Run("deleted since", func(t *testing.T) {
		create := s.creation(body).withHeader("Idempotency-Key", newIdempotencyKey())
		w := s.created(t, s.do(t, create))
		s.delete(t, w.ID).wantBody(t, http.StatusOK, `{"id":"`+w.ID+`","deleted":true}`)
		s.do(t, create).wantErrorNaming(t, http.StatusConflict, "deleted")
		create.body += " "
		s.do(t, create).wantErrorNaming(t, http.StatusConflict)
	})
	t.Run("only successes are kept", func(t *testing.T) {
		create := s.creation(s.valid().with("events", "no.such.event").body()).withHeader("Idempotency-Key", newIdempotencyKey())
		s.do(t, create).wantError(t, http.StatusUnprocessableEntity, notAvailable)
		s.do(t, create).wantError(t, http.StatusUnprocessableEntity, notAvailable)
		create.body = body
		s.created(t, s.do(t, create))
	})
	t.Run("no second TLS check", func(t *testing.T) { s.repeatWithoutTLS(t) })
	t.Run("a failed TLS check is not kept", func(t *testing.T) { s.repeatAfterTLS(t) })
}

func (s *suite) repeatWithoutTLS(t *testing.T) {
	s.onlyOwn(t)
	receiver := s.own.receivers.start(t)
	create := s.creation(s.valid().with("url", receiver.url).body()).withHeader("Idempotency-Key", newIdempotencyKey())
	first := s.do(t, create)
	s.created(t, first)
	s.do(t, create).wantSame(t, first)
	if n := receiver.connections(); n != 1 {
		t.Errorf("there were %d connections for two equal requests, want 1", n)
	}
	receiver.stop()
	s.do(t, create).wantSame(t, first)
}

func (s *suite) repeatAfterTLS(t *testing.T) {
	s.onlyOwn(t)
	receiver := s.own.receivers.start(t)
	receiver.refuse.Store(true)
	create := s.creation(s.valid().with("url", receiver.url).body()).withHeader("Idempotency-Key", newIdempotencyKey())
	s.do(t, create).wantError(t, http.StatusBadRequest, notReached)
	receiver.refuse.Store(false)
	s.created(t, s.do(t, create))
}

// testIdempotencyRace checks that racing requests with one key make one webhook.
func testIdempotencyRace(t *testing.T, s *suite) {
	const racers = 12
	t.Run("the same bytes", func(t *testing.T) {
		before := s.count(t)
		create := s.creation(s.valid().body()).withHeader("Idempotency-Key", newIdempotencyKey())
		answers := s.race(t, racers, func(int) request { return create })
		for _, r := range answers {
			s.created(t, r)
			r.wantSame(t, answers[0])
		}
		if after := s.count(t); after != before+1 {
			t.Errorf("the count is %d and was %d before the race", after, before)
		}
	})
	t.Run("different bytes", func(t *testing.T) {
		before := s.count(t)
		key := newIdempotencyKey()
		answers := s.race(t, racers, func(i int) request {
			body := s.valid().with("name", fmt.Sprintf("Racer %d", i%2)).body()
			return s.creation(body).withHeader("Idempotency-Key", key)
		})
		made := make(map[string]bool)
		winner := -1
		for i, r := range answers {
			if r.status != http.StatusCreated {
				r.wantErrorNaming(t, http.StatusConflict)
				continue
			}
			made[s.created(t, r).ID] = true
			winner = i % 2
		}
		for i, r := range answers {
			if won := r.status == http.StatusCreated; won != (i%2 == winner) {
				t.Errorf("%s\nalthough body %d won", r, winner)
			}
		}
		if after := s.count(t); len(made) != 1 || after != before+1 {
			t.Errorf("the race made %d webhooks, and the count is %d and was %d", len(made), after, before)
		}
	})
	t.Run("different keys", func(t *testing.T) {
		before := s.count(t)
		answers := s.race(t, racers, func(int) request {
			return s.creation(s.valid().body()).withHeader("Idempotency-Key", newIdempotencyKey())
		})
		for _, r := range answers {
			s.created(t, r)
		}
		if after := s.count(t); after != before+racers {
			t.Errorf("the count is %d and was %d before %d creations", after, before, racers)
		}
	})
}
