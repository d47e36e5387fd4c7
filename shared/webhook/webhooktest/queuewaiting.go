package webhooktest

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"webhooks/shared/webhook"
)

func waitingCases() []testCase {
	return []testCase{
		{"deliveries and lanes wait until their time has come", func(f *fixture) {
			first := f.newDelivery()
			var want []webhook.Waiting
			for i := range 40 {
				d := f.accompany(first)
				o := f.outcome(d, webhook.StatusPending)
				o.Due = f.now.Add(time.Hour + time.Duration(i%20)*time.Minute)
				want = append(want, deliveryEntry(f.record(d, o)))
			}
			lane := f.pause(f.newDelivery(), f.now.Add(70*time.Minute+time.Millisecond))
			f.wantNotDue(lane, f.now)
			want = append(want, laneEntry(lane, f.now.Add(70*time.Minute+time.Millisecond)))
			f.wantEntries(want...)
			for _, until := range []time.Duration{time.Hour - time.Millisecond, time.Hour, 70 * time.Minute, 70*time.Minute + time.Millisecond, 100 * time.Hour} {
				at := f.now.Add(until)
				due := slices.DeleteFunc(slices.Clone(want), func(w webhook.Waiting) bool { return w.At.After(at) })
				if got := f.entries(at); !sameEntries(got, due) {
					f.t.Errorf("until %v: Waiting = %+v, want %+v", until, got, due)
				}
			}
			f.inNew().wantEntries()
		}},
		{"the earliest entries come first", func(f *fixture) {
			f.now = f.now.Add(-20 * 24 * time.Hour) // earlier than the entries of other cases
			first := f.newDelivery()
			var want []webhook.Waiting
			for i := range 40 {
				d := f.accompany(first)
				o := f.outcome(d, webhook.StatusPending)
				o.Due = f.now.Add(24*time.Hour + time.Duration(i*7%40)*time.Minute)
				want = append(want, deliveryEntry(f.record(d, o)))
			}
			f.wantEntries(want...)
			for shard := range webhook.WaitingShards {
				all := f.waiting(shard, f.now.Add(48*time.Hour), 1000)
				for limit := 1; limit < len(all); limit++ {
					if got := f.waiting(shard, f.now.Add(48*time.Hour), limit); !slices.Equal(got, all[:limit]) {
						f.t.Errorf("limit %d: Waiting = %+v, want %+v", limit, got, all[:limit])
					}
				}
			}
		}},
		{"a claim moves an entry and returns its message", func(f *fixture) {
			d := f.attempt(f.newDelivery(), webhook.StatusPending)
			lane := f.pause(f.newDelivery(), f.now.Add(time.Minute))
			f.wantNotDue(lane, f.now)
			until := f.now.Add(5 * time.Hour)
			got := f.wantClaimed(deliveryEntry(d), until)
			if want := (webhook.Message{Kind: webhook.MessageDelivery, Ref: d.Ref, Slow: got.Slow}); got != want {
				f.t.Errorf("Claim of a delivery = %+v, want %+v", got, want)
			}
			got = f.wantClaimed(laneEntry(lane, f.now.Add(time.Minute)), until)
			want := webhook.Message{Kind: webhook.MessageLane, Ref: webhook.Ref{Company: lane.Company, WebhookID: lane.WebhookID}, Count: 1, Slow: got.Slow}
			if got != want {
				f.t.Errorf("Claim of a lane = %+v, want %+v", got, want)
			}
			f.wantEntries(deliveryAt(d, until), laneEntry(lane, until))
			if w := f.wantLook("claimed", d.Ref, f.now, webhook.LookReady); !w.Due.Equal(d.Due) {
				f.t.Errorf("the delivery is due at %v, want %v as before", w.Due, d.Due)
			}
			f.wantClaimed(deliveryAt(d, until), until.Add(time.Hour))
			f.wantEntries(deliveryAt(d, until.Add(time.Hour)), laneEntry(lane, until))
		}},
		{"of 16 concurrent claims exactly one succeeds", func(f *fixture) {
			d := f.attempt(f.newDelivery(), webhook.StatusPending)
			lane := f.pause(f.newDelivery(), f.now.Add(time.Minute))
			f.wantNotDue(lane, f.now)
			for _, w := range []webhook.Waiting{deliveryEntry(d), laneEntry(lane, f.now.Add(time.Minute))} {
				f.wantOneTrue(16, func(f *fixture) (bool, error) {
					_, claimed, err := f.queue.Claim(f.ctx, w, f.now.Add(10*time.Hour))
					return claimed, err
				})
			}
		}},
		{"an entry that has changed since cannot be claimed", func(f *fixture) {
			d := f.attempt(f.newDelivery(), webhook.StatusPending)
			before := deliveryEntry(d)
			d = f.attempt(d, webhook.StatusPending)
			f.wantNotClaimed("attempted", before)
			f.wantEntries(deliveryEntry(d))
			before = deliveryEntry(d)
			f.park(d.Ref, f.now)
			f.wantNotClaimed("parked", before)
			f.wantMoved(d, webhook.LaneMove{At: f.now.Add(time.Hour)})
			f.wantMoved(d, webhook.LaneMove{At: f.now.Add(2 * time.Hour)})
			f.wantNotClaimed("moved", laneEntry(d, f.now.Add(time.Hour)))
			f.wantEntries(laneEntry(d, f.now.Add(2*time.Hour)))
			f.attempt(d, webhook.StatusDelivered)
			f.wantMoved(d, webhook.LaneMove{})
			f.wantNotClaimed("nothing waits", laneEntry(d, f.now.Add(2*time.Hour)))
			f.wantNotClaimed("unknown delivery", deliveryEntry(f.newDelivery()))
			f.wantNotClaimed("unknown lane", laneEntry(f.newDelivery(), f.now))
		}},
	}
}

// later returns a time at which every entry of a case is due.
func (f *fixture) later() time.Time { return f.now.Add(1000 * time.Hour) }

// waiting reads entries of a shard and checks their number, order and times.
func (f *fixture) waiting(shard int, until time.Time, limit int) []webhook.Waiting {
	f.t.Helper()
	entries, err := f.queue.Waiting(f.ctx, shard, until, limit)
	ascending := slices.IsSortedFunc(entries, func(a, b webhook.Waiting) int { return a.At.Compare(b.At) })
	if err != nil || len(entries) > limit || !ascending || len(entries) > 0 && entries[len(entries)-1].At.After(until) {
		f.t.Fatalf("Waiting(%d, %v, %d) = %+v, %v", shard, until, limit, entries, err)
	}
	return entries
}

// entries reads the company's entries of all shards.
func (f *fixture) entries(until time.Time) []webhook.Waiting {
	f.t.Helper()
	var all []webhook.Waiting
	for shard := range webhook.WaitingShards {
		all = append(all, f.waiting(shard, until, 10_000)...)
	}
	return slices.DeleteFunc(all, func(w webhook.Waiting) bool { return w.Company != f.company })
}

// wantEntries checks all entries of the company.
func (f *fixture) wantEntries(want ...webhook.Waiting) {
	f.t.Helper()
	f.eventually("entries", func() bool { return sameEntries(f.entries(f.later()), want) })
}

// sameEntries reports whether lists are equal, in any order.
func sameEntries(a, b []webhook.Waiting) bool {
	sorted := func(entries []webhook.Waiting) []webhook.Waiting {
		return slices.SortedFunc(slices.Values(entries), func(a, b webhook.Waiting) int {
			return cmp.Or(strings.Compare(a.WebhookID+a.DeliveryID, b.WebhookID+b.DeliveryID), a.At.Compare(b.At))
		})
	}
	return slices.Equal(sorted(a), sorted(b))
}

// deliveryEntry returns the entry of a delivery that waits for a time.
func deliveryEntry(d webhook.Delivery) webhook.Waiting { return deliveryAt(d, d.Due) }

func deliveryAt(d webhook.Delivery, at time.Time) webhook.Waiting {
	return webhook.Waiting{Company: d.Company, WebhookID: d.WebhookID, DeliveryID: d.DeliveryID(), At: at}
}

// laneEntry returns the entry of a delivery's lane.
func laneEntry(d webhook.Delivery, at time.Time) webhook.Waiting {
	return webhook.Waiting{Company: d.Company, WebhookID: d.WebhookID, At: at}
}

func (f *fixture) wantClaimed(w webhook.Waiting, until time.Time) webhook.Message {
	f.t.Helper()
	m, claimed, err := f.queue.Claim(f.ctx, w, until)
	if !claimed || err != nil {
		f.t.Fatalf("Claim(%+v) = %v, %v, want true", w, claimed, err)
	}
	return f.sent(m)
}

func (f *fixture) wantNotClaimed(what string, w webhook.Waiting) {
	f.t.Helper()
	if _, claimed, err := f.queue.Claim(f.ctx, w, f.later()); claimed || err != nil {
		f.t.Errorf("%s: Claim = %v, %v, want false, nil", what, claimed, err)
	}
}

// wantOneTrue makes n concurrent calls and checks that one of them returns true.
func (f *fixture) wantOneTrue(n int, call func(f *fixture) (bool, error)) {
	f.t.Helper()
	var count atomic.Int32
	f.race(n, func(f *fixture, _ int) {
		ok, err := call(f)
		if err != nil {
			f.t.Errorf("got error %v", err)
		}
		if ok {
			count.Add(1)
		}
	})
	if count.Load() != 1 {
		f.t.Errorf("%d of %d calls returned true, want one", count.Load(), n)
	}
}

// eventually waits until a condition holds, because an index may be out of date for a moment.
func (f *fixture) eventually(what string, holds func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: wrong even after 5 seconds, when the entries are %.1000v", what, f.entries(f.later()))
		}
	}
}
