package deliverytest

import (
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// run begins the first attempt in a run, and its request arrives.
func (s *story) run(number int64) {
	s.add(Read{hook, event, 1, number}, Begun{hook, event, number}, s.arrived(hook, event))
}

// deliver records that the first attempt in a run succeeds.
func (s *story) deliver(run int64) {
	o := s.outcome(hook, event, 1, 200, webhook.StatusDelivered, 0, 0)
	o.Run = run
	s.add(Responded{Post: s.posts, Status: 200}, o)
}

// Several attempts of a delivery can run at the same time if messages are repeated.
func TestCheckRuns(t *testing.T) {
	superseded := func(run int64) Dropped { return Dropped{Webhook: hook, Event: event, Run: run, Superseded: true} }
	for _, tt := range []struct {
		name string
		want string
		tell func(s *story)
	}{
		{"a repeated message of the delivery", "", func(s *story) {
			s.run(1)
			s.add(Repeated{hook, event})
			s.run(2)
			s.deliver(2)
			s.add(superseded(1))
		}},
		{"a repeated message of the lane", "", func(s *story) { s.add(Repeated{Webhook: hook}); s.run(1); s.run(2); s.deliver(1); s.add(superseded(2)) }},
		{"a repeated message of the event", "", func(s *story) { s.add(Repeated{Event: event}); s.run(1); s.run(2); s.deliver(1); s.add(superseded(2)) }},
		{"a granted attempt", "", func(s *story) { s.add(Granted{hook, event, 1}); s.run(1); s.run(2); s.deliver(1); s.add(superseded(2)) }},
		{"a fault before the outcome", "", func(s *story) { s.run(1); s.add(Dropped{Webhook: hook, Event: event, Run: 1}); s.run(2); s.deliver(2) }},
		{"a late duplicate", "", func(s *story) {
			s.add(Calmed{}, Repeated{hook, event}, Read{hook, event, 1, 2})
			s.run(1)
			s.deliver(1)
			s.wait(2 * time.Minute)
			s.add(Begun{hook, event, 2}, superseded(2))
		}},
		{"a duplicate without a cause", "1 attempts were duplicates of others, but only 0 messages were repeated", func(s *story) {
			s.add(Repeated{"wh_2", ""}, Repeated{"", "evt_2"})
			s.run(1)
			s.run(2)
			s.deliver(1)
			s.add(superseded(2))
		}},
		{"a granted attempt that waits", "a granted attempt begins after 1m1s", func(s *story) {
			s.add(Calmed{}, Granted{hook, event, 1})
			s.wait(61 * time.Second)
			s.run(1)
			s.deliver(1)
		}},
		{"two outcomes", "attempt 1 is recorded after attempt 1", func(s *story) { s.run(1); s.run(2); s.deliver(1); s.deliver(2) }},
		{"the outcome of another run", "although no attempt runs", func(s *story) { s.run(1); s.deliver(2) }},
		{"a reading of another run", "what was read before another attempt", func(s *story) { s.add(Read{hook, event, 1, 1}, Begun{hook, event, 2}); s.run(3); s.deliver(3) }},
		{"responses of attempts at the same time", "", func(s *story) {
			s.add(Repeated{hook, event})
			s.run(1)
			s.add(Responded{Post: s.posts, Status: 429, PausedUntil: s.at.Add(time.Hour)})
			s.run(2)
			s.add(Responded{Post: s.posts, Status: 429, PausedUntil: s.at.Add(2 * time.Hour)})
			o := s.outcome(hook, event, 1, 429, webhook.StatusPending, 1, time.Hour)
			o.PausedUntil, o.Run = s.at.Add(time.Hour), 1
			s.add(o, superseded(2))
			s.wait(time.Hour)
			s.attempt(hook, event, 2, 200)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			tt.tell(s)
			s.show(webhook.StatusDelivered)
			expect(t, s.check(0), tt.want)
		})
	}
}

// What is parked waits for its lane, and a granted attempt does not change that.
func TestCheckParked(t *testing.T) {
	for want, parked := range map[string]Fact{"": Parked{hook, event}, "step 0 is due": Parked{"wh_2", "evt_2"}} {
		s := newStory(t)
		s.add(parked, Granted{hook, event, 1})
		s.begin(hook, event, 1)
		s.add(s.arrived(hook, event), Responded{Post: s.posts, Status: 500}, s.outcome(hook, event, 1, 500, webhook.StatusPending, 0, 0))
		s.show(webhook.StatusPending)
		expect(t, s.check(0), want)
	}
}
