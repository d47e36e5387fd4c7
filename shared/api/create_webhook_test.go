package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

// created is the part of a 201 response that these tests read.
type created struct{ ID, Token string }

func (f *fixture) create(c call) created { return f.decode(f.do(c)) }

func (f *fixture) decode(r reply) (w created) {
	f.t.Helper()
	r.want(f.t, 201, "")
	if err := json.Unmarshal([]byte(r.body), &w); err != nil {
		f.t.Fatal(err)
	}
	return w
}

func (f *fixture) stored() []webhook.Webhook {
	f.t.Helper()
	list, err := f.store.Store.ListWebhooks(f.t.Context(), "acme", webhook.Page{Size: 100, Number: 1})
	if err != nil {
		f.t.Fatal(err)
	}
	return list.Webhooks
}

func TestCreateWebhookStores(t *testing.T) {
	f := newFixture(t)
	const url = "https://HOOKS.example:443/%7e?q=%C3%A9"
	w := f.create(call{method: "POST", body: `{"webhook":{"name":" n ","url":"` + url + `","description":"d","events":"` + paid + `"}}`})
	got := f.stored()[0]
	if got.ID != w.ID || got.Company != "acme" || got.Name != " n " || got.Description != "d" || got.URL != url ||
		!slices.Equal(got.Events, []string{paid}) || got.Version != 1 {
		t.Errorf("stored %+v", got)
	}
	token, err := f.sealer.Open(t.Context(), "acme", w.ID, got.SealedToken)
	if err != nil || token != w.Token {
		t.Errorf("the sealed token is not the one in the response (%v)", err)
	}
	id := ulid.MustParseStrict(strings.TrimPrefix(w.ID, "wh_"))
	if want := f.now.Truncate(time.Millisecond); !got.CreatedAt.Equal(want) || !id.Timestamp().Equal(want) {
		t.Errorf("created at %v with an ID from %v, want %v", got.CreatedAt, id.Timestamp(), want)
	}
}

func TestIDsAscendWithinAMillisecond(t *testing.T) {
	f := newFixture(t)
	h, last, tokens := f.handler(), "", map[string]bool{}
	for range 20 {
		w := f.decode(send(h, create("n", "").request(t.Context())))
		if w.ID <= last || tokens[w.Token] {
			t.Errorf("got the ID %s after %s, want it greater, with a new token", w.ID, last)
		}
		last, tokens[w.Token] = w.ID, true
	}
}

// Racers in several processes all pass their checks before any of them is stored.
func TestRaceUnderOneIdempotencyKey(t *testing.T) {
	const racers = 8
	f := newFixture(t)
	var ready sync.WaitGroup
	ready.Add(racers)
	f.tls.during = func() { ready.Done(); ready.Wait() }
	replies := make([]reply, racers)
	var all sync.WaitGroup
	for i := range replies {
		all.Go(func() { replies[i] = f.do(create("a", "k")) })
	}
	all.Wait()
	for _, r := range replies {
		r.want(t, 201, replies[0].body)
		if r.header.Get("Location") != replies[0].header.Get("Location") {
			t.Errorf("got Location %s and %s", r.header.Get("Location"), replies[0].header.Get("Location"))
		}
	}
	if n := len(f.stored()); n != 1 {
		t.Errorf("%d webhooks were stored, want 1", n)
	}
}

// During a request's TLS check, another process creates a webhook under the same key.
func TestLostRaceUnderOneIdempotencyKey(t *testing.T) {
	winners := reply{status: 201} // the winner's response
	used := reply{status: 409, body: errorBody(`This "Idempotency-Key" was already used with a different request body in the last 24 hours.`)}
	deleted := reply{status: 409, body: errorBody(`The webhook created with this "Idempotency-Key" has since been deleted.`)}
	failed := reply{status: 400, body: errorBody("TLS certificate validation failed: the host could not be reached")}
	tests := []struct {
		name         string
		winner       call
		then         func(f *fixture, id string) // once the winner is stored, before the loser's check ends
		loser, again reply                       // to the loser's request, and to the same request afterwards
	}{
		{"the same body", create("a", "k"), nil, winners, winners},
		{"a different body", create("b", "k"), nil, used, used},
		{"deleted meanwhile", create("a", "k"), func(f *fixture, id string) {
			if err := f.store.DeleteWebhook(f.t.Context(), "acme", id); err != nil {
				f.t.Error(err)
			}
		}, deleted, deleted},
		{"the loser's check fails", create("a", "k"), func(f *fixture, _ string) { f.tls.err = unreachable() }, failed, winners},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			f.creator.Quota = 1 // the winner takes the last place
			var winner created
			f.tls.during = func() {
				f.tls.during = nil
				winner = f.create(test.winner)
				if test.then != nil {
					test.then(f, winner.ID)
				}
			}
			for _, want := range []reply{test.loser, test.again} {
				got := f.do(create("a", "k"))
				got.want(t, want.status, want.body)
				if want.status == 201 && !strings.Contains(got.body, winner.Token) {
					t.Errorf("got %s, want the winner's response", got.body)
				}
			}
		})
	}
}

// Whatever fails, the status is right, nothing is stored, and the request can be sent again.
func TestCreateWebhookFailures(t *testing.T) {
	busy, broken := webhook.Unavailable(errors.New("throttled")), errors.New("broken")
	type row struct {
		name   string
		given  func(*fixture)
		status int
	}
	first := []row{
		{"PrepareCreation is busy", func(f *fixture) { f.store.fails("PrepareCreation", busy) }, 503},
		{"PrepareCreation is broken", func(f *fixture) { f.store.fails("PrepareCreation", broken) }, 500},
		{"CreateWebhook is busy", func(f *fixture) { f.store.fails("CreateWebhook", busy) }, 503},
		{"CreateWebhook is broken", func(f *fixture) { f.store.fails("CreateWebhook", fmt.Errorf("table: %w", broken)) }, 500},
		{"Seal is busy", func(f *fixture) { f.creator.Sealer = seal.Sealer{Keys: brokenKeys{busy}} }, 503},
		{"Seal is broken", func(f *fixture) { f.creator.Sealer = seal.Sealer{Keys: brokenKeys{broken}} }, 500},
		{"CheckTLS is busy", func(f *fixture) { f.tls.err = busy }, 503},
		{"CheckTLS is broken", func(f *fixture) { f.tls.err = broken }, 500},
		{"no randomness for IDs", func(f *fixture) { f.creator.Random = strings.NewReader("") }, 500},
		{"no randomness for tokens", func(f *fixture) { f.creator.Random = strings.NewReader(strings.Repeat("x", 20)) }, 500},
	}
	repeats := []row{
		{"Webhook is busy", func(f *fixture) { f.store.fails("Webhook", busy) }, 503},
		{"Webhook is broken", func(f *fixture) { f.store.fails("Webhook", broken) }, 500},
		{"Open is broken", func(f *fixture) { f.creator.Sealer = seal.Sealer{Keys: brokenKeys{broken}} }, 500},
	}
	for i, test := range slices.Concat(first, repeats) {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			good, before := f.creator, 0
			if i >= len(first) {
				f.create(create("a", "k"))
				before = 1
			}
			test.given(f)
			f.do(create("a", "k")).want(t, test.status, "")
			if n := len(f.stored()); n != before {
				t.Errorf("%d webhooks are stored, want %d", n, before)
			}
			f.creator, f.tls.err = good, nil
			f.store.fails("", nil)
			f.do(create("a", "k")).want(t, 201, "")
		})
	}
}
