package e2e

import (
	"crypto/rand"
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
	s.rejects(t,
		row{"malformed: space", create.idempotent("a b"), 400, badKey},
		row{"malformed: 256 characters", create.idempotent(strings.Repeat("k", 256)), 400, badKey})
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
	t.Run("racing", func(t *testing.T) {
		s.grows(t, 1, func() {
			r := create.idempotent(newKey())
			responses := s.race(t, 12, func(int) request { return r })
			replayed := 0
			for _, r := range responses {
				s.created(t, r)
				r.wantSame(t, responses[0])
				if r.header.Get("Idempotent-Replayed") == "true" {
					replayed++
				}
			}
			if replayed != len(responses)-1 {
				t.Errorf("%d of %d responses have Idempotent-Replayed", replayed, len(responses))
			}
		})
	})
	t.Run("event type removed since", func(t *testing.T) {
		s.needOwn(t)
		s.own.addTypes(t, mainCompany, "removed.later")
		r := s.post(s.valid().with("events", "removed.later").body()).idempotent(newKey())
		first := s.do(t, r)
		s.created(t, first)
		s.own.run(t, "types", "remove", "removed.later", "--company", mainCompany)
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
			if got := first.header.Get("Idempotent-Replayed") + again.header.Get("Idempotent-Replayed"); got != "true" {
				t.Errorf("got Idempotent-Replayed %q, want true only when the request is repeated", got)
			}
			s.created(t, again)
		}
		s.wantStored(t, w)
	})
}
