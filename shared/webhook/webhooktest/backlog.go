package webhooktest

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"webhooks/shared/webhook"
)

func backlogCases() []testCase {
	return []testCase{
		{"an empty store has nothing to do", func(f *fixture) {
			f.wantPending("Arrived", f.arrived(0, 100))
			f.wantPending("Granted", f.granted(0, 100))
			f.wantPending("Due", f.due(1, 100, f.now))
			f.wantLanes(0, 100)
			f.fanOut()
			f.upkeep(f.now, f.now)
		}},
		{"deliveries arrive once, ascending by number", func(f *fixture) {
			name := f.newTypeName()
			first, second := f.subscribe(name), f.subscribe(name)
			var want []webhook.Delivery
			for range 4 {
				after := f.lastNumber()
				e := f.publish(name)
				want = append(want, fresh(first, e), fresh(second, e))
				f.wantPending("Arrived", f.arrived(after, 100), want[len(want)-2:]...)
				f.wantPending("Arrived after the last", f.arrived(f.lastNumber(), 100))
			}
			f.wantPending("Arrived", f.arrived(0, 100), want...)
			start := f.arrived(0, 3)
			f.wantPending("Arrived, the first 3", start, want[:3]...)
			f.wantPending("Arrived, the next 3", f.arrived(start[2].Number, 3), want[3:6]...)
			f.delete(first.ID)
			f.wantPending("Arrived", f.arrived(0, 100), want[1], want[3], want[5], want[7])
		}},
		{"numbers are never used again", func(f *fixture) {
			d := f.newDelivery()
			p, after := f.pendingOf(d), f.lastNumber()
			f.delete(d.WebhookID)
			f.upkeep(f.now, f.now.Add(time.Second)) // deletes the event, too
			if last := f.lastNumber(); last != after {
				f.t.Errorf("the last number was %d and is %d after the deletion", after, last)
			}
			next := f.pendingOf(f.newDelivery())
			if next.Number <= after || next.Lane <= p.Lane {
				f.t.Errorf("got %+v after %+v, want higher numbers", next, p)
			}
		}},
		{"whoever reads after the last number that was read gets every delivery", backlogArrivals},
		{"a number is enough to get work", backlogNumbers},
		{"lanes with unfinished deliveries are listed by number", func(f *fixture) {
			var deliveries []webhook.Delivery
			var lanes []int64
			for range 5 {
				d := f.newDelivery()
				deliveries, lanes = append(deliveries, d, f.accompany(d)), append(lanes, f.pendingOf(d).Lane)
			}
			f.wantLanes(0, 100, lanes...)
			f.wantLanes(0, 2, lanes[:2]...)
			f.wantLanes(lanes[1], 2, lanes[2:4]...)
			f.wantLanes(lanes[4], 2)
			f.attempt(deliveries[2], webhook.StatusFailed)
			f.delete(deliveries[6].WebhookID)
			f.upkeep(f.now, f.now)
			f.wantLanes(0, 100, lanes[0], lanes[1], lanes[2], lanes[4])
			f.attempt(deliveries[3], webhook.StatusDelivered)
			f.wantLanes(0, 100, lanes[0], lanes[2], lanes[4])
		}},
		{"due deliveries are those that wait for the lane, and then the others by time", backlogDue},
		{"the first granted delivery of each lane is listed until the grant is used up", func(f *fixture) {
			var deliveries []webhook.Delivery
			for _, status := range []webhook.Status{webhook.StatusPending, webhook.StatusDelivered, webhook.StatusFailed} {
				d := f.attempt(f.newDelivery(), status)
				f.retry(d)
				f.retry(d)
				deliveries = append(deliveries, d)
			}
			second := f.accompany(deliveries[1])
			f.retry(second)
			f.wantPending("Granted", f.granted(0, 100), deliveries...)
			start := f.granted(0, 2)
			f.wantPending("Granted, the first 2", start, deliveries[:2]...)
			f.wantPending("Granted, the next 2", f.granted(start[1].Lane, 2), deliveries[2])
			f.attempt(deliveries[1], webhook.StatusDelivered)
			f.wantPending("Granted after an outcome", f.granted(0, 100), deliveries[0], second, deliveries[2])
			f.attempt(second, webhook.StatusDelivered)
			f.wantPending("Granted after another outcome", f.granted(0, 100), deliveries[0], deliveries[2])
			f.disable(f.accompany(deliveries[0]))
			f.wantPending("Granted after a webhook was disabled", f.granted(0, 100), deliveries[2])
			f.delete(deliveries[2].WebhookID)
			f.wantPending("Granted after a deletion", f.granted(0, 100))
		}},
		{"fan-out continues to the webhooks that subscribed at acceptance and still exist", backlogFanOut},
		{"deliveries are listed before their first attempt, and the few of 1,100 that match are found", func(f *fixture) {
			w := f.subscribe(f.newTypeName(), f.newTypeName())
			rare := fresh(w, f.publish(w.Events[1]))
			for range 11 {
				events := make([]webhook.NewEvent, 100)
				for i := range events {
					events[i] = f.newEvent(w.Events[0])
					events[i].AcceptedAt = f.now.Add(time.Millisecond)
				}
				f.accept(events...)
			}
			q := f.queryAll(w.ID)
			if got := f.query(q); len(got) != 1101 {
				f.t.Errorf("got %d deliveries, want 1101", len(got))
			}
			q.Type = rare.EventType
			f.wantDeliveries("Deliveries of a rare type", f.query(q), rare)
		}},
		{"deliveries are found although the clock was set back", func(f *fixture) {
			w := f.subscribe(f.newTypeName())
			for _, at := range []time.Duration{time.Hour, 0, 2 * time.Hour, -time.Hour, time.Hour} {
				e := f.newEvent(w.Events[0])
				e.AcceptedAt = f.now.Add(at)
				f.accept(e)
				f.wantEvent(e.Event)
				f.wantDelivery(fresh(w, e), f.now)
			}
		}},
		{"upkeep marks deliveries that are 84 h old as failed, unless they are held", func(f *fixture) {
			old, granted, held := f.newDelivery(), f.attempt(f.newDelivery(), webhook.StatusPending), f.newDelivery()
			delivered := f.attempt(f.newDelivery(), webhook.StatusDelivered)
			lane := f.pendingOf(old).Lane
			f.disable(f.accompany(held))
			f.retry(granted)
			held.Status, held.Due = webhook.StatusHeld, time.Time{}
			f.upkeep(f.now.Add(webhook.MaxAge-time.Millisecond), f.now)
			f.wantDelivery(old, f.now)
			f.upkeep(f.now.Add(webhook.MaxAge), f.now)
			old.Status, old.Due = webhook.StatusFailed, time.Time{}
			granted.Status, granted.Due = webhook.StatusFailed, time.Time{}
			for _, d := range []webhook.Delivery{old, granted, held, delivered} {
				f.wantDelivery(d, f.now)
				f.wantDelivery(d, f.now.Add(webhook.MaxAge))
			}
			f.wantPending("Granted", f.granted(0, 100), granted)
			f.wantPending("Due", f.due(lane, 100, f.now))
		}},
		{"upkeep deletes what is left of deleted webhooks, which another one with the same ID never gets", func(f *fixture) {
			w := f.subscribe(f.newTypeName())
			e := f.publish(w.Events[0])
			d := f.attempt(fresh(w, e), webhook.StatusPending)
			f.retry(d)
			f.delete(w.ID)
			f.create(w)
			for range 2 {
				f.wantDeliveries("EventDeliveries", f.eventDeliveries(e.ID, 100, f.now))
				f.wantDeliveries("Deliveries", f.query(f.queryAll(w.ID)))
				f.wantNoDelivery("deleted", w.Company, w.ID, d.DeliveryID())
				f.wantWork("deleted", d, f.now, false)
				f.wantNotApplied("deleted", f.outcome(d, webhook.StatusDelivered))
				f.wantLane(w.ID, webhook.Lane{})
				f.upkeep(f.now, f.now)
			}
		}},
		{"upkeep deletes events that were accepted before a time", backlogRetention},
	}
}

func backlogArrivals(f *fixture) {
	const writers, each = 4, 25
	w := f.subscribe(f.newTypeName())
	var written atomic.Int32
	f.race(writers+1, func(f *fixture, i int) {
		if i < writers {
			defer written.Add(1)
			for range each {
				f.publish(w.Events[0])
			}
			return
		}
		read, after := 0, int64(0)
		for done := false; !done && read <= writers*each; {
			done = written.Load() == writers
			if step := f.arrived(after, 7); len(step) > 0 {
				read, after = read+len(step), step[len(step)-1].Number
				done = false
			}
		}
		if read != writers*each {
			f.t.Errorf("%d deliveries arrived, want %d", read, writers*each)
		}
	})
}

func backlogNumbers(f *fixture) {
	d := f.attempt(f.newDelivery(), webhook.StatusPending)
	want := d.Ref
	want.Number = f.pendingOf(d).Number
	for _, r := range []webhook.Ref{{Number: want.Number}, {Number: want.Number, Company: "other", WebhookID: "\x00", EventID: "x", Made: 7}} {
		works, err := f.deliveries.Work(f.ctx, []webhook.Ref{r}, f.now)
		if err != nil || len(works) != 1 || works[0].Ref != want {
			f.t.Fatalf("Work = %+v, %v, want one of %+v", works, err, want)
		}
	}
	unknown := want
	unknown.Number++
	if works := f.work(f.now, unknown); len(works) > 0 {
		f.t.Errorf("got work for an unknown number: %+v", works)
	}
	o := f.outcome(d, webhook.StatusDelivered)
	o.Number = want.Number
	f.wantDelivery(f.record(d, o), f.now)
	f.wantNotApplied("a second time", o)
	o = f.outcome(d, webhook.StatusDelivered)
	o.Ref = unknown
	f.wantNotApplied("an unknown number", o)
}

func backlogDue(f *fixture) {
	first := f.newDelivery()
	var deliveries []webhook.Delivery
	for _, due := range []time.Duration{5 * time.Hour, 0, time.Hour, 2 * time.Hour, 0, time.Hour} { // 0: waits for the lane
		d := f.accompany(first)
		o := f.outcome(d, webhook.StatusPending)
		o.Due = time.Time{}
		if due > 0 {
			o.Due = f.now.Add(due)
		}
		deliveries = append(deliveries, f.record(d, o))
	}
	f.attempt(f.accompany(first), webhook.StatusDelivered)
	f.attempt(f.accompany(first), webhook.StatusFailed)
	other := f.newDelivery()
	lane, otherLane := f.pendingOf(first).Lane, f.pendingOf(other).Lane
	want := []webhook.Delivery{deliveries[1], deliveries[4], first, deliveries[2], deliveries[5], deliveries[3], deliveries[0]}
	f.wantPending("Due", f.due(lane, 100, f.now), want...)
	f.wantPending("Due, the first 4", f.due(lane, 4, f.now), want[:4]...)
	f.wantPending("Due just before 84 h", f.due(lane, 100, f.now.Add(webhook.MaxAge-time.Millisecond)), want...)
	f.wantPending("Due at 84 h", f.due(lane, 100, f.now.Add(webhook.MaxAge)))
	f.wantPending("Due in another lane", f.due(otherLane, 100, f.now), other)
	for _, unknown := range []int64{0, -1, otherLane + 1} {
		f.wantPending("Due in an unknown lane", f.due(unknown, 100, f.now))
	}
	f.disable(f.accompany(first))
	f.wantPending("Due in a disabled lane", f.due(lane, 100, f.now))
	f.delete(other.WebhookID)
	f.wantPending("Due in a deleted lane", f.due(otherLane, 100, f.now))
}

func backlogFanOut(f *fixture) {
	name := f.newTypeName()
	webhooks := make([]webhook.Webhook, 1005)
	for i := range webhooks {
		webhooks[i] = f.newWebhook()
		webhooks[i].Events = []string{name}
	}
	f.create(webhooks...)
	e := f.newEvent(name)
	if _, err := f.deliveries.AcceptEvents(f.ctx, []webhook.NewEvent{e}); err != nil {
		f.t.Fatalf("AcceptEvents: %v", err)
	}
	last := len(webhooks) - 1
	f.delete(webhooks[last].ID)
	f.create(webhooks[last]) // it did not exist at acceptance
	f.delete(webhooks[last-1].ID)
	f.subscribe(name)
	if replayed, err := f.deliveries.AcceptEvents(f.ctx, []webhook.NewEvent{e}); err != nil || !replayed[0] {
		f.t.Errorf("AcceptEvents = %v, %v before the fan-out was complete, want a repetition", replayed, err)
	}
	before, after := len(f.arrived(0, 2000)), f.lastNumber()
	f.fanOut()
	if n := len(f.arrived(after, 2000)); before+n != last-1 {
		f.t.Errorf("%d deliveries arrived at first and %d later, want %d", before, n, last-1)
	}
	got := f.eventDeliveries(e.ID, 100, f.now)
	isOf := func(d webhook.Delivery, w webhook.Webhook) bool {
		return d.WebhookID == w.ID && d.Status == webhook.StatusPending
	}
	if !slices.EqualFunc(got, webhooks[:last-1], isOf) {
		f.t.Errorf("got %d deliveries, want %d, or other ones", len(got), last-1)
	}
	f.publish(name) // with room for others
	if n := len(f.eventDeliveries(e.ID, 100, f.now)); n != last-1 {
		f.t.Errorf("the event has %d deliveries later, want %d", n, last-1)
	}
}

func backlogRetention(f *fixture) {
	w := f.subscribe(f.newTypeName())
	var events []webhook.NewEvent
	for i := range 4 {
		e := f.newEvent(w.Events[0])
		e.AcceptedAt = f.now.Add(time.Duration(i) * time.Millisecond)
		f.accept(e)
		events = append(events, e)
	}
	first := f.attempt(fresh(w, events[0]), webhook.StatusDelivered)
	kept := f.attempt(fresh(w, events[2]), webhook.StatusPending)
	f.upkeep(f.now, events[2].AcceptedAt)
	for _, e := range events[:2] {
		f.wantNoEvent("deleted", e.ID)
		f.wantNoDelivery("deleted", w.Company, w.ID, fresh(w, e).DeliveryID())
		f.wantWork("deleted", fresh(w, e), f.now, false)
	}
	f.wantNotApplied("deleted", f.outcome(fresh(w, events[1]), webhook.StatusDelivered))
	f.wantEvent(events[2].Event)
	f.wantDelivery(kept, f.now)
	f.wantDelivery(fresh(w, events[3]), f.now)
	f.wantSameDeliveries(f.query(f.queryAll(w.ID)), []webhook.Delivery{fresh(w, events[3]), kept})
	f.accept(events[0]) // its ID is free
	first.Made, first.Status, first.Due, first.Attempts = 0, webhook.StatusPending, first.AcceptedAt, nil
	f.wantDelivery(first, f.now)
}

// pending returns what a method of [webhook.Backlog] has returned.
func (f *fixture) pending(pending []webhook.Pending, err error) []webhook.Pending {
	f.t.Helper()
	if err != nil {
		f.t.Fatalf("got error %v", err)
	}
	return pending
}

func (f *fixture) arrived(after int64, limit int) []webhook.Pending {
	f.t.Helper()
	return f.pending(f.backlog.Arrived(f.ctx, after, limit))
}

func (f *fixture) granted(after int64, limit int) []webhook.Pending {
	f.t.Helper()
	return f.pending(f.backlog.Granted(f.ctx, after, limit))
}

func (f *fixture) due(lane int64, limit int, now time.Time) []webhook.Pending {
	f.t.Helper()
	return f.pending(f.backlog.Due(f.ctx, lane, limit, now))
}

func (f *fixture) lastNumber() int64 {
	f.t.Helper()
	n, err := f.backlog.LastNumber(f.ctx)
	if err != nil {
		f.t.Fatalf("LastNumber: %v", err)
	}
	return n
}

// upkeep does all there is to do.
func (f *fixture) upkeep(now, keepFrom time.Time) {
	f.t.Helper()
	f.repeat("Upkeep", func(ctx context.Context) (bool, error) { return f.backlog.Upkeep(ctx, now, keepFrom) })
}

func (f *fixture) wantLanes(after int64, limit int, want ...int64) {
	f.t.Helper()
	lanes := make([]webhook.Pending, len(want))
	for i, number := range want {
		lanes[i] = webhook.Pending{Company: f.company, Lane: number}
	}
	if got, err := f.backlog.Lanes(f.ctx, after, limit); err != nil || !slices.Equal(got, lanes) {
		f.t.Errorf("Lanes(%d, %d) = %+v, %v, want %+v", after, limit, got, err, lanes)
	}
}

// wantPending checks that elements name deliveries that can be attempted, and when these are due.
func (f *fixture) wantPending(what string, got []webhook.Pending, want ...webhook.Delivery) {
	f.t.Helper()
	if len(got) != len(want) {
		f.t.Fatalf("%s: got %d deliveries, want %d", what, len(got), len(want))
	}
	for i, p := range got {
		works := f.work(f.now, webhook.Ref{Number: p.Number})
		if len(works) != 1 || works[0].Ref != want[i].Ref || p.Due != want[i].Due || p.Company != want[i].Company {
			f.t.Fatalf("%s, element %d: got %+v and the work %+v, want %+v", what, i, p, works, want[i])
		}
	}
}

// pendingOf returns the numbers of an unfinished delivery.
func (f *fixture) pendingOf(d webhook.Delivery) webhook.Pending {
	f.t.Helper()
	for _, p := range f.arrived(0, 1000) {
		if works := f.work(f.now, webhook.Ref{Number: p.Number}); len(works) == 1 && works[0].Ref == d.Ref {
			return p
		}
	}
	f.t.Fatalf("%+v has not arrived", d.Ref)
	return webhook.Pending{}
}
