package dispatch_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

// queuePlan is what a seed decides about the queues before a simulation begins. Faults are one in so many, or none if it is 0.
type queuePlan struct {
	pageLimit    int
	concurrency  int           // invocations for each queue
	lag, maxSkew time.Duration // of the index, and of clocks
	latency      time.Duration // of messages
	// Messages are put into the queue twice, handed out again while they are handled, or not deleted.
	twice, expires, undeleted int
	sweepFaults               int
	long                      bool // until deliveries expire to a receiver that never works
	crowd                     bool // of deliveries that wait for a receiver that does not work for an hour
}

func newQueuePlan(random *rand.Rand) queuePlan {
	oneOf := func(choices ...int) int { return choices[random.IntN(len(choices))] }
	return queuePlan{
		pageLimit:   oneOf(1, 3, 500),
		concurrency: oneOf(3, 10, 30),
		lag:         time.Duration(oneOf(0, 0, 1, 5)) * time.Second,
		maxSkew:     time.Duration(oneOf(0, 0, 1)) * time.Second,
		latency:     time.Duration(oneOf(20, 1000, 10_000)) * time.Millisecond,
		twice:       oneOf(0, 0, 5, 50), expires: oneOf(0, 0, 5, 50), undeleted: oneOf(0, 0, 5, 50),
		sweepFaults: oneOf(0, 3),
		long:        random.IntN(50) == 0,
		crowd:       random.IntN(30) == 0,
	}
}

// grantLater lets clients request retries after the faults.
func (p *plan) grantLater(random *rand.Rand) {
	for i := range random.IntN(10) {
		after := p.calmAfter + settling + time.Duration(random.Int64N(int64(5*time.Minute))).Truncate(time.Millisecond)
		p.actions = append(p.actions, action{after, fmt.Sprintf("request late retry %d", i+1), newRetry()})
	}
}

// breakDown makes a receiver respond with 500.
func (r *receiver) breakDown() {
	r.rarity = 1
	r.faults = slices.DeleteFunc(faultyReplies(), func(f reply) bool { return f.status != 500 || f.directive != "" })
}

// gather makes a crowd of deliveries to a receiver wait.
func (p *plan) gather(random *rand.Rand) {
	r := p.receivers[0]
	r.breakDown()
	p.calmAfter = max(p.calmAfter, time.Hour)
	for i := range 3 {
		var events []webhook.NewEvent
		for n := range 40 {
			id := fmt.Sprintf("evt_%026d", 100_000+100*i+n)
			events = append(events, webhook.NewEvent{Event: webhook.Event{ID: id, Company: r.company, Type: r.types[0]}})
		}
		after := time.Duration(random.Int64N(int64(time.Hour))).Truncate(time.Millisecond)
		p.actions = append(p.actions, action{after, fmt.Sprintf("publish event %d", 100_000+100*i), func(s *simulation) bool { return s.publish(events) }})
	}
}
