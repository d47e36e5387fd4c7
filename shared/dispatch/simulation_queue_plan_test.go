package dispatch_test

import (
	"math/rand/v2"
	"time"
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
	}
}
