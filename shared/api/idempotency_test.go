package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

const (
	usedBefore   = `This "Idempotency-Key" was used with another body in the last 24 hours.`
	deletedSince = `The webhook created with this "Idempotency-Key" has been deleted since.`
	badKey       = `The header "Idempotency-Key" must have 1 to 255 visible ASCII characters.`
)

// keyed is a creation with an idempotency key, sent in as many headers as there are values.
func keyed(body string, keys ...string) call {
	c := post(body)
	c.header = http.Header{"Idempotency-Key": keys}
	return c
}

func TestIdempotencyKey(t *testing.T) {
	first := newBody("a", "https://hooks.example/a", paid, failed)
	other := newBody("b", "https://hooks.example/b", paid)
	given := func(w *world) { w.create("a", keyed(first, "k")) }
	same := func(t *testing.T, w *world, r reply) {
		want := `{"id":"{a}","name":"a","description":"","url":"https://hooks.example/a","events":["` + paid + `","` + failed + `"],"token":"{a.token}"}`
		r.want(t, 201, w.expand(want))
		if got := r.header.Get("Location"); got != w.expand("/webhooks/{a}") {
			t.Errorf("got Location %s", got)
		}
		if w.tls.checks != 1 {
			t.Errorf("got %d TLS checks, want one", w.tls.checks)
		}
		if list, err := w.store.store.ListWebhooks(t.Context(), "acme", webhook.Page{Size: 1, Number: 1}); err != nil || list.Count != 1 {
			t.Errorf("got %d webhooks, want one", list.Count)
		}
	}
	another := func(t *testing.T, w *world, r reply) {
		if strings.Contains(r.body, w.names["{a}"]) || strings.Contains(r.body, w.names["{a.token}"]) {
			t.Errorf("got the earlier one: %s", r.body)
		}
	}
	run(t, []row{
		{name: "the same key and body give the first answer again, and no second TLS check", given: given,
			call: keyed(first, "k"), status: 201, check: same},
		{name: "also where the company could not create it now", given: func(w *world) {
			given(w)
			if err := w.store.RemoveEventType(w.t.Context(), "", paid); err != nil {
				w.t.Fatal(err)
			}
			w.tls.err = errors.New("not to be called")
		}, call: keyed(first, "k"), status: 201, check: same},
		{name: "within 24 hours", given: func(w *world) { given(w); w.clock.Advance(24*time.Hour - time.Millisecond) },
			call: keyed(first, "k"), status: 201, check: same},
		{name: "after 24 hours it is forgotten", given: func(w *world) { given(w); w.clock.Advance(24 * time.Hour) },
			call: keyed(first, "k"), status: 201, check: another},
		{name: "the same key with another body", given: given, call: keyed(other, "k"), status: 409, body: refused(usedBefore)},
		{name: "with one space more", given: given, call: keyed(first+" ", "k"), status: 409, body: refused(usedBefore)},
		{name: "another key", given: given, call: keyed(first, "K"), status: 201, check: another},
		{name: "no key", given: given, call: post(first), status: 201, check: another},
		{name: "its scope is the company", given: given, status: 201, check: another,
			call: call{method: "POST", target: "/webhooks", key: "rival", body: first, header: http.Header{"Idempotency-Key": {"k"}}}},
		{name: "deleted since", given: func(w *world) { given(w); w.do(call{method: "DELETE", target: "/webhooks/{a}"}) },
			call: keyed(first, "k"), status: 409, body: refused(deletedSince)},
		{name: "deleted since, with another body", given: func(w *world) { given(w); w.do(call{method: "DELETE", target: "/webhooks/{a}"}) },
			call: keyed(other, "k"), status: 409, body: refused(usedBefore)},
		{name: "only successes are kept", given: func(w *world) {
			w.do(keyed(newBody("n", aURL, "unknown"), "k")).want(w.t, 422, "")
			w.tls.err = unreachable()
			w.do(keyed(other, "k")).want(w.t, 400, "")
			w.tls.err = nil
		}, call: keyed(first, "k"), status: 201},
		{name: "the earlier steps are checked all the same", given: given, call: keyed(`{}`, "k"), status: 400, body: specify("webhook")},

		{name: "one character", call: keyed(first, "!"), status: 201},
		{name: "255 characters", call: keyed(first, strings.Repeat("~", 255)), status: 201},
		{name: "256 characters", call: keyed(first, strings.Repeat("~", 256)), status: 400, body: refused(badKey)},
		{name: "empty", call: keyed(first, ""), status: 400, body: refused(badKey)},
		{name: "a space inside", call: keyed(first, "a b"), status: 400, body: refused(badKey)},
		{name: "a tab inside", call: keyed(first, "a\tb"), status: 400, body: refused(badKey)},
		{name: "beyond ASCII", call: keyed(first, "clé"), status: 400, body: refused(badKey)},
		{name: "beyond UTF-8", call: keyed(first, "\xff"), status: 400, body: refused(badKey)},
		{name: "it is judged with the parameters, before the body", call: keyed(`{`, ""), status: 400, body: refused(badKey)},
		{name: "sent twice it is both, joined by a comma", given: func(w *world) { w.create("a", keyed(first, "k", "l")) },
			call: keyed(first, "k,l"), status: 201, check: same},
		{name: "sent twice and too long together", call: keyed(first, strings.Repeat("x", 128), strings.Repeat("x", 127)), status: 400, body: refused(badKey)},
		{name: "sent twice, both empty, it is a comma", call: keyed(first, "", ""), status: 201},
	})
}

// race sends one creation many times at once, each from the world that it is given, and checks that all
// get one answer and that there is one webhook.
func race(t *testing.T, racers int, from func(i int) *world) {
	t.Helper()
	request := keyed(newBody("a", "https://hooks.example/a", paid), "k")
	replies := make([]reply, racers)
	var all sync.WaitGroup
	for i := range replies {
		w := from(i)
		all.Go(func() { replies[i] = w.do(request) })
	}
	all.Wait()
	for _, r := range replies {
		r.want(t, 201, replies[0].body)
		if r.header.Get("Location") != replies[0].header.Get("Location") {
			t.Errorf("got Location %s and %s", r.header.Get("Location"), replies[0].header.Get("Location"))
		}
	}
	if list, err := from(0).store.store.ListWebhooks(t.Context(), "acme", webhook.Page{Size: 1, Number: 1}); err != nil || list.Count != 1 {
		t.Errorf("got %d webhooks (%v), want one", list.Count, err)
	}
}

// Of requests that race with one key in several processes, the first to be stored decides for all.
func TestRaceWithOneIdempotencyKey(t *testing.T) {
	const racers = 8
	t.Run("all pass the check before any is stored", func(t *testing.T) {
		w := newWorld(t)
		var ready sync.WaitGroup
		ready.Add(racers)
		w.tls.during = func() { ready.Done(); ready.Wait() }
		race(t, racers, func(int) *world { return w.another() })
	})
	t.Run("one passes the check, and when it is stored the others fail", func(t *testing.T) {
		stored := make(chan struct{})
		w := newWorld(t, func(w *world) { w.creator.TLS = &fickleCheck{stored: stored} })
		w.store.created = func() { close(stored) }
		race(t, racers, func(int) *world { return w.another() })
	})
}

// fickleCheck passes once. All others it refuses when the webhook is stored.
type fickleCheck struct {
	once   atomic.Bool
	stored chan struct{}
}

func (c *fickleCheck) CheckTLS(context.Context, endpoint.URL) error {
	if c.once.CompareAndSwap(false, true) {
		return nil
	}
	<-c.stored
	return unreachable()
}

func unreachable() error {
	return webhook.Errorf(webhook.KindInvalid, "TLS certificate validation failed: the host could not be reached")
}

// Many more racers than may check TLS at once, before a receiver that takes until all have come: one
// connection is made.
func TestRaceBeforeASlowReceiver(t *testing.T) {
	const racers = 50
	var come sync.WaitGroup
	come.Add(racers)
	w := newWorld(t, func(w *world) {
		w.service.Keys = arrivals{Authenticator: access.NewAuthenticator(w.store, w.clock.Now), come: &come}
		w.service.Timeout = time.Minute // however busy this machine is, none may give up waiting for the first
	})
	w.tls.during = come.Wait
	race(t, racers, func(int) *world { return w })
	if w.tls.checks != 1 {
		t.Errorf("%d TLS checks, want one", w.tls.checks)
	}
}

// arrivals tells of every request that has come so far as to be authenticated.
type arrivals struct {
	*access.Authenticator
	come *sync.WaitGroup
}

func (a arrivals) Authenticate(ctx context.Context, authorization string) (access.Key, error) {
	a.come.Done()
	return a.Authenticator.Authenticate(ctx, authorization)
}

// raced makes a world in which, while a request checks TLS, another process stores one with key k.
func raced(t *testing.T, body string, then func(w *world)) *world {
	w := newWorld(t)
	other := w.another()
	w.tls.during = func() {
		w.tls.during = nil
		other.create("a", keyed(body, "k"))
		then(w)
	}
	return w
}

func TestLostRace(t *testing.T) {
	body := newBody("a", "https://hooks.example/a", paid)
	t.Run("with other bytes it is a conflict", func(t *testing.T) {
		w := raced(t, newBody("b", "https://hooks.example/b", paid), func(*world) {})
		w.do(keyed(body, "k")).want(t, 409, refused(usedBefore))
	})
	t.Run("to a webhook that is deleted by then it is a conflict", func(t *testing.T) {
		w := raced(t, body, func(w *world) { w.do(call{method: "DELETE", target: "/webhooks/{a}"}) })
		w.do(keyed(body, "k")).want(t, 409, refused(deletedSince))
	})
	t.Run("and its own check failed", func(t *testing.T) {
		w := raced(t, body, func(w *world) { w.tls.err = unreachable() })
		r := w.do(keyed(body, "k"))
		r.want(t, 201, "")
		if !strings.Contains(r.body, w.names["{a.token}"]) {
			t.Errorf("got %s, want the winner's answer", r.body)
		}
	})
	t.Run("with other bytes, and its own check failed", func(t *testing.T) {
		w := raced(t, newBody("b", "https://hooks.example/b", paid), func(w *world) { w.tls.err = unreachable() })
		w.do(keyed(body, "k")).want(t, 409, refused(usedBefore))
	})
	t.Run("of another key, and its own check failed", func(t *testing.T) {
		w := raced(t, body, func(w *world) { w.tls.err = unreachable() })
		w.do(keyed(body, "K")).want(t, 400, refused("TLS certificate validation failed: the host could not be reached"))
	})
	t.Run("and its own check failed, but the store is busy when it looks again", func(t *testing.T) {
		w := raced(t, body, func(w *world) {
			w.tls.err = unreachable()
			failing("PrepareCreation", webhook.Unavailable(errors.New("throttled")))(w)
		})
		w.do(keyed(body, "k")).want(t, 503, "")
	})
	t.Run("for the last place in the quota", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.creator.Quota = 1 })
		w.tls.during = func() { w.tls.during = nil; w.create("a", call{}) }
		w.do(post(body)).want(t, 409, refused("The company has reached its quota of 1 webhooks."))
	})
	t.Run("for the last place, but with the same key", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.creator.Quota = 1 })
		other := w.another()
		w.tls.during = func() { w.tls.during = nil; other.create("a", keyed(body, "k")) }
		r := w.do(keyed(body, "k"))
		r.want(t, 201, "")
		if !strings.Contains(r.body, w.names["{a.token}"]) {
			t.Errorf("got %s, want the winner's answer", r.body)
		}
	})
}

// A database without snapshots may count the winner of a race before it shows the winner's record.
func TestCreateWebhookCountedBeforeItsRecordIsSeen(t *testing.T) {
	w := newWorld(t, func(w *world) { w.creator.Quota = 1 })
	request := keyed(newBody("a", "https://hooks.example/a", paid), "k")
	w.create("a", request)
	reads := 0
	w.store.prepared = func(state *webhook.CreationState) {
		if reads++; reads == 1 {
			state.Earlier = nil
		}
	}
	r := w.do(request)
	r.want(t, 201, "")
	if !strings.Contains(r.body, w.names["{a.token}"]) {
		t.Errorf("got %s, want the winner's answer", r.body)
	}
	w.do(keyed(newBody("b", "https://hooks.example/b", paid), "another")).want(t, 409, refused("The company has reached its quota of 1 webhooks."))
}

// Whatever fails on the way, a request ends with the right status, and what may be repeated can be.
func TestCreateWebhookFailures(t *testing.T) {
	busy := webhook.Unavailable(errors.New("throttled"))
	broken := errors.New("broken")
	key := keyed(newBody("a", "https://hooks.example/a", paid), "k")
	tests := []struct {
		name   string
		given  func(*world)
		status int
	}{
		{"preparing while the store is busy", failing("PrepareCreation", busy), 503},
		{"preparing when the store is broken", failing("PrepareCreation", broken), 500},
		{"storing while the store is busy", failing("CreateWebhook", busy), 503},
		{"storing when the store is broken", failing("CreateWebhook", broken), 500},
		{"a store's error about what is not found is no 404", failing("CreateWebhook", fmt.Errorf("table: %w", broken)), 500},
		{"sealing", func(w *world) { w.sealer.sealErr = broken }, 500},
		{"sealing while the key service is busy", func(w *world) { w.sealer.sealErr = busy }, 503},
		{"the TLS check itself", func(w *world) { w.tls.err = broken }, 500},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			test.given(w)
			w.do(key).want(t, test.status, "")
			w.store.before, w.sealer.sealErr, w.tls.err = nil, nil, nil
			w.do(key).want(t, 201, "")
		})
	}
	repeats := []struct {
		name   string
		given  func(*world)
		status int
	}{
		{"repeating while the store is busy", failing("Webhook", busy), 503},
		{"repeating when the store is broken", failing("Webhook", broken), 500},
		{"repeating when the token does not open", func(w *world) { w.sealer.openErr = broken }, 500},
	}
	for _, test := range repeats {
		t.Run(test.name, func(t *testing.T) {
			w := newWorld(t)
			w.create("a", key)
			test.given(w)
			w.do(key).want(t, test.status, "")
		})
	}
	t.Run("no randomness for ids", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.creator.Random = strings.NewReader("") })
		w.do(key).want(t, 500, refused("Internal error"))
	})
	t.Run("no randomness for tokens", func(t *testing.T) {
		w := newWorld(t, func(w *world) { w.creator.Random = strings.NewReader(strings.Repeat("x", 20)) })
		w.do(key).want(t, 500, refused("Internal error"))
	})
}
