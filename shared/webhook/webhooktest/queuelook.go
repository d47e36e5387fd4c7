package webhooktest

import (
	"fmt"
	"reflect"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

func queueLookCases() []testCase {
	return []testCase{
		{"there is all that an attempt needs", func(f *fixture) {
			w := f.subscribe(f.newTypeName())
			e := f.publish(w.Events[0])
			d := fresh(w, e)
			want := webhook.Work{Ref: d.Ref, Status: webhook.StatusPending, Due: e.AcceptedAt, Webhook: w, Event: e.Event}
			f.wantSameWork(f.wantLook("fresh", d.Ref, f.now, webhook.LookReady), want)
			o := f.outcome(d, webhook.StatusPending)
			o.Step, o.Lane = 3, webhook.LaneFailed
			d = f.record(d, o)
			want.Ref, want.Step, want.Due, want.Lane = d.Ref, 3, d.Due, webhook.Lane{Failures: 1, FirstFailure: o.Attempt.Ended()}
			f.wantSameWork(f.wantLook("after an attempt", d.Ref, f.now, webhook.LookReady), want)
		}},
		{"a delivery is done if it has finished, another attempt was made, or it does not exist", lookDone},
		{"a delivery with fewer attempts than the reference says is ahead", func(f *fixture) {
			d := f.newDelivery()
			for range 3 {
				r := d.Ref
				r.Made++
				f.wantLook(fmt.Sprintf("%d attempts", d.Made), r, f.now, webhook.LookAhead)
				d = f.attempt(d, webhook.StatusPending)
			}
		}},
		{"an unfinished delivery expires at the age of 84 h", func(f *fixture) {
			w := f.subscribe(f.newTypeName())
			for _, d := range []webhook.Delivery{fresh(w, f.publish(w.Events[0])), f.attempt(fresh(w, f.publish(w.Events[0])), webhook.StatusPending)} {
				f.wantLook("just before", d.Ref, f.now.Add(webhook.MaxAge-time.Millisecond), webhook.LookReady)
				if got := f.wantLook("at 84 h", d.Ref, f.now.Add(webhook.MaxAge), webhook.LookExpired); got.Ref != d.Ref {
					f.t.Errorf("got %+v, want %+v", got.Ref, d.Ref)
				}
			}
		}},
		{"an unfinished delivery that is stored expires when its webhook is deleted", func(f *fixture) {
			tried, parked := f.attempt(f.newDelivery(), webhook.StatusPending), f.newDelivery()
			f.park(parked.Ref, f.now)
			for _, d := range []webhook.Delivery{tried, parked} {
				f.delete(d.WebhookID)
				f.wantLook("deleted", d.Ref, f.now, webhook.LookExpired)
			}
		}},
		{"unfinished deliveries of a disabled webhook are held", func(f *fixture) {
			untried, tried := f.newDelivery(), f.attempt(f.newDelivery(), webhook.StatusPending)
			for _, d := range []webhook.Delivery{untried, tried} {
				f.disable(f.accompany(d))
				f.wantLook("disabled", d.Ref, f.now, webhook.LookHeld)
				f.wantLook("old", d.Ref, f.now.Add(webhook.MaxAge), webhook.LookHeld)
			}
		}},
		{"a granted attempt can be made in any state, unless the webhook is disabled", func(f *fixture) {
			for status, disabled := range map[webhook.Status]webhook.LookState{
				webhook.StatusPending: webhook.LookHeld, webhook.StatusDelivered: webhook.LookDone, webhook.StatusFailed: webhook.LookDone,
			} {
				d := f.attempt(f.newDelivery(), status)
				f.retry(d)
				w := f.wantLook(string(status), d.Ref, f.now, webhook.LookReady)
				if !w.Granted || w.Status != status || !w.Due.Equal(d.Due) || w.Step != 1 {
					f.t.Errorf("%s: got granted %v, status %s, due %v, step %d, want due %v, step 1", status, w.Granted, w.Status, w.Due, w.Step, d.Due)
				}
				f.wantLook("old", d.Ref, f.now.Add(webhook.MaxAge), webhook.LookReady)
				f.disable(f.accompany(d))
				f.wantLook("disabled", d.Ref, f.now, disabled)
			}
		}},
		{"100 deliveries, which are in the order of the references", func(f *fixture) {
			name := f.newTypeName()
			webhooks := []webhook.Webhook{f.subscribe(name), f.subscribe(name), f.subscribe(name), f.subscribe(name)}
			var refs []webhook.Ref
			for i := range 25 {
				e := f.publish(name)
				d := fresh(webhooks[i%4], e)
				if i%5 == 0 {
					f.attempt(d, webhook.StatusDelivered)
				}
				refs = append(refs, refsTo(e, webhooks...)...)
			}
			f.look(f.now, refs[:25]...)
			for i, l := range f.look(f.now, refs...) {
				want := webhook.LookReady
				if n := i / 4; n%5 == 0 && i%4 == n%4 {
					want = webhook.LookDone
				}
				if l.State != want {
					f.t.Errorf("delivery %d: got state %d, want %d", i, l.State, want)
				}
			}
		}},
	}
}

func lookDone(f *fixture) {
	tried, gone := f.attempt(f.attempt(f.newDelivery(), webhook.StatusPending), webhook.StatusPending), f.newDelivery()
	f.delete(gone.WebhookID)
	change := func(d webhook.Delivery, change func(r *webhook.Ref)) webhook.Ref {
		change(&d.Ref)
		return d.Ref
	}
	done := map[string]webhook.Ref{
		"delivered":               f.attempt(f.newDelivery(), webhook.StatusDelivered).Ref,
		"failed":                  f.attempt(f.newDelivery(), webhook.StatusFailed).Ref,
		"delivered, and ahead":    change(f.attempt(f.newDelivery(), webhook.StatusDelivered), func(r *webhook.Ref) { r.Made++ }),
		"one attempt less":        change(tried, func(r *webhook.Ref) { r.Made-- }),
		"two attempts less":       change(tried, func(r *webhook.Ref) { r.Made -= 2 }),
		"deleted webhook":         gone.Ref,
		"unknown event":           change(f.newDelivery(), func(r *webhook.Ref) { r.EventID = f.newEvent("").ID }),
		"unknown webhook":         change(f.newDelivery(), func(r *webhook.Ref) { r.WebhookID = f.newWebhook().ID }),
		"an event of another one": change(f.newDelivery(), func(r *webhook.Ref) { r.EventID = f.newDelivery().EventID }),
		"another company":         change(f.newDelivery(), func(r *webhook.Ref) { r.Company = newCompany() }),
	}
	for what, id := range oddStrings() {
		done["event ID: "+what] = change(f.newDelivery(), func(r *webhook.Ref) { r.EventID = id })
		done["webhook ID: "+what] = change(f.newDelivery(), func(r *webhook.Ref) { r.WebhookID = id })
	}
	for what, r := range done {
		f.wantLook(what, r, f.now, webhook.LookDone)
	}
}

func parkCases() []testCase {
	return []testCase{
		{"a parked delivery waits for its lane, and the lane for the time at which it opens", func(f *fixture) {
			first := f.newDelivery()
			until := f.now.Add(time.Hour)
			first = f.pause(first, until)
			d := f.accompany(first)
			f.wantNotDue(d, f.now)
			f.wantParked(first.WebhookID, d)
			f.wantEntries(laneEntry(d, until))
			d.Due = time.Time{}
			f.wantDelivery(d, f.now)
			if w := f.wantLook("parked", d.Ref, f.now, webhook.LookReady); !w.Due.IsZero() {
				f.t.Errorf("the delivery is due at %v, want no time", w.Due)
			}
		}},
		{"if the lane is open, it is due now", func(f *fixture) {
			d := f.newDelivery()
			if !f.park(d.Ref, f.now) {
				f.t.Error("the lane is not due")
			}
			f.wantParked(d.WebhookID, d)
			entries := f.entries(f.now)
			if len(entries) != 1 || entries[0].DeliveryID != "" {
				f.t.Errorf("got %+v, want an entry of the lane", entries)
			}
		}},
		{"a failing lane waits for its probe", func(f *fixture) {
			d := f.fail(f.newDelivery(), webhook.FailuresToOpen, time.Minute)
			other := f.accompany(d)
			f.wantNotDue(other, f.now.Add(4*time.Minute))
			f.wantEntries(laneEntry(d, f.lane(d.WebhookID).ProbeAt), deliveryEntry(d))
		}},
		{"a lane that already waits keeps its time", func(f *fixture) {
			first := f.pause(f.newDelivery(), f.now.Add(time.Hour))
			f.wantNotDue(f.accompany(first), f.now)
			if f.park(f.accompany(first).Ref, f.now.Add(2*time.Hour)) {
				f.t.Error("the lane was already due, so it needs nothing else")
			}
			f.wantEntries(laneEntry(first, f.now.Add(time.Hour)))
		}},
		{"parking twice is the same as once", func(f *fixture) {
			d := f.accompany(f.pause(f.newDelivery(), f.now.Add(time.Hour)))
			w := f.wantLook("fresh", d.Ref, f.now, webhook.LookReady)
			for range 3 {
				if isDue, err := f.queue.Park(f.ctx, w, f.now); isDue || err != nil {
					f.t.Errorf("Park = %v, %v, want false, nil", isDue, err)
				}
				f.wantParked(d.WebhookID, d)
				f.wantEntries(laneEntry(d, f.now.Add(time.Hour)))
			}
		}},
		{"a delivery that waits for a time waits for its lane instead", func(f *fixture) {
			d := f.attempt(f.pause(f.newDelivery(), f.now.Add(time.Minute)), webhook.StatusPending)
			f.wantEntries(deliveryEntry(d))
			f.park(d.Ref, f.now)
			f.wantEntries(laneEntry(d, f.now.Add(time.Minute)))
			f.wantParked(d.WebhookID, d)
			f.attempt(d, webhook.StatusDelivered)
			f.wantParked(d.WebhookID)
		}},
		{"a delivery that has changed since is not parked", func(f *fixture) {
			for _, status := range []webhook.Status{webhook.StatusPending, webhook.StatusDelivered, webhook.StatusFailed} {
				d := f.newDelivery()
				w := f.wantLook("fresh", d.Ref, f.now, webhook.LookReady)
				d = f.attempt(d, status)
				if _, err := f.queue.Park(f.ctx, w, f.now); err != nil {
					f.t.Errorf("Park: %v", err)
				}
				f.wantDelivery(d, f.now)
				f.wantParked(d.WebhookID)
			}
		}},
		{"a held delivery waits, but its lane does not", func(f *fixture) {
			d := f.newDelivery()
			f.disable(f.accompany(d))
			w := f.wantLook("disabled", d.Ref, f.now, webhook.LookHeld)
			if isDue, err := f.queue.Park(f.ctx, w, f.now); isDue || err != nil {
				f.t.Errorf("Park = %v, %v, want false, nil", isDue, err)
			}
			d.Status, d.Due = webhook.StatusHeld, time.Time{}
			f.wantEntries()
			got, err := f.deliveries.Delivery(f.ctx, d.Company, d.WebhookID, d.DeliveryID(), f.now)
			if err != nil {
				f.t.Fatalf("Delivery: %v", err)
			}
			f.wantDeliveries("Delivery", []webhook.Delivery{got}, d)
		}},
		{"16 concurrent calls park 16 deliveries", func(f *fixture) {
			first := f.pause(f.newDelivery(), f.now.Add(time.Hour))
			var deliveries []webhook.Delivery
			for range 16 {
				deliveries = append(deliveries, f.accompany(first))
			}
			f.race(len(deliveries), func(f *fixture, i int) { f.wantNotDue(deliveries[i], f.now) })
			f.wantParked(first.WebhookID, deliveries...)
			f.wantEntries(laneEntry(first, f.now.Add(time.Hour)))
		}},
		{"a parked delivery can be retried", func(f *fixture) {
			d := f.newDelivery()
			f.park(d.Ref, f.now)
			d.Due = time.Time{}
			f.retry(d)
			if w := f.wantLook("granted", d.Ref, f.now, webhook.LookReady); !w.Granted {
				f.t.Error("the work is not granted")
			}
		}},
		{"a settled delivery has failed and does not wait", func(f *fixture) {
			untried, timed, parked := f.newDelivery(), f.attempt(f.newDelivery(), webhook.StatusPending), f.newDelivery()
			f.park(parked.Ref, f.now)
			for _, d := range []webhook.Delivery{untried, timed, parked} {
				w := f.wantLook("old", d.Ref, f.now.Add(webhook.MaxAge), webhook.LookExpired)
				d.Status, d.Due = webhook.StatusFailed, time.Time{}
				for range 2 {
					f.settle(w)
					f.wantLook("settled", d.Ref, f.now, webhook.LookDone)
					f.wantParked(d.WebhookID)
					got, err := f.deliveries.Delivery(f.ctx, d.Company, d.WebhookID, d.DeliveryID(), f.now)
					if err != nil {
						f.t.Fatalf("Delivery: %v", err)
					}
					f.wantDeliveries("Delivery", []webhook.Delivery{got}, d)
				}
			}
			f.eventually("deliveries still wait for a time", func() bool {
				return !slices.ContainsFunc(f.entries(f.later()), func(w webhook.Waiting) bool { return w.DeliveryID != "" })
			})
		}},
		{"a delivery of a deleted webhook no longer waits after it is settled", func(f *fixture) {
			d := f.attempt(f.newDelivery(), webhook.StatusPending)
			f.delete(d.WebhookID)
			f.wantEntries(deliveryEntry(d))
			f.settle(f.wantLook("deleted", d.Ref, f.now, webhook.LookExpired))
			f.wantEntries()
			f.wantLook("settled", d.Ref, f.now, webhook.LookDone)
		}},
		{"a delivery that has changed since is not settled", func(f *fixture) {
			d := f.newDelivery()
			w := f.wantLook("old", d.Ref, f.now.Add(webhook.MaxAge), webhook.LookExpired)
			d = f.attempt(d, webhook.StatusPending)
			f.settle(w)
			f.wantDelivery(d, f.now)
			w = f.wantLook("old", d.Ref, f.now.Add(webhook.MaxAge), webhook.LookExpired)
			d = f.attempt(d, webhook.StatusDelivered)
			f.settle(w)
			f.wantDelivery(d, f.now)
		}},
	}
}

// look reads deliveries at a time, and checks that the results belong to the references.
func (f *fixture) look(now time.Time, refs ...webhook.Ref) []webhook.Look {
	f.t.Helper()
	looks, err := f.queue.Look(f.ctx, refs, now)
	if err != nil || len(looks) != len(refs) {
		f.t.Fatalf("Look = %d results, %v, want %d", len(looks), err, len(refs))
	}
	for i, l := range looks {
		want := refs[i]
		want.Number, want.Made = l.Work.Number, l.Work.Made
		if l.Work.Ref != want {
			f.t.Fatalf("Look, result %d: got %+v, want %+v", i, l.Work.Ref, refs[i])
		}
	}
	return looks
}

// wantLook checks the state of a delivery, and returns its work.
func (f *fixture) wantLook(what string, r webhook.Ref, now time.Time, want webhook.LookState) webhook.Work {
	f.t.Helper()
	look := f.look(now, r)[0]
	if look.State != want {
		f.t.Fatalf("%s: Look = %+v, want state %d", what, look, want)
	}
	if want == webhook.LookDone || want == webhook.LookAhead {
		if only := (webhook.Work{Ref: look.Work.Ref}); !reflect.DeepEqual(look.Work, only) {
			f.t.Errorf("%s: Look = %+v, want only the Ref", what, look.Work)
		}
	}
	return look.Work
}

// park parks a delivery that can be attempted, and returns whether its lane is due.
func (f *fixture) park(r webhook.Ref, now time.Time) (isDue bool) {
	f.t.Helper()
	isDue, err := f.queue.Park(f.ctx, f.wantLook("to be parked", r, now, webhook.LookReady), now)
	if err != nil {
		f.t.Fatalf("Park: %v", err)
	}
	return isDue
}

// wantNotDue parks a delivery of a lane that opens later.
func (f *fixture) wantNotDue(d webhook.Delivery, now time.Time) {
	f.t.Helper()
	if f.park(d.Ref, now) {
		f.t.Error("the lane is due too early")
	}
}

func (f *fixture) settle(w webhook.Work) {
	f.t.Helper()
	if err := f.queue.Settle(f.ctx, w); err != nil {
		f.t.Fatalf("Settle: %v", err)
	}
}

// pause records an attempt of a delivery that pauses the lane and is the last one.
func (f *fixture) pause(d webhook.Delivery, until time.Time) webhook.Delivery {
	f.t.Helper()
	o := f.outcome(d, webhook.StatusFailed)
	o.Lane, o.PausedUntil = webhook.LaneFailed, until
	f.record(d, o)
	return f.accompany(d)
}
