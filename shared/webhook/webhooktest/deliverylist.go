package webhooktest

import (
	"slices"
	"strings"
	"time"

	"webhooks/shared/webhook"
)

func deliveryListCases() []testCase {
	return []testCase{
		{"the deliveries of an event are paged by webhook ID", func(f *fixture) {
			name := f.newTypeName()
			var webhooks []webhook.Webhook
			for range 7 {
				webhooks = append(webhooks, f.subscribe(name))
			}
			e := f.publish(name)
			var want []webhook.Delivery
			for i, w := range webhooks {
				want = append(want, fresh(w, e))
				if i%2 == 0 {
					want[i] = f.attempt(want[i], webhook.StatusDelivered)
				}
			}
			for _, limit := range []int{1, 2, 3, 6, 7, 8, 100} {
				f.wantDeliveries("EventDeliveries", f.eventDeliveries(e.ID, limit, f.now), want...)
			}
			first, err := f.deliveries.EventDeliveries(f.ctx, f.company, e.ID, "", 3, f.now)
			if err != nil {
				f.t.Fatalf("EventDeliveries: %v", err)
			}
			f.delete(webhooks[2].ID)
			rest, err := f.deliveries.EventDeliveries(f.ctx, f.company, e.ID, first.Next, 100, f.now)
			if err != nil {
				f.t.Fatalf("EventDeliveries after a deletion: %v", err)
			}
			f.wantDeliveries("EventDeliveries after a deletion", rest.Deliveries, want[3:]...)
		}},
		{"the deliveries of a webhook are selected by status, type and time, newest first", deliveryFilters},
		{"pages have no gaps and repetitions while events are accepted", deliveryPages},
		{"other cursors are invalid", func(f *fixture) {
			d := f.attempt(f.newDelivery(), webhook.StatusPending)
			for what, cursor := range oddStrings() {
				q := f.queryAll(d.WebhookID)
				if q.Cursor = cursor; cursor == "" {
					continue
				}
				page, err := f.deliveries.Deliveries(f.ctx, q)
				if err == nil {
					f.t.Errorf("Deliveries with the cursor %q returned %d deliveries, want an error", what, len(page.Deliveries))
					continue
				}
				wantError(f.t, err, webhook.InvalidCursor())
				if _, err := f.deliveries.EventDeliveries(f.ctx, f.company, d.EventID, cursor, 100, f.now); err != nil && webhook.KindOf(err) != webhook.KindInvalid {
					f.t.Errorf("EventDeliveries with the cursor %q: %v", what, err)
				}
			}
		}},
		{"unknown deliveries and those of another company are not found", func(f *fixture) {
			d, other := f.attempt(f.newDelivery(), webhook.StatusPending), f.attempt(f.newDelivery(), webhook.StatusPending)
			gone := f.attempt(f.newDelivery(), webhook.StatusPending)
			f.delete(gone.WebhookID)
			unknown := oddStrings()
			unknown["lower case"], unknown["without prefix"] = strings.ToLower(d.DeliveryID()), d.DeliveryID()[4:]
			unknown["another webhook's"] = other.DeliveryID()
			later := d.Ref
			later.AcceptedAt = later.AcceptedAt.Add(time.Millisecond)
			unknown["another time's"] = later.DeliveryID()
			for what, id := range unknown {
				f.wantNoDelivery(what, f.company, d.WebhookID, id)
			}
			for what, id := range oddStrings() {
				f.wantNoDelivery("webhook "+what, f.company, id, d.DeliveryID())
			}
			f.wantNoDelivery("deleted", f.company, gone.WebhookID, gone.DeliveryID())
			f.wantNoDelivery("another company's", newCompany(), d.WebhookID, d.DeliveryID())
			f.wantDelivery(d, f.now)
		}},
		{"webhooks with the same ID in two companies have nothing in common", func(f *fixture) {
			name, other := f.newTypeName(), f.inNew()
			mine := f.subscribe(name)
			theirs := clone(mine)
			theirs.Company = other.company
			other.create(theirs)
			d, e := f.attempt(fresh(mine, f.publish(name)), webhook.StatusPending), fresh(theirs, other.publish(name))
			d = f.disable(d)
			e = other.attempt(e, webhook.StatusPending)
			f.wantDelivery(d, f.now)
			other.wantDelivery(e, f.now)
			other.wantLane(theirs.ID, webhook.Lane{})
			f.wantSameDeliveries(f.query(f.queryAll(mine.ID)), []webhook.Delivery{d})
			f.delete(mine.ID)
			other.wantDelivery(e, f.now)
		}},
	}
}

func deliveryPages(f *fixture) {
	w := f.subscribe(f.newTypeName())
	var all []webhook.Delivery
	publish := func() {
		e := f.newEvent(w.Events[0])
		e.AcceptedAt = f.now.Add(time.Duration(len(all)/3) * time.Millisecond) // three at a time
		f.accept(e)
		all = append(all, f.attempt(fresh(w, e), webhook.StatusPending))
	}
	for range 30 {
		publish()
	}
	for _, limit := range []int{1, 7, 30, 100} {
		for len(all)%3 > 0 {
			publish() // so that later ones are newer
		}
		want := slices.Clone(all)
		q := f.queryAll(w.ID)
		q.Limit = limit
		f.wantSameDeliveries(f.pages(limit, func(cursor string) (webhook.DeliveryPage, error) {
			q.Cursor = cursor
			page, err := f.deliveries.Deliveries(f.ctx, q)
			publish()
			return page, err
		}), want)
	}
}

func deliveryFilters(f *fixture) {
	w := f.subscribe(f.newTypeName(), f.newTypeName())
	statuses := []webhook.Status{webhook.StatusPending, webhook.StatusDelivered, webhook.StatusFailed}
	at := func(i int) time.Time { return f.now.Add(time.Duration(i) * time.Millisecond) }
	var all []webhook.Delivery
	for i := range 12 {
		e := f.newEvent(w.Events[i%2])
		e.AcceptedAt = at(i)
		f.accept(e)
		all = append(all, f.attempt(fresh(w, e), statuses[i%3]))
	}
	tests := []struct {
		name  string
		query webhook.DeliveryQuery
		want  []int
	}{
		{"all", webhook.DeliveryQuery{}, []int{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{"pending", webhook.DeliveryQuery{Status: "pending"}, []int{9, 6, 3, 0}},
		{"delivered", webhook.DeliveryQuery{Status: "delivered"}, []int{10, 7, 4, 1}},
		{"failed", webhook.DeliveryQuery{Status: "failed"}, []int{11, 8, 5, 2}},
		{"held", webhook.DeliveryQuery{Status: "held"}, nil},
		{"failed after 84 h", webhook.DeliveryQuery{Status: "failed", Now: at(3).Add(webhook.MaxAge)}, []int{11, 8, 5, 3, 2, 0}},
		{"pending after 84 h", webhook.DeliveryQuery{Status: "pending", Now: at(3).Add(webhook.MaxAge)}, []int{9, 6}},
		{"a type", webhook.DeliveryQuery{Type: w.Events[1]}, []int{11, 9, 7, 5, 3, 1}},
		{"an unknown type", webhook.DeliveryQuery{Type: "\x00"}, nil},
		{"from", webhook.DeliveryQuery{From: at(9)}, []int{11, 10, 9}},
		{"from, to the microsecond", webhook.DeliveryQuery{From: at(9).Add(time.Microsecond)}, []int{11, 10}},
		{"to", webhook.DeliveryQuery{To: at(2)}, []int{1, 0}},
		{"to, to the microsecond", webhook.DeliveryQuery{To: at(2).Add(time.Microsecond)}, []int{2, 1, 0}},
		{"from and to", webhook.DeliveryQuery{From: at(3), To: at(6)}, []int{5, 4, 3}},
		{"no time", webhook.DeliveryQuery{From: at(3), To: at(3)}, nil},
		{"a long time", webhook.DeliveryQuery{From: time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC), To: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, []int{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0}},
		{"everything", webhook.DeliveryQuery{Status: "delivered", Type: w.Events[0], From: at(4), To: at(11)}, []int{10, 4}},
	}
	for _, tt := range tests {
		tt.query.Company, tt.query.WebhookID = f.company, w.ID
		if tt.query.Now.IsZero() {
			tt.query.Now = f.now
		}
		for _, tt.query.Limit = range []int{1, 5, 100} {
			got := f.query(tt.query)
			if !slices.EqualFunc(got, tt.want, func(d webhook.Delivery, i int) bool { return d.EventID == all[i].EventID }) {
				f.t.Errorf("%s, limit %d: got %d deliveries or another order: %v, want %v", tt.name, tt.query.Limit, len(got), got, tt.want)
			}
		}
	}
}

func retryCases() []testCase {
	return []testCase{
		{"a grant is for the next attempt, whatever the status, and any outcome uses it up", func(f *fixture) {
			for _, status := range []webhook.Status{webhook.StatusPending, webhook.StatusDelivered, webhook.StatusFailed} {
				for _, outcome := range []webhook.Status{webhook.StatusPending, webhook.StatusDelivered, webhook.StatusFailed} {
					d := f.attempt(f.newDelivery(), status)
					f.retry(d)
					f.retry(d) // changes nothing
					f.wantDelivery(d, f.now)
					if w := f.wantWork(string(status), d, f.now, true); !w.Granted {
						f.t.Errorf("%s: the work is not granted", status)
					}
					d = f.attempt(d, outcome)
					f.wantDelivery(d, f.now)
					if w := f.wantWork("afterward", d, f.now, outcome == webhook.StatusPending); w.Granted {
						f.t.Errorf("%s, then %s: the grant was not used up", status, outcome)
					}
				}
			}
		}},
		{"an attempt that began before the grant uses it up", func(f *fixture) {
			d := f.attempt(f.newDelivery(), webhook.StatusPending)
			o := f.outcome(d, webhook.StatusFailed)
			f.retry(d)
			d = f.record(d, o)
			f.wantWork("afterward", d, f.now, false)
			f.wantNotApplied("a second outcome", o)
			f.retry(d)
			f.wantWork("granted again", d, f.now, true)
		}},
		{"a delivery that is too old can be granted an attempt", func(f *fixture) {
			d := f.attempt(f.newDelivery(), webhook.StatusPending)
			old := d.AcceptedAt.Add(webhook.MaxAge)
			got, err := f.deliveries.RetryDelivery(f.ctx, d.Company, d.WebhookID, d.DeliveryID(), old)
			if err != nil || got.Status != webhook.StatusFailed || !got.Due.IsZero() {
				f.t.Errorf("RetryDelivery = %+v, %v, want a failed delivery", got, err)
			}
			f.wantWork("granted", d, old, true)
		}},
		{"deliveries of a disabled webhook cannot be retried", func(f *fixture) {
			d := f.disable(f.newDelivery())
			_, err := f.deliveries.RetryDelivery(f.ctx, d.Company, d.WebhookID, d.DeliveryID(), f.now)
			wantError(f.t, err, webhook.WebhookDisabled())
			f.wantWork("afterward", d, f.now, false)
		}},
	}
}

// wantNoDelivery checks that a delivery can be neither read nor retried, and that the webhook's list does not have it.
func (f *fixture) wantNoDelivery(what, company, webhookID, id string) {
	f.t.Helper()
	_, err := f.deliveries.Delivery(f.ctx, company, webhookID, id, f.now)
	wantNotFound(f.t, "Delivery("+what+")", err)
	_, err = f.deliveries.RetryDelivery(f.ctx, company, webhookID, id, f.now)
	wantNotFound(f.t, "RetryDelivery("+what+")", err)
	q := f.queryAll(webhookID)
	q.Company = company
	if _, _, err := f.deliveries.Lane(f.ctx, company, webhookID); err != nil {
		_, err = f.deliveries.Deliveries(f.ctx, q)
		wantNotFound(f.t, "Deliveries("+what+")", err)
	}
}

// wantSameDeliveries compares lists whose elements may be in another order if they were accepted at the same time.
func (f *fixture) wantSameDeliveries(got, want []webhook.Delivery) {
	f.t.Helper()
	newestFirst := func(a, b webhook.Delivery) int { return b.AcceptedAt.Compare(a.AcceptedAt) }
	if !slices.IsSortedFunc(got, newestFirst) {
		f.t.Errorf("the deliveries are not in order: %+v", got)
	}
	byID := func(a, b webhook.Delivery) int { return strings.Compare(a.DeliveryID(), b.DeliveryID()) }
	f.wantDeliveries("Deliveries", slices.SortedFunc(slices.Values(got), byID), slices.SortedFunc(slices.Values(want), byID)...)
}
