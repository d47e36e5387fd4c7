package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/delivery"
	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/dispatch"
	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

const (
	// timeLimit is how long an invocation of a function may take.
	timeLimit = 30 * time.Second
	// settling is after how long nothing that faults have caused is left: an entry was claimed for a message that was never sent.
	settling = 15 * time.Minute
)

// queues is a simulation of a host with queues. Functions are invoked for messages, and every minute to sweep. Each invocation is a
// process, and so is each request of a publisher.
type queues struct {
	*simulation
	queuePlan
	memory  *webhooktest.QueueMemory
	indexes []oldIndex // the latest ones, the oldest first

	lastProcess int
	lastRun     int64
	lastOutcome time.Time

	queueState // protected by the simulation's mutex
}

// oldIndex is the store's index from a time on.
type oldIndex struct {
	from  time.Time
	index webhooktest.QueueIndex
}

// simulateQueues runs a seed and returns the trace and what was wrong.
func simulateQueues(t *testing.T, seed uint64, plant func(p *process)) (trace string, wrong []string) {
	var s *simulation
	synctest.Test(t, func(t *testing.T) {
		s = newWorld(seed, plant)
		q := newQueues(s)
		s.prepare(t)
		for _, name := range queueNames() {
			go q.poll(name)
		}
		q.sweepAfter(dispatch.SweepInterval)
		for _, a := range s.actions {
			go s.act(a)
		}
		go q.end()
		s.loop()
	})
	o := deliverytest.Options{Schedule: s.schedule, Patience: 4 * time.Minute, Tolerance: 2 * s.queues.maxSkew}
	for _, v := range deliverytest.Check(s.recorder.History(), o) {
		s.wrong("%v", v)
	}
	return s.trace.String(), s.errors
}

func newQueues(s *simulation) *queues {
	q := &queues{simulation: s, queuePlan: newQueuePlan(s.random), memory: webhooktest.NewQueueMemory(), queueState: newQueueState()}
	q.memory.FanOutLimit, q.memory.PageLimit = s.fanOutLimit, q.pageLimit
	if q.lag > 0 {
		q.memory.OldIndex = q.oldIndex
		q.changed()
	}
	s.queues, s.store, s.onDisk = q, queueClients{q.memory, q}, false
	s.slowest = 12 * time.Second // longer than the second step of the schedule
	s.endAfter = 10*time.Minute + s.endAfter/4
	if q.long {
		s.endAfter = webhook.MaxAge + 2*time.Hour
		s.schedule = delivery.DefaultSchedule()
		s.receivers[0].dead = true
		s.receivers[0].breakDown()
	}
	if q.crowd {
		s.gather(s.random)
	}
	s.grantLater(s.random)
	return q
}

// newProcess returns an invocation with a kind and a context that ends with it.
func (q *queues) newProcess(kind string) (context.Context, *process) {
	q.lastProcess++
	p := &process{simulation: q.simulation, label: fmt.Sprintf("%s%d: ", kind, q.lastProcess), dead: make(chan struct{}), runs: make(map[int64]webhook.Ref)}
	if q.maxSkew > 0 {
		p.skewed = q.between(-q.maxSkew, q.maxSkew)
	}
	p.queueStore, p.queue = &gatedQueueStore{q.memory, p}, &gatedQueue{p}
	p.attempter, p.poster = &attempts{p}, &modelPoster{p}
	if q.network != nil {
		p.poster = q.network.client(p)
	}
	if q.plant != nil {
		q.plant(p)
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeLimit)
	p.stop = cancel
	q.mu.Lock()
	q.living = append(q.living, p)
	q.mu.Unlock()
	return ctx, p
}

func (p *process) consumer() *dispatch.Consumer {
	return &dispatch.Consumer{
		Store: p.queueStore, Queue: p.queue, Attempter: p.attempter, Now: p.now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

func (p *process) publisher() dispatch.Publisher {
	return dispatch.Publisher{PublisherStore: p.queueStore, Queue: p.queue}
}

// invoke runs a function in a process, which is killed when its time is over. It reports whether it has ended before.
func (q *queues) invoke(p *process, run, end func()) (ended bool) {
	limit := time.AfterFunc(timeLimit, func() {
		if q.step(nil, "%stime limit", p.label) {
			q.killed(p)
		}
	})
	run()
	if q.step(p, "%send", p.label) {
		ended = true
		p.ending = true
		p.stop()
		limit.Stop()
		q.dropRuns(p)
		q.remove(p)
		end()
	}
	return ended
}

// killed kills a process that still runs.
func (q *queues) killed(p *process) {
	if p.ending {
		return
	}
	p.ending = true
	q.note("-- %skilled", p.label)
	q.kill(p)
	q.dropRuns(p)
	q.remove(p)
}

func (q *queues) remove(p *process) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.living = slices.DeleteFunc(q.living, func(other *process) bool { return other == p })
}

// dropRuns records the attempts of a process whose outcomes it has not stored and never will.
func (q *queues) dropRuns(p *process) {
	for _, run := range slices.Sorted(maps.Keys(p.runs)) {
		r := p.runs[run]
		q.recorder.Add(deliverytest.Dropped{Webhook: r.WebhookID, Event: r.EventID, Run: run})
	}
	clear(p.runs)
}

// killOne kills a random process.
func (q *queues) killOne() {
	if n := len(q.living); n > 0 {
		q.killed(q.living[q.random.IntN(n)])
	}
}

// skew sets the clock of a random process.
func (q *queues) skew() {
	if n := len(q.living); n > 0 && q.maxSkew > 0 {
		p := q.living[q.random.IntN(n)]
		p.skewed = q.between(-q.maxSkew, q.maxSkew)
		q.note("-- %sclock differs by %v", p.label, p.skewed)
	}
}

// sweepAfter sweeps after a time and then every minute: while there are faults, sometimes twice at the same time, and sometimes not for
// ten minutes.
func (q *queues) sweepAfter(wait time.Duration) {
	time.AfterFunc(wait, func() {
		if !q.step(nil, "time to sweep") || q.hasStopped() {
			return
		}
		sweeps := 1
		if !q.calm && q.chance(q.sweepFaults) {
			sweeps = 2 * q.random.IntN(2)
		}
		for range sweeps {
			ctx, p := q.newProcess("sweep")
			go q.invoke(p, func() { _, _ = p.consumer().Sweep(ctx) }, func() {})
		}
		if sweeps == 0 {
			q.note("  no sweep for 10 minutes")
			q.sweepAfter(10 * dispatch.SweepInterval)
			return
		}
		q.sweepAfter(dispatch.SweepInterval)
	})
}

// end ends the faults and then, after all invocations have ended, the simulation, and records what the store shows.
func (q *queues) end() {
	time.Sleep(q.calmAfter)
	q.step(nil, "no more faults")
	q.calm = true
	time.Sleep(settling)
	q.recorder.Add(deliverytest.Calmed{})
	time.Sleep(q.endAfter)
	q.step(nil, "no more invocations")
	q.stop()
	for waited := 0; len(q.running()) > 0; waited++ {
		if waited == 60 {
			q.wrong("an invocation has not ended: %s", q.running()[0].label)
			break
		}
		time.Sleep(time.Second)
		q.step(nil, "wait for the end")
	}
	if q.network != nil {
		q.network.close()
	}
	unfinished := q.show()
	q.checkIndex(unfinished)
	q.mu.Lock()
	q.ended, q.abandoned = true, true
	for _, waiting := range q.parked { // a sweep whose time came at this moment
		waiting.alive <- false
	}
	q.mu.Unlock()
	q.close()
	q.rouse()
}

// checkIndex checks that no lanes wait if nothing waits for them, and nothing that was too old an hour ago. The deliveries of a disabled webhook are held, and those of a
// deleted one can wait for its lane until they are deleted with their events.
func (q *queues) checkIndex(unfinished int) {
	index := q.memory.Index()
	// A look at a lane that loses against another change leaves the lane to the claim of a sweep, for ten minutes.
	const forgotten = 25 * time.Minute
	if unfinished == 0 && time.Since(q.lastOutcome) > forgotten {
		for _, r := range q.receivers {
			_, lane, _ := q.memory.Lane(context.Background(), r.company, r.id)
			if q.now().Sub(lane.OpensAt()) > forgotten && index.HasLane(r.company, r.id) {
				q.wrong("the lane of webhook %d still waits although nothing waits for it", r.number)
			}
		}
	}
	for _, r := range q.known {
		if _, lane, err := q.memory.Lane(context.Background(), r.Company, r.WebhookID); err != nil || lane.DisabledReason != "" {
			continue
		}
		if q.now().Sub(r.AcceptedAt) > webhook.MaxAge+time.Hour && index.HasDelivery(r) {
			q.wrong("%s still waits %v after its event was accepted", name(r), q.now().Sub(r.AcceptedAt))
		}
	}
}

func (q *queues) running() []*process {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.living
}

// queueClients is the store that clients of a host with queues use.
type queueClients struct {
	*webhooktest.QueueMemory
	q *queues
}

// AcceptEvents implements [webhook.DeliveryStore].
func (c queueClients) AcceptEvents(_ context.Context, events []webhook.NewEvent) (replayed []bool, err error) {
	if c.q.published[events[0].ID] {
		for _, e := range events {
			c.q.recorder.Add(deliverytest.Repeated{Event: e.ID})
		}
	}
	c.q.published[events[0].ID] = true
	ctx, p := c.q.newProcess("publish")
	ended := c.q.invoke(p, func() { replayed, err = p.publisher().AcceptEvents(ctx, events) }, func() {})
	if !ended {
		return nil, errCrashed
	}
	return replayed, err
}

// RetryDelivery implements [webhook.DeliveryStore].
func (c queueClients) RetryDelivery(_ context.Context, company, webhookID, id string, now time.Time) (d webhook.Delivery, err error) {
	ctx, p := c.q.newProcess("retry")
	ended := c.q.invoke(p, func() { d, err = p.publisher().RetryDelivery(ctx, company, webhookID, id, now) }, func() {})
	if !ended {
		return webhook.Delivery{}, errCrashed
	}
	return d, err
}
