package webhooktest

import (
	"context"
	"crypto/sha256"
	"reflect"
	"slices"
	"strings"
	"time"

	"webhooks/shared/webhook"
)

// subscribe stores a new webhook that subscribes to types.
func (f *fixture) subscribe(types ...string) webhook.Webhook {
	f.t.Helper()
	w := f.newWebhook()
	w.Events = types
	return f.create(w)[0]
}

// newEvent returns an event that is not stored yet.
func (f *fixture) newEvent(eventType string) webhook.NewEvent {
	id := webhook.NewEventID(f.newULID())
	return webhook.NewEvent{
		Event: webhook.Event{
			ID: id, Company: f.company, Type: eventType, Key: "key of " + id,
			Timestamp: f.now.Add(-time.Hour), AcceptedAt: f.now, Body: []byte(`{"data":{"id":"` + id + `"}}`),
		},
		Sent: sha256.Sum256([]byte(id)),
	}
}

// accept stores new events and completes their fan-out.
func (f *fixture) accept(events ...webhook.NewEvent) {
	f.t.Helper()
	replayed, err := f.deliveries.AcceptEvents(f.ctx, events)
	if err != nil || len(replayed) != len(events) || slices.Contains(replayed, true) {
		f.t.Fatalf("AcceptEvents = %v, %v, want %d new events", replayed, err, len(events))
	}
	f.fanOut()
}

// fanOut completes the fan-out of all events.
func (f *fixture) fanOut() {
	f.t.Helper()
	if f.backlog != nil {
		f.repeat("FanOut", f.backlog.FanOut)
	}
}

// repeat calls a method until there is no more to do.
func (f *fixture) repeat(method string, call func(ctx context.Context) (more bool, err error)) {
	f.t.Helper()
	for range 10_000 {
		if more, err := call(f.ctx); err != nil {
			f.t.Fatalf("%s: %v", method, err)
		} else if !more {
			return
		}
	}
	f.t.Fatalf("%s always has more to do", method)
}

// publish accepts a new event of a type.
func (f *fixture) publish(eventType string) webhook.NewEvent {
	f.t.Helper()
	e := f.newEvent(eventType)
	f.accept(e)
	return e
}

// newDelivery publishes an event to a new webhook of its own.
func (f *fixture) newDelivery() webhook.Delivery {
	f.t.Helper()
	w := f.subscribe(f.newTypeName())
	return fresh(w, f.publish(w.Events[0]))
}

// fresh returns the delivery of an event to a webhook before the first attempt.
func fresh(w webhook.Webhook, e webhook.NewEvent) webhook.Delivery {
	return webhook.Delivery{
		Ref:       webhook.Ref{Company: w.Company, WebhookID: w.ID, EventID: e.ID, AcceptedAt: e.AcceptedAt},
		EventType: e.Type, Status: webhook.StatusPending, Due: e.AcceptedAt,
	}
}

// outcome returns the outcome of the next attempt of a delivery. It does not change the lane.
func (f *fixture) outcome(d webhook.Delivery, status webhook.Status) webhook.Outcome {
	o := webhook.Outcome{
		Ref: d.Ref, EventType: d.EventType, Status: status, Step: d.Made + 1, WebhookVersion: 1,
		Attempt: webhook.Attempt{
			Number: d.Made + 1, At: f.now.Add(time.Duration(d.Made) * time.Minute), Duration: 250 * time.Millisecond,
			URL: "https://example.com/webhooks/billing", StatusCode: 500, Error: webhook.ErrorStatus, Bytes: 9, Response: "try again",
		},
	}
	switch status {
	case webhook.StatusPending:
		o.Due = o.Attempt.Ended().Add(time.Hour)
	case webhook.StatusDelivered:
		o.Attempt.StatusCode, o.Attempt.Error = 200, ""
	}
	return o
}

// record records an outcome, which must be applied, and returns the delivery after it.
func (f *fixture) record(d webhook.Delivery, o webhook.Outcome) webhook.Delivery {
	f.t.Helper()
	applied, err := f.deliveries.Record(f.ctx, o)
	if !applied || err != nil {
		f.t.Fatalf("Record(%+v) = %v, %v, want true", o, applied, err)
	}
	attempts := append(slices.Clone(d.Attempts), o.Attempt)
	for i := range attempts[:len(attempts)-1] {
		attempts[i].Response = ""
	}
	d.Made++
	d.Status, d.Due, d.Attempts = o.Status, o.Due, attempts[max(0, len(attempts)-webhook.MaxAttempts):]
	return d
}

// attempt records an outcome that does not change the lane, and returns the delivery after it.
func (f *fixture) attempt(d webhook.Delivery, status webhook.Status) webhook.Delivery {
	f.t.Helper()
	return f.record(d, f.outcome(d, status))
}

// wantNotApplied checks that an outcome changes nothing.
func (f *fixture) wantNotApplied(what string, o webhook.Outcome) {
	f.t.Helper()
	if applied, err := f.deliveries.Record(f.ctx, o); applied || err != nil {
		f.t.Errorf("%s: Record = %v, %v, want false, nil", what, applied, err)
	}
}

// eventDeliveries reads all deliveries of an event in pages.
func (f *fixture) eventDeliveries(eventID string, limit int, now time.Time) []webhook.Delivery {
	f.t.Helper()
	return f.pages(limit, func(cursor string) (webhook.DeliveryPage, error) {
		return f.deliveries.EventDeliveries(f.ctx, f.company, eventID, cursor, limit, now)
	})
}

// query reads all deliveries that a query selects in pages.
func (f *fixture) query(q webhook.DeliveryQuery) []webhook.Delivery {
	f.t.Helper()
	return f.pages(q.Limit, func(cursor string) (webhook.DeliveryPage, error) {
		q.Cursor = cursor
		return f.deliveries.Deliveries(f.ctx, q)
	})
}

func (f *fixture) pages(limit int, read func(cursor string) (webhook.DeliveryPage, error)) []webhook.Delivery {
	f.t.Helper()
	var all []webhook.Delivery
	for cursor, pages := "", 0; ; pages++ {
		page, err := read(cursor)
		if err != nil || len(page.Deliveries) > limit || pages > 1000 {
			f.t.Fatalf("page %d: %d deliveries, error %v, want at most %d", pages, len(page.Deliveries), err, limit)
		}
		all = append(all, page.Deliveries...)
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// queryAll returns the query for all deliveries of a webhook.
func (f *fixture) queryAll(webhookID string) webhook.DeliveryQuery {
	return webhook.DeliveryQuery{Company: f.company, WebhookID: webhookID, Limit: 100, Now: f.now}
}

// wantDelivery checks what every method that reads a delivery returns at a time.
func (f *fixture) wantDelivery(want webhook.Delivery, now time.Time) {
	f.t.Helper()
	ofEvent := slices.DeleteFunc(f.eventDeliveries(want.EventID, 100, now), func(d webhook.Delivery) bool { return d.WebhookID != want.WebhookID })
	f.wantDeliveries("EventDeliveries", ofEvent, want)
	if want.Made == 0 && f.backlog == nil {
		return // it may not be listed yet
	}
	d, err := f.deliveries.Delivery(f.ctx, want.Company, want.WebhookID, want.DeliveryID(), now)
	if err != nil {
		f.t.Fatalf("Delivery: %v", err)
	}
	f.wantDeliveries("Delivery", []webhook.Delivery{d}, want)
	q := f.queryAll(want.WebhookID)
	q.Now = now
	listed := slices.DeleteFunc(f.query(q), func(d webhook.Delivery) bool { return d.EventID != want.EventID })
	f.wantDeliveries("Deliveries", listed, want)
}

// wantDeliveries compares deliveries without their numbers.
func (f *fixture) wantDeliveries(what string, got []webhook.Delivery, want ...webhook.Delivery) {
	f.t.Helper()
	if len(got) != len(want) {
		f.t.Fatalf("%s: got %d deliveries, want %d", what, len(got), len(want))
	}
	for i := range want {
		if g, w := comparable(got[i]), comparable(want[i]); !reflect.DeepEqual(g, w) {
			f.t.Fatalf("%s, delivery %d: got %+v, want %+v", what, i, g, w)
		}
	}
}

func comparable(d webhook.Delivery) webhook.Delivery {
	d.Number = 0
	d.Attempts = append([]webhook.Attempt(nil), d.Attempts...)
	return d
}

// work reads the work of deliveries at a time, in the order of their webhooks and events, without their numbers.
func (f *fixture) work(now time.Time, refs ...webhook.Ref) []webhook.Work {
	f.t.Helper()
	works, err := f.deliveries.Work(f.ctx, refs, now)
	if err != nil {
		f.t.Fatalf("Work: %v", err)
	}
	for i := range works {
		works[i].Number = 0
	}
	slices.SortFunc(works, func(a, b webhook.Work) int {
		return strings.Compare(a.WebhookID+a.EventID, b.WebhookID+b.EventID)
	})
	return works
}

// wantWork checks whether there is work for a delivery at a time, and returns it.
func (f *fixture) wantWork(what string, d webhook.Delivery, now time.Time, want bool) webhook.Work {
	f.t.Helper()
	works := f.work(now, d.Ref)
	if (len(works) == 1) != want || len(works) > 1 {
		f.t.Fatalf("%s: got %d works, want %v", what, len(works), want)
	}
	if !want {
		return webhook.Work{}
	}
	return works[0]
}

// lane reads the lane of a webhook.
func (f *fixture) lane(webhookID string) webhook.Lane {
	f.t.Helper()
	_, lane, err := f.deliveries.Lane(f.ctx, f.company, webhookID)
	if err != nil {
		f.t.Fatalf("Lane: %v", err)
	}
	return lane
}

func (f *fixture) wantLane(webhookID string, want webhook.Lane) {
	f.t.Helper()
	if got := f.lane(webhookID); got != want {
		f.t.Errorf("Lane = %+v, want %+v", got, want)
	}
}

// disable records an attempt to which the receiver responds that it does not want any more events.
func (f *fixture) disable(d webhook.Delivery) webhook.Delivery {
	f.t.Helper()
	o := f.outcome(d, webhook.StatusFailed)
	o.Lane = webhook.LaneDisabled
	return f.record(d, o)
}
