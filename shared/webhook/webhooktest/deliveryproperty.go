package webhooktest

import (
	"reflect"
	"slices"
	"time"

	"pgregory.net/rapid"

	"webhooks/shared/webhook"
)

func deliveryPropertyCases() []testCase {
	return []testCase{
		{"events, attempts, retries and deletions of two companies, in any order, agree with the model", func(f *fixture) {
			f.check(func(t *rapid.T, f *fixture) {
				p := newPair(f, NewMemory())
				t.Repeat(map[string]func(*rapid.T){
					"subscribe": p.subscribe,
					"delete":    p.delete,
					"accept":    p.accept,
					"attempt":   p.attempt,
					"retry":     p.retry,
					"wait":      p.wait,
				})
				p.compare()
			})
		}},
	}
}

// pair is a store and the model of it, which are called in the same way.
type pair struct {
	*fixture
	model     *fixture
	memory    modelStore
	companies []string
	types     []string
	webhooks  []webhook.Webhook // including deleted ones
	events    []webhook.NewEvent
}

// modelStore is a [Memory] or a [QueueMemory].
type modelStore interface {
	DeliveryTestStore
	delivery(r webhook.Ref) *memoryDelivery
}

func newPair(f *fixture, memory modelStore) *pair {
	p := &pair{
		fixture: f, memory: memory,
		companies: []string{f.company, newCompany()}, types: []string{f.newTypeName(), f.newTypeName()},
	}
	model := *f
	model.store, model.deliveries = memory, memory
	model.backlog, _ = memory.(webhook.Backlog)
	model.queue, _ = memory.(webhook.QueueStore)
	p.model = &model
	for _, company := range p.companies {
		for _, name := range p.types {
			p.addType(company, name, f.now)
			p.model.addType(company, name, f.now)
		}
		p.newWebhook(company, p.types)
	}
	return p
}

func (p *pair) newWebhook(company string, types []string) {
	w := p.in(company).newWebhook()
	w.Events = types
	p.create(w)
	p.model.create(w)
	p.webhooks = append(p.webhooks, w)
}

// agree checks that the store has returned the same as the model.
func (p *pair) agree(method string, got any, err error, want any, wantErr error) {
	p.t.Helper()
	if (err == nil) != (wantErr == nil) || webhook.KindOf(err) != webhook.KindOf(wantErr) || err == nil && !reflect.DeepEqual(got, want) {
		p.t.Fatalf("%s = %+v, %v, but the model returns %+v, %v", method, got, err, want, wantErr)
	}
}

func (p *pair) subscribe(t *rapid.T) {
	types := rapid.SampledFrom([][]string{p.types, p.types[:1], p.types[1:]}).Draw(t, "types")
	p.newWebhook(rapid.SampledFrom(p.companies).Draw(t, "company"), types)
}

func (p *pair) delete(t *rapid.T) {
	w := rapid.SampledFrom(p.webhooks).Draw(t, "webhook")
	p.agree("DeleteWebhook", nil, p.store.DeleteWebhook(p.ctx, w.Company, w.ID), nil, p.memory.DeleteWebhook(p.ctx, w.Company, w.ID))
}

// accept accepts some events, which may be new, repeated or in conflict with earlier ones.
func (p *pair) accept(t *rapid.T) {
	var events []webhook.NewEvent
	for range rapid.IntRange(1, 4).Draw(t, "events") {
		e := p.in(rapid.SampledFrom(p.companies).Draw(t, "company")).newEvent(rapid.SampledFrom(p.types).Draw(t, "type"))
		if len(p.events) > 0 && rapid.IntRange(0, 3).Draw(t, "repeated") == 0 {
			e = rapid.SampledFrom(p.events).Draw(t, "event")
			if rapid.IntRange(0, 3).Draw(t, "changed") == 0 {
				e.Sent[0]++
			}
		}
		if !slices.ContainsFunc(events, func(other webhook.NewEvent) bool { return other.ID == e.ID }) {
			events = append(events, e)
		}
	}
	got, err := p.deliveries.AcceptEvents(p.ctx, events)
	want, wantErr := p.memory.AcceptEvents(p.ctx, events)
	p.agree("AcceptEvents", got, err, want, wantErr)
	for i, replayed := range want {
		if !replayed {
			p.events = append(p.events, events[i])
		}
	}
	p.fanOut()
}

// attempt gets work and records an outcome, perhaps an old one.
func (p *pair) attempt(t *rapid.T) {
	r := p.drawRef(t)
	r.Made = max(0, r.Made+rapid.SampledFrom([]int{0, 0, 0, 0, -1, 1}).Draw(t, "wrong"))
	got, want := p.work(p.now, r), p.model.work(p.now, r)
	for _, works := range [][]webhook.Work{got, want} {
		for i := range works {
			w := works[i].Webhook
			works[i].Webhook = webhook.Webhook{ID: w.ID, Company: w.Company, URL: w.URL, SealedToken: w.SealedToken, Version: w.Version}
		}
	}
	if len(got)+len(want) > 0 {
		p.agree("Work", got, nil, want, nil)
	}
	if p.backlog == nil && p.memory.delivery(r) == nil {
		return // Work has not returned it
	}
	statuses := []webhook.Status{webhook.StatusPending, webhook.StatusPending, webhook.StatusDelivered, webhook.StatusFailed}
	o := p.outcome(webhook.Delivery{Ref: r, EventType: p.typeOf(r)}, rapid.SampledFrom(statuses).Draw(t, "status"))
	o.Lane = webhook.LaneOp(rapid.SampledFrom([]int{0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3, 3, 4}).Draw(t, "lane"))
	o.WebhookVersion = rapid.SampledFrom([]int64{1, 1, 1, 2}).Draw(t, "version")
	o.Attempt.At = p.now
	if o.Status == webhook.StatusPending && rapid.Bool().Draw(t, "waits for its lane") {
		o.Due = time.Time{}
	}
	if rapid.Bool().Draw(t, "pauses") {
		o.PausedUntil = p.now.Add(time.Hour)
	}
	applied, err := p.deliveries.Record(p.ctx, o)
	wantApplied, wantErr := p.memory.Record(p.ctx, o)
	p.agree("Record", applied, err, wantApplied, wantErr)
}

func (p *pair) retry(t *rapid.T) {
	r := p.drawRef(t)
	if r.Made == 0 && p.backlog == nil {
		t.Skip("it may not be listed yet")
	}
	got, err := p.deliveries.RetryDelivery(p.ctx, r.Company, r.WebhookID, r.DeliveryID(), p.now)
	want, wantErr := p.memory.RetryDelivery(p.ctx, r.Company, r.WebhookID, r.DeliveryID(), p.now)
	p.agree("RetryDelivery", comparable(got), err, comparable(want), wantErr)
}

func (p *pair) wait(t *rapid.T) {
	wait := rapid.SampledFrom([]time.Duration{time.Millisecond, time.Minute, time.Hour, webhook.MaxAge / 2}).Draw(t, "time")
	p.now = p.now.Add(wait)
}

// drawRef returns a delivery, which may not exist.
func (p *pair) drawRef(t *rapid.T) webhook.Ref {
	if len(p.events) == 0 {
		t.Skip("no events yet")
	}
	return rapid.SampledFrom(p.allRefs()).Draw(t, "delivery")
}

// typeOf returns the type of a delivery's event.
func (p *pair) typeOf(r webhook.Ref) string {
	i := slices.IndexFunc(p.events, func(e webhook.NewEvent) bool { return e.ID == r.EventID })
	return p.events[i].Type
}

// allRefs returns every event for every webhook that has existed, of its company or another one.
func (p *pair) allRefs() []webhook.Ref {
	var refs []webhook.Ref
	for _, w := range p.webhooks {
		for _, e := range p.events {
			r := fresh(w, e).Ref
			if d := p.memory.delivery(r); d != nil {
				r.Made = d.made
			}
			refs = append(refs, r)
		}
	}
	return refs
}

// compare compares everything that can be read.
func (p *pair) compare() {
	for _, e := range p.events {
		got, err := p.deliveries.Event(p.ctx, e.Company, e.ID)
		want, wantErr := p.memory.Event(p.ctx, e.Company, e.ID)
		p.agree("Event", got, err, want, wantErr)
		deliveries := p.in(e.Company).eventDeliveries(e.ID, 2, p.now)
		p.wantDeliveries("EventDeliveries", deliveries, p.model.in(e.Company).eventDeliveries(e.ID, 100, p.now)...)
	}
	for _, w := range p.webhooks {
		_, got, err := p.deliveries.Lane(p.ctx, w.Company, w.ID)
		_, want, wantErr := p.memory.Lane(p.ctx, w.Company, w.ID)
		p.agree("Lane", got, err, want, wantErr)
		if err == nil {
			q := p.in(w.Company).queryAll(w.ID)
			p.wantSameDeliveries(p.listed(p.query(q)), p.listed(p.model.query(q)))
		}
	}
}

// listed returns the deliveries that must be listed.
func (p *pair) listed(deliveries []webhook.Delivery) []webhook.Delivery {
	return slices.DeleteFunc(deliveries, func(d webhook.Delivery) bool { return d.Made == 0 && p.backlog == nil })
}
