package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

// keyStore has nothing but what was made under an idempotency key, and counts the reads of it.
type keyStore struct {
	webhookCreator
	made  atomic.Pointer[webhook.EarlierCreation]
	reads atomic.Int32
}

func (s *keyStore) PrepareCreation(ctx context.Context, q webhook.CreationQuery) (webhook.CreationState, error) {
	s.reads.Add(1)
	if q.Key == nil {
		return webhook.CreationState{}, ctx.Err()
	}
	return webhook.CreationState{Earlier: s.made.Load()}, ctx.Err()
}

// slowCheck takes its time and fails, and counts. It ends with the request, as an [endpoint.Checker] does.
type slowCheck struct {
	takes time.Duration
	err   error
	count atomic.Int32
}

func (c *slowCheck) CheckTLS(ctx context.Context, _ endpoint.URL) error {
	c.count.Add(1)
	select {
	case <-time.After(c.takes):
		return c.err
	case <-ctx.Done():
		return webhook.Unavailable(ctx.Err())
	}
}

var errUnreachable = webhook.Errorf(webhook.KindInvalid, "TLS certificate validation failed: the host could not be reached")

// Between the first look at the store and an answer time may pass, in which another process stores the
// webhook of the same key. All this is in a bubble, where time passes when everybody waits.
func TestCheckTLSLooksAgain(t *testing.T) {
	const second = time.Second
	made := &webhook.EarlierCreation{WebhookID: "wh_1"}
	key := webhook.NewIdempotencyKey("create-webhook", "k")
	tests := []struct {
		name    string
		key     *webhook.IdempotencyKey
		taken   time.Duration // how long the slots are taken
		others  bool          // all slots that there are, and not only acme's own
		takes   time.Duration // the check
		err     error
		madeAt  time.Duration // never when 0
		earlier bool
		kind    webhook.Kind // when refused
		took    time.Duration
		checks  int32
		reads   int32
	}{
		{name: "not where nobody had to wait and the check passed", key: &key, takes: second, madeAt: second / 2,
			took: second, checks: 1},
		{name: "after it waited for a slot", key: &key, taken: 2 * second, madeAt: second, earlier: true,
			took: 2 * second, reads: 1},
		{name: "after it waited for a slot that others had", key: &key, taken: 2 * second, others: true, madeAt: second, earlier: true,
			took: 2 * second, reads: 1},
		{name: "after it waited, and nothing was made", key: &key, taken: 2 * second, takes: second,
			took: 3 * second, checks: 1, reads: 1},
		{name: "when the check failed", key: &key, takes: second, err: errUnreachable, madeAt: second / 2, earlier: true,
			took: second, checks: 1, reads: 1},
		{name: "when the check failed, and nothing was made", key: &key, takes: second, err: errUnreachable,
			kind: webhook.KindInvalid, took: second, checks: 1, reads: 1},
		{name: "when the check took all but the last of the time", key: &key, taken: 6 * second, takes: 5 * second, madeAt: 8 * second, earlier: true,
			took: 9 * second, checks: 1, reads: 2},
		{name: "when no slot came", key: &key, taken: 20 * second, madeAt: 8 * second, earlier: true,
			took: 9 * second, reads: 1},
		{name: "when no slot came, and nothing was made", key: &key, taken: 20 * second,
			kind: webhook.KindUnavailable, took: 9 * second, reads: 1},
		{name: "never without a key", taken: 2 * second, takes: second, err: errUnreachable, madeAt: second,
			kind: webhook.KindInvalid, took: 3 * second, checks: 1},
		{name: "never without a key, which waits for as long as there is time", taken: 20 * second, madeAt: second,
			kind: webhook.KindUnavailable, took: 10 * second},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			store, check := &keyStore{}, &slowCheck{takes: test.takes, err: test.err}
			e := newCreating(Creator{Store: store, TLS: check, Now: time.Now})
			if test.taken > 0 {
				takeSlots(t, e.slots, test.others, test.taken)
			}
			if test.madeAt > 0 {
				time.AfterFunc(test.madeAt, func() { store.made.Store(made) })
			}
			ctx, cancel := context.WithTimeout(t.Context(), DefaultTimeout)
			defer cancel()
			began := time.Now()
			earlier, err := e.checkTLS(ctx, attempt{company: "acme", key: test.key})
			if (earlier == made) != test.earlier || webhook.KindOf(err) != test.kind || (err != nil) != (test.kind != 0) {
				t.Errorf("%s: got %v, %v", test.name, earlier, err)
			}
			if took := time.Since(began); took != test.took {
				t.Errorf("%s: it took %v, want %v", test.name, took, test.took)
			}
			if checks, reads := check.count.Load(), store.reads.Load(); checks != test.checks || reads != test.reads {
				t.Errorf("%s: %d checks and %d more reads, want %d and %d", test.name, checks, reads, test.checks, test.reads)
			}
			time.Sleep(test.taken) // the bubble must not end before its timers
		})
	}
}

// takeSlots takes for a time the slots of acme, or all that there are, each for another company.
func takeSlots(t *testing.T, slots *checkSlots, ofOthers bool, during time.Duration) {
	companies := slices.Repeat([]string{"acme"}, maxChecksOfCompany)
	if ofOthers {
		companies = nil
		for i := range maxChecks {
			companies = append(companies, fmt.Sprint("other", i))
		}
	}
	for _, company := range companies {
		release, _, err := slots.acquire(t.Context(), company)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(during, release)
	}
}

// The first of a key goes ahead, and those that wait for it go ahead together when it has ended, each
// with a check of its own: that one failed is no reason to refuse another.
func TestRequestsOfOneKeyWaitForTheFirst(t *testing.T) {
	const racers = 4
	tests := []struct {
		name        string
		takes       time.Duration
		first, last time.Duration // when they are answered
	}{
		{"a receiver that refuses soon", time.Second, time.Second, 2 * time.Second},
		{"a receiver that hangs leaves them the time of a check", 5 * time.Second, 5 * time.Second, 9 * time.Second},
	}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			store, check := &keyStore{}, &slowCheck{takes: test.takes, err: errUnreachable}
			e := newCreating(Creator{Store: store, TLS: check, Quota: 1, Now: time.Now})
			began := time.Now()
			var all sync.WaitGroup
			var soon, late atomic.Int32
			for range racers {
				all.Go(func() {
					if err := create(t, e, "acme", "k"); webhook.KindOf(err) != webhook.KindInvalid {
						t.Errorf("%s: got %v, want the refusal of its own check", test.name, err)
					}
					switch time.Since(began) {
					case test.first:
						soon.Add(1)
					case test.last:
						late.Add(1)
					}
				})
			}
			all.Wait()
			if got := check.count.Load(); got != racers {
				t.Errorf("%s: %d checks, want one for each of %d", test.name, got, racers)
			}
			if soon.Load() != 1 || late.Load() != racers-1 {
				t.Errorf("%s: %d were answered after %v and %d after %v, want one and the others",
					test.name, soon.Load(), test.first, late.Load(), test.last)
			}
			if len(e.turns.first) != 0 {
				t.Errorf("%s: %d requests are still taken for the first", test.name, len(e.turns.first))
			}
		})
	}
}

// Nobody waits for another key, another company or a request without a key, or once the client has gone.
func TestRequestsOfOtherKeysDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check := &slowCheck{takes: time.Second, err: errUnreachable}
		e := newCreating(Creator{Store: &keyStore{}, TLS: check, Quota: 1, Now: time.Now})
		began := time.Now()
		var all sync.WaitGroup
		for _, each := range []struct{ company, key string }{{"acme", "k"}, {"acme", "K"}, {"rival", "k"}, {"acme", ""}, {"acme", ""}} {
			all.Go(func() {
				if err := create(t, e, each.company, each.key); err == nil {
					t.Error("got no refusal")
				}
			})
		}
		synctest.Wait()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		key := webhook.NewIdempotencyKey("create-webhook", "k")
		e.turns.enter(gone, "acme", &key)()
		if took := time.Since(began); took != 0 {
			t.Errorf("the client that has gone waited %v", took)
		}
		all.Wait()
		if took := time.Since(began); took != time.Second {
			t.Errorf("it took %v, want the one second of a check", took)
		}
	})
}

// create sends a request with a key, or with none where it is empty, and gives why it was refused.
func create(t *testing.T, e *creating, company, key string) error {
	ctx, cancel := context.WithTimeout(t.Context(), DefaultTimeout)
	defer cancel()
	r := request{company: company, header: http.Header{}, body: []byte(`{"webhook":{"name":"n","url":"https://hooks.example/","events":"e"}}`)}
	if key != "" {
		r.header.Set("Idempotency-Key", key)
	}
	_, err := e.serve(ctx, r)
	return err
}
