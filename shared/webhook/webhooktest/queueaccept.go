package webhooktest

import (
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"webhooks/shared/webhook"
)

func queueAcceptCases() []testCase {
	return []testCase{
		{"a message is to be sent for each webhook, and after a repetition for those that had no attempt", func(f *fixture) {
			name := f.newTypeName()
			webhooks := []webhook.Webhook{f.subscribe(name), f.subscribe(name), f.subscribe(name), f.subscribe(name)}
			f.subscribe(f.newTypeName())
			f.inNew().subscribe(name)
			e := f.newEvent(name)
			refs := refsTo(e, webhooks...)
			f.wantAccepted(webhook.Accepted{Deliveries: refs}, e)
			f.wantAccepted(webhook.Accepted{Replayed: true, Deliveries: refs}, e)
			f.attempt(fresh(webhooks[0], e), webhook.StatusDelivered)
			f.attempt(fresh(webhooks[1], e), webhook.StatusPending)
			f.park(refs[2], f.now)
			f.wantAccepted(webhook.Accepted{Replayed: true, Deliveries: refs[2:]}, e)
		}},
		{"an event without webhooks needs no message", func(f *fixture) {
			name := f.newTypeName()
			f.addType(f.company, name, f.now)
			e := f.newEvent(name)
			f.wantAccepted(webhook.Accepted{}, e)
			f.subscribe(name)
			f.wantAccepted(webhook.Accepted{Replayed: true}, e)
		}},
		{"100 events of two companies, some of them repeated, are in the order of the call", func(f *fixture) {
			other := f.inNew()
			mine, theirs := f.subscribe(f.newTypeName()), other.subscribe(f.newTypeName())
			events := make([]webhook.NewEvent, 100)
			want := make([]webhook.Accepted, len(events))
			for i := range events {
				to, w := f, mine
				if i%3 == 0 {
					to, w = other, theirs
				}
				events[i] = to.newEvent(w.Events[0])
				want[i].Deliveries = refsTo(events[i], w)
				if want[i].Replayed = i%7 == 0; want[i].Replayed {
					to.publish(events[i].Type) // another one
					to.accept(events[i])
				}
			}
			got, err := f.queue.Accept(f.ctx, events)
			if err != nil || !reflect.DeepEqual(got, want) {
				f.t.Errorf("Accept = %.1000v, %v, want %.1000v", got, err, want)
			}
		}},
		{"an event that cannot be accepted is reported, and nothing is stored", func(f *fixture) {
			w := f.subscribe(f.newTypeName())
			stored := f.publish(w.Events[0])
			good, used := f.newEvent(w.Events[0]), f.newEvent(w.Events[0])
			used.ID = stored.ID
			for _, tt := range []struct {
				event webhook.NewEvent
				want  *webhook.Error
			}{{used, webhook.KeyUsed()}, {f.newEvent(f.newTypeName()), webhook.TypeUnavailable()}} {
				_, err := f.queue.Accept(f.ctx, []webhook.NewEvent{good, tt.event})
				wantEventError(f.t, "Accept", err, 1, tt.want)
			}
			f.wantNoEvent("the event next to those", good.ID)
			f.wantEvent(stored.Event)
		}},
		{"of 20 concurrent repetitions exactly one is stored, and all return the same messages", func(f *fixture) {
			w := f.subscribe(f.newTypeName())
			e := f.newEvent(w.Events[0])
			var stored atomic.Int32
			f.race(20, func(f *fixture, _ int) {
				got, err := f.queue.Accept(f.ctx, []webhook.NewEvent{e})
				if err != nil || len(got) != 1 || !slices.Equal(got[0].Deliveries, refsTo(e, w)) {
					f.t.Errorf("Accept = %+v, %v, want one delivery", got, err)
				} else if !got[0].Replayed {
					stored.Add(1)
				}
			})
			if stored.Load() != 1 {
				f.t.Errorf("%d events were stored, want 1", stored.Load())
			}
		}},
		{"a fan-out to 605 webhooks has pages, which are the same whenever they are read", fanOutPages},
		{"an unknown event has no pages", func(f *fixture) {
			unknown := oddStrings()
			unknown["new ID"] = f.newEvent("").ID
			for what, id := range unknown {
				m := webhook.Message{Kind: webhook.MessageFanOut, Ref: webhook.Ref{Company: f.company, EventID: id}, Count: 1}
				if page, next, err := f.queue.FanOut(f.ctx, m); len(page) > 0 || next != nil || err != nil {
					f.t.Errorf("%s: FanOut = %v, %v, %v, want nothing", what, page, next, err)
				}
			}
		}},
	}
}

func fanOutPages(f *fixture) {
	name := f.newTypeName()
	webhooks := make([]webhook.Webhook, 605)
	for i := range webhooks {
		webhooks[i] = f.newWebhook()
		webhooks[i].Events = []string{name}
	}
	f.create(webhooks...)
	e := f.newEvent(name)
	accepted, err := f.queue.Accept(f.ctx, []webhook.NewEvent{e})
	if err != nil || len(accepted[0].Deliveries) == 0 || accepted[0].FanOut == nil {
		f.t.Fatalf("Accept = %.1000v, %v, want deliveries and a message for others", accepted, err)
	}
	again := accepted[0]
	again.Replayed = true
	f.wantAccepted(again, e)
	pages, messages := f.fanOutFrom(accepted[0].FanOut)
	if len(pages) < 2 {
		f.t.Errorf("the fan-out has %d pages, want more", len(pages))
	}
	all := slices.Concat(append(pages, accepted[0].Deliveries)...)
	slices.SortFunc(all, func(a, b webhook.Ref) int { return strings.Compare(a.WebhookID, b.WebhookID) })
	if !slices.Equal(all, refsTo(e, webhooks...)) {
		f.t.Errorf("the pages have %d deliveries, want %d, or other ones", len(all), len(webhooks))
	}
	f.subscribe(name)
	if repeated, _ := f.fanOutFrom(accepted[0].FanOut); !reflect.DeepEqual(repeated, pages) {
		f.t.Errorf("the pages have changed: %d, then %d deliveries", len(slices.Concat(pages...)), len(slices.Concat(repeated...)))
	}
	f.race(len(messages), func(f *fixture, i int) {
		if page, _, err := f.queue.FanOut(f.ctx, messages[i]); err != nil || !slices.Equal(page, pages[i]) {
			f.t.Errorf("FanOut = %d deliveries, %v, want %d", len(page), err, len(pages[i]))
		}
	})
	if got := f.eventDeliveries(e.ID, 100, f.now); len(got) != len(webhooks) {
		f.t.Errorf("the event has %d deliveries, want %d", len(got), len(webhooks))
	}
}

// fanOutFrom reads all pages of a fan-out, and returns them with their messages.
func (f *fixture) fanOutFrom(first *webhook.Message) (pages [][]webhook.Ref, messages []webhook.Message) {
	f.t.Helper()
	for next := first; next != nil; {
		m := f.sent(*next)
		var page []webhook.Ref
		var err error
		if page, next, err = f.queue.FanOut(f.ctx, m); err != nil || len(page) == 0 || len(pages) > 1000 {
			f.t.Fatalf("FanOut(%+v) = %v, %v, want a page", m, page, err)
		}
		pages, messages = append(pages, page), append(messages, m)
	}
	return pages, messages
}

// sent returns a message as it arrives.
func (f *fixture) sent(m webhook.Message) webhook.Message {
	f.t.Helper()
	arrived, err := webhook.ParseMessage(m.Text())
	if err != nil {
		f.t.Fatalf("the message %+v is not valid: %v", m, err)
	}
	return arrived
}

// wantAccepted checks the result of Accept for one event.
func (f *fixture) wantAccepted(want webhook.Accepted, e webhook.NewEvent) {
	f.t.Helper()
	got, err := f.queue.Accept(f.ctx, []webhook.NewEvent{e})
	if err != nil || len(got) != 1 || got[0].Replayed != want.Replayed || !reflect.DeepEqual(got[0].FanOut, want.FanOut) {
		f.t.Fatalf("Accept = %.1000v, %v, want %.1000v", got, err, want)
	}
	if !sameRefs(got[0].Deliveries, want.Deliveries) {
		f.t.Errorf("Accept returned the deliveries %.1000v, want %.1000v", got[0].Deliveries, want.Deliveries)
	}
}

// sameRefs reports whether lists are equal, in any order.
func sameRefs(a, b []webhook.Ref) bool {
	sorted := func(refs []webhook.Ref) []webhook.Ref {
		return slices.SortedFunc(slices.Values(refs), func(a, b webhook.Ref) int {
			return strings.Compare(a.WebhookID+a.EventID, b.WebhookID+b.EventID)
		})
	}
	return slices.Equal(sorted(a), sorted(b))
}

// refsTo returns the deliveries of an event to webhooks before the first attempt.
func refsTo(e webhook.NewEvent, webhooks ...webhook.Webhook) []webhook.Ref {
	refs := make([]webhook.Ref, len(webhooks))
	for i, w := range webhooks {
		refs[i] = fresh(w, e).Ref
	}
	return refs
}
