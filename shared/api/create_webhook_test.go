package api_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
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
	h, last, tokens := f.handler(), created{}, map[string]bool{}
	for range 20 { // IDs ascend, although the clock stands still
		c := call{method: "POST", body: `{"webhook":{"name":" n ","url":"` + url + `","description":"d","events":"` + paid + `"}}`}
		w := f.decode(send(h, c.request(t.Context())))
		if w.ID <= last.ID || tokens[w.Token] {
			t.Errorf("got the ID %s after %s, want it greater, with a new token", w.ID, last.ID)
		}
		last, tokens[w.Token] = w, true
	}
	got := f.stored()[19]
	if got.ID != last.ID || got.Company != "acme" || got.Name != " n " || got.Description != "d" || got.URL != url ||
		!slices.Equal(got.Events, []string{paid}) || got.Version != 1 {
		t.Errorf("stored %+v", got)
	}
	token, err := f.sealer.Open(t.Context(), "acme", last.ID, got.SealedToken)
	if err != nil || token != last.Token {
		t.Errorf("the sealed token is not the one in the response (%v)", err)
	}
	id := ulid.MustParseStrict(strings.TrimPrefix(last.ID, "wh_"))
	if want := f.now.Truncate(time.Millisecond); !got.CreatedAt.Equal(want) || !id.Timestamp().Equal(want) {
		t.Errorf("created at %v with an ID from %v, want %v", got.CreatedAt, id.Timestamp(), want)
	}
}

// During a request's TLS check, another process creates a webhook under the same key.
func TestLostRaceUnderOneIdempotencyKey(t *testing.T) {
	winners := reply{status: 201} // the winner's response
	used := reply{status: 409, body: errorBody(`This "Idempotency-Key" was already used with a different request body in the last 24 hours.`)}
	deleted := reply{status: 409, body: errorBody(`The webhook created with this "Idempotency-Key" has since been deleted.`)}
	failed := reply{status: 400, body: errorBody(notReached)}
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
	for _, test := range []struct {
		name   string
		given  func(*fixture)
		before int // webhooks created under the same key
		status int
	}{
		{"PrepareCreation is busy", func(f *fixture) { f.store.fails("PrepareCreation", busy) }, 0, 503},
		{"CreateWebhook is busy", func(f *fixture) { f.store.fails("CreateWebhook", busy) }, 0, 503},
		{"CreateWebhook is broken", func(f *fixture) { f.store.fails("CreateWebhook", fmt.Errorf("table: %w", broken)) }, 0, 500},
		{"Seal is busy", func(f *fixture) { f.creator.Sealer = seal.Sealer{Keys: brokenKeys{busy}} }, 0, 503},
		{"CheckTLS is broken", func(f *fixture) { f.tls.err = broken }, 0, 500},
		{"no randomness for IDs", func(f *fixture) { f.creator.Random = strings.NewReader("") }, 0, 500},
		{"no randomness for tokens", func(f *fixture) { f.creator.Random = strings.NewReader(strings.Repeat("x", 20)) }, 0, 500},
		{"Webhook is busy", func(f *fixture) { f.store.fails("Webhook", busy) }, 1, 503},
		{"Open is broken", func(f *fixture) { f.creator.Sealer = seal.Sealer{Keys: brokenKeys{broken}} }, 1, 500},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := newFixture(t)
			good := f.creator
			for range test.before {
				f.create(create("a", "k"))
			}
			test.given(f)
			f.do(create("a", "k")).want(t, test.status, "")
			if n := len(f.stored()); n != test.before {
				t.Errorf("%d webhooks are stored, want %d", n, test.before)
			}
			f.creator, f.tls.err = good, nil
			f.store.fails("", nil)
			f.do(create("a", "k")).want(t, 201, "")
		})
	}
}
