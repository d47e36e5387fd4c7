package webhooktest

import (
	"bytes"
	"reflect"
	"time"

	"webhooks/shared/webhook"
)

func workCases() []testCase {
	return []testCase{
		{"there is all that the first attempt and later ones need", func(f *fixture) {
			w := f.newWebhook()
			w.URL, w.Events, w.Version = "HTTPS://example.com:443/ä", []string{f.newTypeName()}, 7
			f.create(w)
			e := f.publish(w.Events[0])
			d := fresh(w, e)
			want := webhook.Work{Ref: d.Ref, Status: webhook.StatusPending, Due: e.AcceptedAt, Webhook: w, Event: e.Event}
			f.wantWorks([]webhook.Work{want}, d.Ref)
			o := f.outcome(d, webhook.StatusPending)
			o.Step, o.Lane, o.WebhookVersion = 3, webhook.LaneFailed, 7
			d = f.record(d, o)
			want.Ref, want.Step, want.Due, want.Lane = d.Ref, 3, d.Due, webhook.Lane{Failures: 1, FirstFailure: o.Attempt.Ended()}
			f.wantWorks([]webhook.Work{want}, d.Ref)
		}},
		{"what is not to be attempted is left out", workLeftOut},
		{"deliveries are attempted until their events are 84 h old", func(f *fixture) {
			d := f.newDelivery()
			f.wantWork("just before", d, d.AcceptedAt.Add(webhook.MaxAge-time.Millisecond), true)
			f.wantWork("at 84 h", d, d.AcceptedAt.Add(webhook.MaxAge), false)
		}},
		{"due times, pauses and failing lanes do not matter", func(f *fixture) {
			d := f.newDelivery()
			o := f.outcome(d, webhook.StatusPending)
			o.Lane, o.PausedUntil = webhook.LaneFailed, f.now.Add(time.Hour)
			d = f.record(d, o)
			f.wantWork("paused", d, f.now, true)
			d = f.fail(d, webhook.FailuresToOpen, time.Minute)
			if w := f.wantWork("failing", d, f.now, true); !w.Lane.IsFailing() {
				f.t.Errorf("the lane is not failing: %+v", w.Lane)
			}
		}},
		{"a grant makes an attempt possible after the delivery has finished, until the webhook is disabled", func(f *fixture) {
			for _, status := range []webhook.Status{webhook.StatusPending, webhook.StatusDelivered, webhook.StatusFailed} {
				d := f.attempt(f.newDelivery(), status)
				f.retry(d)
				w := f.wantWork(string(status), d, f.now, true)
				if !w.Granted || w.Status != status || !w.Due.Equal(d.Due) || w.Step != 1 {
					f.t.Errorf("%s: got granted %v, status %s, due %v, step %d, want due %v, step 1", status, w.Granted, w.Status, w.Due, w.Step, d.Due)
				}
				old := f.wantWork("old", d, f.now.Add(webhook.MaxAge), true)
				if want := webhook.StatusOf(status, webhook.Lane{}, f.now, f.now.Add(webhook.MaxAge)); old.Status != want {
					f.t.Errorf("%s: got status %s at 84 h, want %s", status, old.Status, want)
				}
				f.disable(f.accompany(d))
				f.wantWork("disabled", d, f.now, false)
			}
		}},
		{"100 works, some of one event or one webhook", func(f *fixture) {
			name := f.newTypeName()
			var refs []webhook.Ref
			var want []webhook.Work
			webhooks := []webhook.Webhook{f.subscribe(name), f.subscribe(name), f.subscribe(name), f.subscribe(name)}
			events := make([]webhook.NewEvent, 25)
			for i := range events {
				events[i] = f.newEvent(name)
			}
			f.accept(events...)
			for _, w := range webhooks {
				for _, e := range events {
					refs = append(refs, fresh(w, e).Ref)
					want = append(want, webhook.Work{Ref: fresh(w, e).Ref, Status: webhook.StatusPending, Due: e.AcceptedAt, Webhook: w, Event: e.Event})
				}
			}
			f.wantWorks(want, refs...)
			f.wantWorks(nil)
		}},
	}
}

func workLeftOut(f *fixture) {
	change := func(change func(d *webhook.Delivery)) webhook.Delivery {
		d := f.newDelivery()
		change(&d)
		return d
	}
	gone, disabled := f.newDelivery(), f.newDelivery()
	f.delete(gone.WebhookID)
	f.disable(f.accompany(disabled))
	leftOut := map[string]webhook.Delivery{
		"an unknown event":             change(func(d *webhook.Delivery) { d.EventID = f.newEvent("").ID }),
		"an unknown webhook":           change(func(d *webhook.Delivery) { d.WebhookID = f.newWebhook().ID }),
		"an event of another type":     change(func(d *webhook.Delivery) { d.EventID = f.newDelivery().EventID }),
		"another company":              change(func(d *webhook.Delivery) { d.Company = newCompany() }),
		"more attempts than were made": change(func(d *webhook.Delivery) { d.Made++ }),
		"fewer attempts than were made": change(func(d *webhook.Delivery) {
			*d = f.attempt(*d, webhook.StatusPending)
			d.Made--
		}),
		"delivered":             f.attempt(f.newDelivery(), webhook.StatusDelivered),
		"failed":                f.attempt(f.newDelivery(), webhook.StatusFailed),
		"of a deleted webhook":  gone,
		"of a disabled webhook": disabled,
	}
	for _, what := range []string{"empty", "NUL", "invalid UTF-8", "quotes"} {
		leftOut["event ID: "+what] = change(func(d *webhook.Delivery) { d.EventID = oddStrings()[what] })
		leftOut["webhook ID: "+what] = change(func(d *webhook.Delivery) { d.WebhookID = oddStrings()[what] })
	}
	good := f.newDelivery()
	refs := []webhook.Ref{good.Ref}
	for what, d := range leftOut {
		f.wantWork(what, d, f.now, false)
		refs = append(refs, d.Ref)
	}
	if works := f.work(f.now, refs...); len(works) != 1 || works[0].Ref != good.Ref {
		f.t.Errorf("got %d works among those that are left out, want 1", len(works))
	}
}

// wantWorks compares works, which are in the order of [fixture.work].
func (f *fixture) wantWorks(want []webhook.Work, refs ...webhook.Ref) {
	f.t.Helper()
	got := f.work(f.now, refs...)
	if len(got) != len(want) {
		f.t.Fatalf("got %d works, want %d", len(got), len(want))
	}
	for i := range want {
		f.wantSameWork(got[i], want[i])
	}
}

func (f *fixture) wantSameWork(got, want webhook.Work) {
	f.t.Helper()
	g, w := got.Webhook, want.Webhook
	sameWebhook := g.ID == w.ID && g.Company == w.Company && g.URL == w.URL && g.Version == w.Version && bytes.Equal(g.SealedToken, w.SealedToken)
	if got.Ref != want.Ref || got.Status != want.Status || got.Step != want.Step || got.Due != want.Due || got.Granted != want.Granted ||
		got.Lane != want.Lane || !sameWebhook || !reflect.DeepEqual(got.Event, want.Event) {
		f.t.Fatalf("got %+v, want %+v", got, want)
	}
}

// accompany returns another delivery of the same webhook.
func (f *fixture) accompany(d webhook.Delivery) webhook.Delivery {
	f.t.Helper()
	e := f.publish(d.EventType)
	d.EventID, d.Made, d.Status, d.Due, d.Attempts = e.ID, 0, webhook.StatusPending, e.AcceptedAt, nil
	return d
}

// fail records failed attempts that count for the lane, at equal intervals.
func (f *fixture) fail(d webhook.Delivery, n int, interval time.Duration) webhook.Delivery {
	f.t.Helper()
	for i := range n {
		o := f.outcome(d, webhook.StatusPending)
		o.Lane = webhook.LaneFailed
		o.Attempt.At = f.now.Add(time.Duration(i) * interval)
		d = f.record(d, o)
	}
	return d
}

// retry grants an attempt of a delivery, which has had one.
func (f *fixture) retry(d webhook.Delivery) {
	f.t.Helper()
	got, err := f.deliveries.RetryDelivery(f.ctx, d.Company, d.WebhookID, d.DeliveryID(), f.now)
	if err != nil {
		f.t.Fatalf("RetryDelivery: %v", err)
	}
	f.wantDeliveries("RetryDelivery", []webhook.Delivery{got}, d)
}
