package e2e

import (
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
)

// idempotent returns the request with an Idempotency-Key, sent as one header per value.
func (r request) idempotent(keys ...string) request { return r.with("Idempotency-Key", keys...) }

// newKey returns an idempotency key that has not been used.
func newKey() string { return "e2e-" + rand.Text() }

func testIdempotency(t *testing.T, s *suite) {
	body := s.valid().body()
	create := s.post(body)
	for name, key := range map[string]string{
		"space": "a b", "256 characters": strings.Repeat("k", 256), "4000 characters": strings.Repeat("k", 4000),
	} {
		s.rejects(t, row{"malformed: " + name, create.idempotent(key), 400, badKey})
	}
	for name, key := range map[string][]string{
		"empty": {""}, "tab": {"a\tb"}, "non-ASCII": {"caf\u00e9"}, "not UTF-8": {"caf\xe9"}, "two that are too long": {strings.Repeat("k", 128), strings.Repeat("k", 127)},
	} {
		s.rejects(t, row{"malformed: " + name, create.idempotent(key...).on(serve), 400, badKey})
	}
	visible := ""
	for c := '!'; c <= '~'; c++ {
		visible += string(c)
	}
	unique := newKey()
	for name, key := range map[string]string{
		"255 characters": unique + strings.Repeat("k", 255-len(unique)), "every visible character": unique + visible, "list": unique + ",a,b;q=1",
		"lower case": unique + "k", "upper case": unique + "K",
	} {
		t.Run("repeated: "+name, func(t *testing.T) { s.repeats(t, create.idempotent(key)) })
	}
	t.Run("one character", func(t *testing.T) {
		s.needOwn(t) // it may have been used elsewhere
		s.repeats(t, create.idempotent("k"))
	})
	t.Run("sent twice", func(t *testing.T) {
		key := newKey()
		first := s.do(t, create.idempotent(key, "b").on(serve))
		s.created(t, first)
		s.do(t, create.idempotent(key+",b")).wantSame(t, first)
	})
	t.Run("the key belongs to the company, not to the API key", func(t *testing.T) {
		r := create.idempotent(newKey())
		first := s.do(t, r)
		s.created(t, first)
		s.do(t, r.as(need(t, s.keys.write, "WEBHOOKS_E2E_WRITE_KEY"))).wantSame(t, first)
	})
	t.Run("another company's key", func(t *testing.T) {
		r := create.idempotent(newKey())
		mine := s.created(t, s.do(t, r))
		theirs := s.created(t, s.do(t, r.as(need(t, s.keys.other, "WEBHOOKS_E2E_OTHER_KEY"))))
		if mine.ID == theirs.ID || mine.Token == theirs.Token {
			t.Error("two companies got the same webhook")
		}
	})
	for name, other := range map[string]string{
		"another name": s.valid().with("name", "Other").body(), "a space more": body + " ",
		"an escape": strings.Replace(body, "Billing", `\u0042illing`, 1), "an ignored field": strings.Replace(body, "{", `{"ignored":1,`, 1),
	} {
		t.Run("another body: "+name, func(t *testing.T) {
			key := newKey()
			first := s.do(t, create.idempotent(key))
			s.created(t, first)
			s.grows(t, 0, func() { s.do(t, s.post(other).idempotent(key)).wantError(t, 409, usedKey) })
			s.do(t, create.idempotent(key)).wantSame(t, first)
		})
	}
	t.Run("deleted since", func(t *testing.T) {
		key := newKey()
		s.remove(t, s.created(t, s.do(t, create.idempotent(key))))
		s.do(t, create.idempotent(key)).wantError(t, 409, deletedSince)
		s.do(t, s.post(body+" ").idempotent(key)).wantError(t, 409, usedKey)
	})
	t.Run("errors are not remembered", func(t *testing.T) {
		key := newKey()
		for range 2 {
			s.do(t, s.post(s.valid().with("events", "no.such.event").body()).idempotent(key)).wantError(t, 422, notAvailable)
		}
		s.created(t, s.do(t, create.idempotent(key)))
	})
	t.Run("TLS errors are not remembered", func(t *testing.T) {
		s.needOwn(t)
		receiver := startReceiver(t, "127.0.0.1", s.own.receivers.good.server.TLS)
		receiver.hangUp.Store(true)
		r := s.post(s.valid().with("url", receiver.url).body()).idempotent(newKey())
		s.do(t, r).wantError(t, 400, notReached)
		receiver.hangUp.Store(false)
		s.repeats(t, r)
		if n := receiver.connections.Load(); n != 3 {
			t.Errorf("got %d connections, want two for an error without a response and one for a creation and its repeats", n)
		}
	})
	t.Run("event type removed since", func(t *testing.T) {
		s.needOwn(t)
		s.own.addTypes(t, mainCompany, "removed.later")
		r := s.post(s.valid().with("events", "removed.later").body()).idempotent(newKey())
		first := s.do(t, r)
		s.created(t, first)
		s.own.changeType(t, "remove", mainCompany, "removed.later")
		s.do(t, r).wantSame(t, first)
	})
}

// repeats checks that a request that is sent four times creates one webhook and always gets the same response.
func (s *suite) repeats(t *testing.T, r request) {
	t.Helper()
	s.grows(t, 1, func() {
		first := s.do(t, r)
		w := s.created(t, first)
		for range 3 {
			again := s.do(t, r)
			again.wantSame(t, first)
			s.created(t, again)
		}
		s.wantStored(t, w)
	})
}

// Racing requests with one idempotency key create at most one webhook.
func testIdempotencyRace(t *testing.T, s *suite) {
	const racers = 12
	t.Run("the same body", func(t *testing.T) {
		s.grows(t, 1, func() {
			r := s.post(s.valid().body()).idempotent(newKey())
			responses := s.race(t, racers, func(int) request { return r })
			for _, r := range responses {
				s.created(t, r)
				r.wantSame(t, responses[0])
			}
		})
	})
	t.Run("two bodies", func(t *testing.T) {
		s.grows(t, 1, func() {
			key := newKey()
			responses := s.race(t, racers, func(i int) request {
				return s.post(s.valid().with("name", fmt.Sprint("Racer ", i%2)).body()).idempotent(key)
			})
			winner := 0
			if responses[0].status != 201 {
				winner = 1
			}
			for i, r := range responses {
				if i%2 == winner {
					s.created(t, r)
					r.wantSame(t, responses[winner])
				} else {
					r.wantError(t, 409, usedKey)
				}
			}
		})
	})
	t.Run("different keys", func(t *testing.T) {
		s.grows(t, racers, func() {
			for _, r := range s.race(t, racers, func(int) request { return s.post(s.valid().body()).idempotent(newKey()) }) {
				s.created(t, r)
			}
		})
	})
}

// raceForLastPlace checks that racing requests with one key create one webhook if the company has room for only one. Each gets
// that webhook, or the error of its own check of the quota.
func (s *suite) raceForLastPlace(t *testing.T) {
	r := s.post(s.valid().body()).idempotent(newKey())
	var created []response
	for _, resp := range s.race(t, 8, func(int) request { return r }) {
		if resp.status != 201 {
			resp.wantError(t, 409, full(s.quota))
			continue
		}
		created = append(created, resp)
		resp.wantSame(t, created[0])
	}
	if len(created) > 0 {
		s.do(t, r).wantSame(t, created[0])
	}
	if len(created) == 0 || s.count(t) != s.quota {
		t.Errorf("%d requests created a webhook, and the company has %d, want %d", len(created), s.count(t), s.quota)
	}
}
