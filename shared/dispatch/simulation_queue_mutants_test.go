package dispatch_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// TestQueueMutants does the same as TestMutants with the engine of a host with queues, but from one first seed on, since it takes longer.
func TestQueueMutants(t *testing.T) {
	findMutants(t, queueMutants(), map[string]func(seed uint64) bool{
		aheadDropped: func(seed uint64) bool {
			p, _ := queuePlanOf(seed)
			return p.storeFaults > 0 && slices.Contains(p.storeFaultKinds, slow)
		},
		neverSettled: func(seed uint64) bool { _, q := queuePlanOf(seed); return q.long },
		forgotten:    func(seed uint64) bool { _, q := queuePlanOf(seed); return q.lag > 0 },
	}, 1, simulateQueues)
}

// The names of mutants that only some seeds can find.
const (
	aheadDropped = "messages that are ahead are dropped"
	neverSettled = "expired deliveries are never settled"
	forgotten    = "a lane is forgotten when it looks empty for the first time"
)

// queuePlanOf returns what a seed decides.
func queuePlanOf(seed uint64) (plan, queuePlan) {
	random := rand.New(rand.NewPCG(seed, 0))
	return newPlan(random), newQueuePlan(random)
}

func queueMutants() []mutant {
	return []mutant{
		{"the outcome is stored before the POST", func(p *process) {
			p.wrapAttempt(func(ctx context.Context, w webhook.Work, next attempt) (webhook.Outcome, error) {
				early := webhook.Outcome{Ref: w.Ref, Status: webhook.StatusDelivered, Attempt: webhook.Attempt{Number: w.Made + 1, StatusCode: 200}}
				if _, err := p.queueStore.Record(ctx, early); err != nil {
					return early, err
				}
				return next(ctx, w)
			})
		}},
		{"an outcome is dropped if the store fails", func(p *process) {
			p.wrapQueueStore(func(s *changedStore) {
				s.record = func(ctx context.Context, o webhook.Outcome) (bool, error) {
					applied, err := s.queueStore.Record(ctx, o)
					return applied || err != nil, nil
				}
			})
		}},
		{"the message for the next attempt is sent after the outcome is stored", func(p *process) {
			var held []webhook.Message
			p.wrapSend(func(m webhook.Message) bool {
				if isNext := p.isNext(m); isNext {
					held = append(held, m)
					return false
				}
				return true
			})
			p.wrapQueueStore(func(s *changedStore) {
				s.record = func(ctx context.Context, o webhook.Outcome) (bool, error) {
					applied, err := s.queueStore.Record(ctx, o)
					if err == nil {
						err = (&gatedQueue{p}).Send(ctx, held...)
						held = nil
					}
					return applied, err
				}
			})
		}},
		{"a granted attempt replaces the scheduled one", func(p *process) {
			granted := make(map[string]bool)
			p.wrapAttempt(func(ctx context.Context, w webhook.Work, next attempt) (webhook.Outcome, error) {
				granted[w.WebhookID+w.EventID] = w.Granted
				return next(ctx, w)
			})
			p.wrapSend(func(m webhook.Message) bool { return !p.isNext(m) || !granted[m.WebhookID+m.EventID] })
		}},
		{aheadDropped, func(p *process) {
			p.wrapLooks(func(l *webhook.Look) {
				if l.State == webhook.LookAhead {
					l.State = webhook.LookDone
				}
			})
		}},
		{"due times are ignored", func(p *process) { p.wrapLooks(func(l *webhook.Look) { l.Work.Due = time.Time{} }) }},
		{"a failing lane is attempted as a healthy one", func(p *process) {
			p.wrapLooks(func(l *webhook.Look) { l.Work.Lane.FailingSince, l.Work.Lane.ProbeAt = time.Time{}, time.Time{} })
		}},
		{"a pause does not bind other deliveries", func(p *process) {
			p.wrapLooks(func(l *webhook.Look) { l.Work.Lane.PausedUntil = time.Time{} })
		}},
		{neverSettled, func(p *process) {
			p.wrapLooks(func(l *webhook.Look) {
				if l.State == webhook.LookExpired {
					l.State = webhook.LookDone
				}
			})
		}},
		{"a parked delivery does not make its lane wait", func(p *process) {
			p.wrapQueueStore(func(s *changedStore) {
				s.park = func(ctx context.Context, w webhook.Work, now time.Time) (bool, error) {
					before := p.queues.memory.Index()
					isDue, err := s.queueStore.Park(ctx, w, now)
					if look, _ := p.queues.memory.LookLane(ctx, w.Company, w.WebhookID, "", 1); err == nil && !before.HasLane(w.Company, w.WebhookID) {
						_, _ = p.queues.memory.MoveLane(ctx, look, webhook.LaneMove{})
					}
					return isDue, err
				}
			})
		}},
		{forgotten, func(p *process) {
			p.wrapMoves(func(l *webhook.LaneLook, m *webhook.LaneMove) {
				if m.Idle {
					*m = webhook.LaneMove{}
				}
			})
		}},
		{"an idle lane is never forgotten", func(p *process) {
			p.wrapMoves(func(_ *webhook.LaneLook, m *webhook.LaneMove) {
				if m.At.IsZero() {
					m.At = p.now().Add(time.Hour)
				}
			})
		}},
		{"a probe is not claimed", func(p *process) {
			p.wrapQueueStore(func(s *changedStore) {
				s.moveLane = func(ctx context.Context, l webhook.LaneLook, m webhook.LaneMove) (bool, error) {
					moved, err := s.queueStore.MoveLane(ctx, l, webhook.LaneMove{At: m.At, Idle: m.Idle})
					return moved || m.Probe && err == nil, err
				}
			})
		}},
		{"a lane that is probed does not wait for a time", func(p *process) {
			p.wrapMoves(func(_ *webhook.LaneLook, m *webhook.LaneMove) {
				if m.Probe {
					m.At = m.At.Add(24 * time.Hour)
				}
			})
		}},
		{"a lane that recovers is not drained further", func(p *process) {
			p.wrapSend(func(m webhook.Message) bool { return m.Kind != webhook.MessageLane || m.Count == 1 })
		}},
		{"the end of a drain is not looked at again", func(p *process) {
			p.wrapMoves(func(l *webhook.LaneLook, m *webhook.LaneMove) {
				if len(l.Waiting) > 0 && !l.Lane.IsFailing() {
					*m = webhook.LaneMove{}
				}
			})
		}},
		{"a claim lasts for a day", func(p *process) {
			p.wrapQueueStore(func(s *changedStore) {
				s.claim = func(ctx context.Context, w webhook.Waiting, until time.Time) (webhook.Message, bool, error) {
					return s.queueStore.Claim(ctx, w, until.Add(24*time.Hour))
				}
			})
		}},
		{"a repeated request sends no messages", func(p *process) {
			p.wrapQueueStore(func(s *changedStore) {
				s.accept = func(ctx context.Context, events []webhook.NewEvent) ([]webhook.Accepted, error) {
					accepted, err := s.queueStore.Accept(ctx, events)
					for i, a := range accepted {
						if a.Replayed {
							accepted[i] = webhook.Accepted{Replayed: true}
						}
					}
					return accepted, err
				}
			})
		}},
		{"only the first page is fanned out", func(p *process) {
			p.wrapSend(func(m webhook.Message) bool { return m.Kind != webhook.MessageFanOut || m.Count == 1 })
		}},
		{"messages are deleted although they could not be handled", func(p *process) { p.deaf = true }},
		{"one of 50 messages is lost", func(p *process) {
			p.wrapSend(func(webhook.Message) bool { return p.calm || !p.chance(50) })
		}},
	}
}

// isNext reports whether a message is for an attempt after one that runs in this process.
func (p *process) isNext(m webhook.Message) bool {
	for _, r := range p.runs {
		if r.WebhookID == m.WebhookID && r.EventID == m.EventID && r.Made+1 == m.Made {
			return true
		}
	}
	return false
}

// wrapSend lets a process send only the messages for which keep reports true.
func (p *process) wrapSend(keep func(m webhook.Message) bool) { p.queue = filteredQueue{p.queue, keep} }

type filteredQueue struct {
	webhook.Queue
	keep func(m webhook.Message) bool
}

// Send implements [webhook.Queue].
func (q filteredQueue) Send(ctx context.Context, messages ...webhook.Message) error {
	var kept []webhook.Message
	for _, m := range messages {
		if q.keep(m) {
			kept = append(kept, m)
		}
	}
	return q.Queue.Send(ctx, kept...)
}

// changedStore is a store with other methods where they are not nil.
type changedStore struct {
	queueStore
	change   func(l *webhook.Look)
	accept   func(ctx context.Context, events []webhook.NewEvent) ([]webhook.Accepted, error)
	park     func(ctx context.Context, w webhook.Work, now time.Time) (bool, error)
	record   record
	moveLane func(ctx context.Context, l webhook.LaneLook, m webhook.LaneMove) (bool, error)
	claim    func(ctx context.Context, w webhook.Waiting, until time.Time) (webhook.Message, bool, error)
}

func (p *process) wrapQueueStore(wrap func(s *changedStore)) {
	s := &changedStore{queueStore: p.queueStore}
	wrap(s)
	p.queueStore = s
}

func (p *process) wrapLooks(change func(l *webhook.Look)) {
	p.wrapQueueStore(func(s *changedStore) { s.change = change })
}

func (p *process) wrapMoves(change func(l *webhook.LaneLook, m *webhook.LaneMove)) {
	p.wrapQueueStore(func(s *changedStore) {
		s.moveLane = func(ctx context.Context, l webhook.LaneLook, m webhook.LaneMove) (bool, error) {
			change(&l, &m)
			return s.queueStore.MoveLane(ctx, l, m)
		}
	})
}

// Look implements [webhook.QueueStore].
func (s *changedStore) Look(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Look, error) {
	looks, err := s.queueStore.Look(ctx, refs, now)
	for i := range looks {
		if s.change != nil {
			s.change(&looks[i])
		}
	}
	return looks, err
}

// Accept implements [webhook.QueueStore].
func (s *changedStore) Accept(ctx context.Context, events []webhook.NewEvent) ([]webhook.Accepted, error) {
	if s.accept != nil {
		return s.accept(ctx, events)
	}
	return s.queueStore.Accept(ctx, events)
}

// Park implements [webhook.QueueStore].
func (s *changedStore) Park(ctx context.Context, w webhook.Work, now time.Time) (bool, error) {
	if s.park != nil {
		return s.park(ctx, w, now)
	}
	return s.queueStore.Park(ctx, w, now)
}

// Record implements [webhook.QueueStore].
func (s *changedStore) Record(ctx context.Context, o webhook.Outcome) (bool, error) {
	if s.record != nil {
		return s.record(ctx, o)
	}
	return s.queueStore.Record(ctx, o)
}

// MoveLane implements [webhook.QueueStore].
func (s *changedStore) MoveLane(ctx context.Context, l webhook.LaneLook, m webhook.LaneMove) (bool, error) {
	if s.moveLane != nil {
		return s.moveLane(ctx, l, m)
	}
	return s.queueStore.MoveLane(ctx, l, m)
}

// Claim implements [webhook.QueueStore].
func (s *changedStore) Claim(ctx context.Context, w webhook.Waiting, until time.Time) (webhook.Message, bool, error) {
	if s.claim != nil {
		return s.claim(ctx, w, until)
	}
	return s.queueStore.Claim(ctx, w, until)
}
