package webhooktest

import (
	"time"

	"pgregory.net/rapid"

	"webhooks/shared/webhook"
)

func queuePropertyCases() []testCase {
	return []testCase{
		{"whatever deliveries and lanes wait for, in any order, agrees with the model", func(f *fixture) {
			f.check(func(t *rapid.T, f *fixture) {
				p := queuePair{newPair(f, NewQueueMemory())}
				t.Repeat(map[string]func(*rapid.T){
					"subscribe": p.subscribe,
					"delete":    p.delete,
					"accept":    p.accept,
					"attempt":   p.attempt,
					"retry":     p.retry,
					"park":      p.park,
					"settle":    p.settle,
					"move":      p.move,
					"claim":     p.claim,
					"wait":      p.wait,
				})
				p.compare()
			})
		}},
	}
}

// queuePair is a pair of stores with queues.
type queuePair struct{ *pair }

// draw returns the work of a delivery in one of some states, on which store and model agree.
func (p queuePair) draw(t *rapid.T, states ...webhook.LookState) webhook.Work {
	r := p.drawRef(t)
	want := p.model.look(p.now, r)[0]
	p.agreeLook(p.look(p.now, r)[0], want)
	for _, s := range states {
		if s == want.State {
			return want.Work
		}
	}
	t.Skip("the delivery is in another state")
	return webhook.Work{}
}

func (p queuePair) agreeLook(got, want webhook.Look) {
	p.t.Helper()
	if got.State != want.State {
		p.t.Fatalf("Look = %+v, but the model returns %+v", got, want)
	}
	if want.State != webhook.LookDone && want.Work.Webhook.ID != "" {
		p.wantSameWork(got.Work, want.Work)
	}
}

// attempt records an outcome that is due now, soon, later, or that waits for its lane.
func (p queuePair) attempt(t *rapid.T) {
	r := p.draw(t, webhook.LookReady).Ref
	o := p.outcome(webhook.Delivery{Ref: r, EventType: p.typeOf(r)}, rapid.SampledFrom([]webhook.Status{"pending", "pending", "delivered", "failed"}).Draw(t, "status"))
	o.Attempt.At = p.now
	o.Attempt.Duration = rapid.SampledFrom([]time.Duration{time.Second, webhook.SlowAttempt + 1}).Draw(t, "duration").Truncate(time.Millisecond)
	o.Lane = webhook.LaneOp(rapid.SampledFrom([]int{0, 0, 1, 2, 2, 2, 2, 2, 3, 4}).Draw(t, "lane"))
	if o.Status == webhook.StatusPending {
		wait := rapid.SampledFrom([]time.Duration{-1, 0, webhook.MaxDelay, webhook.MaxDelay + time.Millisecond, 24 * time.Hour}).Draw(t, "due in")
		if o.Due = o.Attempt.Ended().Add(wait); wait < 0 {
			o.Due = time.Time{}
		}
	}
	if rapid.Bool().Draw(t, "pauses") {
		o.PausedUntil = p.now.Add(time.Hour)
	}
	applied, err := p.queue.Record(p.ctx, o)
	wantApplied, wantErr := p.model.queue.Record(p.ctx, o)
	p.agree("Record", applied, err, wantApplied, wantErr)
}

func (p queuePair) park(t *rapid.T) {
	w := p.draw(t, webhook.LookReady, webhook.LookHeld)
	_, err := p.queue.Park(p.ctx, w, p.now) // the time of an open lane may differ
	_, wantErr := p.model.queue.Park(p.ctx, w, p.now)
	p.agree("Park", nil, err, nil, wantErr)
}

func (p queuePair) settle(t *rapid.T) {
	w := p.draw(t, webhook.LookExpired)
	p.agree("Settle", nil, p.queue.Settle(p.ctx, w), nil, p.model.queue.Settle(p.ctx, w))
}

// move moves the lane of a webhook that exists.
func (p queuePair) move(t *rapid.T) {
	w := rapid.SampledFrom(p.webhooks).Draw(t, "webhook")
	got, want := p.in(w.Company).lookLane(w.ID, "", 25), p.model.in(w.Company).lookLane(w.ID, "", 25)
	if !want.Exists {
		t.Skip("the webhook was deleted")
	}
	m := rapid.SampledFrom([]webhook.LaneMove{
		{}, {At: p.now}, {At: p.now.Add(time.Hour)}, {At: p.now.Add(time.Minute), Idle: true}, {At: p.now.Add(time.Minute), Probe: true},
	}).Draw(t, "move")
	m.Probe = m.Probe && want.Lane.IsFailing()
	moved, err := p.queue.MoveLane(p.ctx, got, m)
	wantMoved, wantErr := p.model.queue.MoveLane(p.ctx, want, m)
	p.agree("MoveLane", moved, err, wantMoved, wantErr)
}

// claim claims an entry of a delivery, which may be out of date.
func (p queuePair) claim(t *rapid.T) {
	r := p.drawRef(t)
	w := webhook.Waiting{Company: r.Company, WebhookID: r.WebhookID, DeliveryID: r.DeliveryID(), At: p.now}
	if d := p.memory.delivery(r); d != nil && !rapid.Bool().Draw(t, "now") {
		w.At = d.due
	}
	m, claimed, err := p.queue.Claim(p.ctx, w, p.now.Add(time.Hour))
	want, wantClaimed, wantErr := p.model.queue.Claim(p.ctx, w, p.now.Add(time.Hour))
	p.agree("Claim", claimed, err, wantClaimed, wantErr)
	if claimed {
		p.agree("Claim", m.Ref, nil, want.Ref, nil)
	}
}

// compare compares everything that can be read. The time of a lane does not matter, because it may differ if the lane is open.
func (p queuePair) compare() {
	p.pair.compare()
	for _, r := range p.allRefs() {
		p.agreeLook(p.look(p.now, r)[0], p.model.look(p.now, r)[0])
	}
	for _, company := range p.companies {
		untimed := func(entries []webhook.Waiting) []webhook.Waiting {
			for i := range entries {
				if entries[i].DeliveryID == "" {
					entries[i].At = time.Time{}
				}
			}
			return entries
		}
		want := untimed(p.model.in(company).entries(p.later()))
		p.in(company).eventually("the entries", func() bool { return sameEntries(untimed(p.in(company).entries(p.later())), want) })
	}
	for _, w := range p.webhooks {
		want := p.model.in(w.Company).lookLane(w.ID, "", 100)
		var got webhook.LaneLook
		p.eventually("the lane's deliveries", func() bool {
			got = p.in(w.Company).lookLane(w.ID, "", 100)
			return sameRefs(got.Waiting, want.Waiting)
		})
		got.Waiting, got.IdleUntil, got.Revision = want.Waiting, want.IdleUntil, want.Revision
		p.agree("LookLane", got, nil, want, nil)
	}
}
