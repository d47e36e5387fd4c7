package webhooktest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"webhooks/shared/webhook"
)

func acceptCases() []testCase {
	return []testCase{
		{"every webhook of the company that subscribes to the type gets a delivery, and no other", func(f *fixture) {
			name, other := f.newTypeName(), f.newTypeName()
			w := []webhook.Webhook{f.subscribe(name), f.subscribe(other, name), f.subscribe(name), f.subscribe(name), f.subscribe(other)}
			f.inNew().subscribe(name)
			f.delete(w[2].ID)
			e := f.publish(name)
			f.subscribe(name)
			f.fanOut()
			f.wantDeliveries("EventDeliveries", f.eventDeliveries(e.ID, 100, f.now), fresh(w[0], e), fresh(w[1], e), fresh(w[3], e))
			f.delete(w[0].ID)
			f.wantDeliveries("EventDeliveries", f.eventDeliveries(e.ID, 100, f.now), fresh(w[1], e), fresh(w[3], e))
		}},
		{"a type is available if it is visible to the company or one of its webhooks subscribes to it", acceptTypes},
		{"the first event of an unavailable type is reported, or else the first conflict, and nothing is stored", acceptErrors},
		{"a repetition changes nothing", func(f *fixture) {
			first := f.subscribe(f.newTypeName(), f.newTypeName())
			stored, unstored := f.publish(first.Events[0]), f.newEvent(first.Events[0])
			f.subscribe(first.Events...)
			again := f.newEvent(first.Events[1])
			again.ID, again.Sent, again.AcceptedAt = stored.ID, stored.Sent, f.now.Add(time.Hour)
			for _, want := range [][]bool{{true, false}, {true, true}} {
				replayed, err := f.deliveries.AcceptEvents(f.ctx, []webhook.NewEvent{again, unstored})
				if err != nil || !slices.Equal(replayed, want) {
					f.t.Errorf("AcceptEvents = %v, %v, want %v", replayed, err, want)
				}
			}
			f.fanOut()
			f.wantEvent(stored.Event)
			f.wantEvent(unstored.Event)
			f.wantDeliveries("EventDeliveries", f.eventDeliveries(stored.ID, 100, f.now), fresh(first, stored))
		}},
		{"of 20 concurrent repetitions exactly one is stored", func(f *fixture) {
			w := f.subscribe(f.newTypeName())
			e := f.newEvent(w.Events[0])
			var stored atomic.Int32
			f.race(20, func(f *fixture, _ int) {
				replayed, err := f.deliveries.AcceptEvents(f.ctx, []webhook.NewEvent{e})
				if err != nil || len(replayed) != 1 {
					f.t.Errorf("AcceptEvents = %v, %v, want one result", replayed, err)
				} else if !replayed[0] {
					stored.Add(1)
				}
			})
			if stored.Load() != 1 {
				f.t.Errorf("%d events were stored, want 1", stored.Load())
			}
			f.fanOut()
			f.wantDelivery(fresh(w, e), f.now)
		}},
		{"of 20 concurrent events with one ID exactly one is stored, and the others conflict", func(f *fixture) {
			w := f.subscribe(f.newTypeName())
			id := f.newEvent("").ID
			f.wantOneOf(20, webhook.KeyUsed(), func(f *fixture) error {
				e := f.newEvent(w.Events[0])
				e.ID = id
				_, err := f.deliveries.AcceptEvents(f.ctx, []webhook.NewEvent{e})
				return err
			})
			f.fanOut()
			if got := f.eventDeliveries(id, 100, f.now); len(got) != 1 {
				f.t.Errorf("the event has %d deliveries, want 1", len(got))
			}
		}},
		{"one call accepts 100 events of several companies", func(f *fixture) {
			companies := []*fixture{f, f.inNew(), f.inNew()}
			var events []webhook.NewEvent
			var want []webhook.Delivery
			name := f.newTypeName()
			webhooks := []webhook.Webhook{f.subscribe(name), companies[1].subscribe(name), companies[2].subscribe(name)}
			for i := range 100 {
				e := companies[i%3].newEvent(name)
				events, want = append(events, e), append(want, fresh(webhooks[i%3], e))
			}
			f.accept(events...)
			for i, e := range events {
				companies[i%3].wantEvent(e.Event)
				companies[i%3].wantDeliveries("EventDeliveries", companies[i%3].eventDeliveries(e.ID, 100, f.now), want[i])
			}
		}},
		{"an event has every field", func(f *fixture) {
			for _, e := range f.oddEvents() {
				w := f.subscribe(e.Type)
				f.accept(e)
				f.wantEvent(e.Event)
				if got := f.wantWork("odd", fresh(w, e), f.now, true).Event.Body; !bytes.Equal(got, e.Body) {
					f.t.Errorf("Work returned a body of %d bytes, want %d, or other bytes", len(got), len(e.Body))
				}
			}
		}},
		{"unknown events and those of another company are not found", func(f *fixture) {
			e := f.publish(f.subscribe(f.newTypeName()).Events[0])
			unknown := oddStrings()
			unknown["new ID"], unknown["lower-case event ID"] = f.newEvent("").ID, strings.ToLower(e.ID)
			for what, id := range unknown {
				f.wantNoEvent(what, id)
			}
			f.inNew().wantNoEvent("another company's", e.ID)
			f.wantEvent(e.Event)
		}},
		{"arguments are neither modified nor kept, and the caller may modify results", func(f *fixture) {
			w := f.subscribe(f.newTypeName())
			e := f.newEvent(w.Events[0])
			want := e.Event
			want.Body = bytes.Clone(e.Body)
			f.accept(e)
			clear(e.Body)
			got, err := f.deliveries.Event(f.ctx, f.company, e.ID)
			if err != nil {
				f.t.Fatalf("Event: %v", err)
			}
			clear(got.Body)
			f.wantEvent(want)
			d := f.attempt(fresh(w, e), webhook.StatusPending)
			clear(f.query(f.queryAll(w.ID))[0].Attempts)
			clear(f.eventDeliveries(e.ID, 1, f.now)[0].Attempts)
			clear(f.work(f.now, d.Ref)[0].Webhook.SealedToken)
			f.wantDelivery(d, f.now)
			f.wantStoredWebhook(w)
		}},
	}
}

func acceptTypes(f *fixture) {
	visible, everywhere, hidden, subscribed, dead, foreign := f.newTypeName(), f.newTypeName(), f.newTypeName(), f.newTypeName(), f.newTypeName(), f.newTypeName()
	f.addType(f.company, visible, f.now)
	f.addType("", everywhere, f.now)
	for _, name := range []string{hidden, dead} {
		f.addType(f.company, name, f.now)
		f.removeType(f.company, name)
	}
	f.subscribe(hidden)
	f.subscribe(subscribed)
	f.delete(f.subscribe(dead).ID)
	other := f.inNew()
	other.addType(other.company, foreign, f.now)
	other.subscribe(foreign)
	for _, name := range []string{visible, everywhere, hidden, subscribed} {
		f.wantEvent(f.publish(name).Event)
	}
	unavailable := oddStrings()
	unavailable["new"], unavailable["hidden"], unavailable["another company's"] = f.newTypeName(), dead, foreign
	for what, name := range unavailable {
		f.wantRejected(what, 0, webhook.TypeUnavailable(), f.newEvent(name))
	}
}

func acceptErrors(f *fixture) {
	w := f.subscribe(f.newTypeName())
	stored := f.publish(w.Events[0])
	good, bad, used := f.newEvent(w.Events[0]), f.newEvent(f.newTypeName()), f.newEvent(w.Events[0])
	used.ID = stored.ID
	unsent := stored
	unsent.Sent = [32]byte{}
	f.wantRejected("one conflict", 2, webhook.KeyUsed(), good, stored, used, unsent)
	f.wantRejected("one type", 1, webhook.TypeUnavailable(), good, bad, bad)
	f.wantRejected("a conflict before a type", 2, webhook.TypeUnavailable(), used, good, bad)
	bad.ID = stored.ID
	f.wantRejected("both", 0, webhook.TypeUnavailable(), bad)
	f.wantNoEvent("the event next to those", good.ID)
	f.wantEvent(stored.Event)
	f.fanOut()
	f.wantDeliveries("EventDeliveries", f.eventDeliveries(good.ID, 100, f.now))
	f.accept(good)
}

// oddEvents returns events with fields that a database might change.
func (f *fixture) oddEvents() []webhook.NewEvent {
	large := make([]byte, 256<<10)
	_, _ = rand.Read(large) // never returns an error
	var events []webhook.NewEvent
	for _, change := range []func(e *webhook.Event){
		func(e *webhook.Event) { e.Key = "" },
		func(e *webhook.Event) { e.Key = strings.Repeat("\"'~", 85) },
		func(e *webhook.Event) { e.Body = []byte("\x00\xff\n {\"\U0001F4E8\":1e400} ") },
		func(e *webhook.Event) { e.Body = large },
		func(e *webhook.Event) { e.Body = bytes.Repeat([]byte{'0'}, 257<<10) },
		func(e *webhook.Event) { e.Timestamp = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC) },
		func(e *webhook.Event) { e.Timestamp = time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC) },
		func(e *webhook.Event) { e.Type = strings.Repeat("t", webhook.MaxEventLength-26) + f.newULID() },
	} {
		e := f.newEvent(f.newTypeName())
		change(&e.Event)
		events = append(events, e)
	}
	return events
}

func (f *fixture) wantEvent(want webhook.Event) {
	f.t.Helper()
	got, err := f.deliveries.Event(f.ctx, f.company, want.ID)
	if err != nil || !reflect.DeepEqual(got, want) {
		f.t.Errorf("Event(%s) = %.1000v, %v, want %.1000v", want.ID, got, err, want)
	}
}

// wantNoEvent checks that the company has neither the event nor a delivery of it.
func (f *fixture) wantNoEvent(what, id string) {
	f.t.Helper()
	_, err := f.deliveries.Event(f.ctx, f.company, id)
	wantNotFound(f.t, "Event("+what+")", err)
	f.wantDeliveries("EventDeliveries("+what+")", f.eventDeliveries(id, 100, f.now))
}

// wantRejected checks that AcceptEvents returns an error for the event at an index.
func (f *fixture) wantRejected(what string, index int, want *webhook.Error, events ...webhook.NewEvent) {
	f.t.Helper()
	_, err := f.deliveries.AcceptEvents(f.ctx, events)
	wantEventError(f.t, what, err, index, want)
}

func wantEventError(t tester, what string, err error, index int, want *webhook.Error) {
	t.Helper()
	if rejected, ok := errors.AsType[*webhook.EventError](err); !ok || rejected.Index != index {
		t.Fatalf("%s: got error %v, want one for event %d", what, err, index)
	}
	wantError(t, err, want)
}

// wantStoredWebhook checks one webhook.
func (f *fixture) wantStoredWebhook(want webhook.Webhook) {
	f.t.Helper()
	if got, err := f.store.Webhook(f.ctx, want.Company, want.ID); err != nil || !reflect.DeepEqual(got, want) {
		f.t.Errorf("Webhook = %+v, %v, want %+v", got, err, want)
	}
}
