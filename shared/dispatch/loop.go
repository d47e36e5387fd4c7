package dispatch

import (
	"container/heap"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

const (
	arrivalsPerRead = 1000
	lanesPerRead    = 1000
	grantsPerRead   = 1000

	// maxQueued limits how many due deliveries have their numbers in memory. A lane that has none can always read some.
	maxQueued = 16_384
)

const (
	// longestSleep limits the delay if the clock is set forward, which does not affect the loop's timer.
	longestSleep   = time.Minute
	upkeepInterval = time.Minute
	upkeepPause    = 100 * time.Millisecond // while there is more to do
)

// loop is the state of [Engine.Run]. Only its goroutine uses it.
type loop struct {
	*Engine
	goroutines sync.WaitGroup
	tasks      chan func()   // for goroutines that wait for the next one
	spare      chan struct{} // has an element for each of those
	timer      *time.Timer

	lanes     map[int64]*lane
	timers    laneHeap // the lanes that wait for a time
	companies map[string]*company
	ring      []*company // those that may be able to begin an attempt; they take turns

	opened bool
	last   int64 // the number of the last delivery that has arrived
	unread bool  // the store may have arrivals or grants that have not been read
	// grantsAt is when to read grants again after a fault of this service, or zero.
	grantsAt time.Time
	reads    backoff

	queued  int // due deliveries in the lanes' queues
	running int // attempts, including those whose work is being read
	used    int // slots of these attempts
	bytes   int // bodies of running attempts

	recent []*running // young attempts in the order in which they began, with some that have ended
	young  int        // how many of them are running

	choring  bool // FanOut or Upkeep is running
	fanOut   bool // there may be unfinished fan-out
	upkeepAt time.Time
	chores   backoff
}

func newLoop(e *Engine) *loop {
	l := &loop{
		Engine: e, tasks: make(chan func()), spare: make(chan struct{}, maxYoung),
		lanes: make(map[int64]*lane), companies: make(map[string]*company), upkeepAt: e.Now(),
	}
	l.timer = time.AfterFunc(longestSleep, e.rouse)
	return l
}

// turn does everything that can be done now.
func (l *loop) turn(ctx context.Context) {
	results, changed := l.news()
	for _, apply := range results {
		apply(l)
	}
	l.unread = l.unread || changed
	if !l.grantsAt.IsZero() && !l.grantsAt.After(l.Now()) {
		l.grantsAt, l.unread = time.Time{}, true
	}
	l.fanOut = l.fanOut || changed
	if !l.reads.until.After(l.Now()) {
		err := errors.Join(l.read(ctx), l.begin(ctx))
		if err != nil && ctx.Err() == nil {
			l.Log.ErrorContext(ctx, "the store failed, so deliveries wait", "cause", err.Error())
			l.reads.failed(l.Now())
		} else {
			l.reads = backoff{}
		}
	}
	l.startChore(ctx)
	l.working.Store(int64(len(l.lanes)))
	l.sleep()
}

// read reads what has changed in the store, and wakes the lanes whose time has come.
func (l *loop) read(ctx context.Context) error {
	if !l.opened {
		if err := l.open(ctx); err != nil {
			return err
		}
	}
	if l.unread {
		if err := l.arrive(ctx); err != nil {
			return err
		}
		l.unread = false
	}
	now := l.Now()
	for len(l.timers) > 0 && !l.timers[0].at.After(now) {
		n := l.timers[0]
		if !n.dueAt.IsZero() && !n.dueAt.After(now) {
			n.dueAt, n.more = time.Time{}, true
		}
		l.arrange(ctx, n, now)
	}
	return nil
}

// open reads which lanes have unfinished deliveries. Their deliveries are read when it is their turn.
func (l *loop) open(ctx context.Context) error {
	last, err := l.Store.LastNumber(ctx)
	if err != nil {
		return err
	}
	now := l.Now()
	for after := int64(0); ; {
		found, err := l.Store.Lanes(ctx, after, lanesPerRead)
		if err != nil {
			return err
		}
		for _, p := range found {
			after = p.Lane
			n := l.lane(p)
			n.more = true
			l.arrange(ctx, n, now)
		}
		if len(found) < lanesPerRead {
			l.last, l.opened = last, true
			return nil
		}
	}
}

// arrive reads new deliveries and grants.
func (l *loop) arrive(ctx context.Context) error {
	for {
		arrived, err := l.Store.Arrived(ctx, l.last, arrivalsPerRead)
		if err != nil {
			return err
		}
		now := l.Now()
		for _, p := range arrived {
			l.last = p.Number
			l.add(p, now)
			l.arrange(ctx, l.lanes[p.Lane], now)
		}
		if len(arrived) < arrivalsPerRead {
			break
		}
	}
	for after := int64(0); ; {
		granted, err := l.Store.Granted(ctx, after, grantsPerRead)
		if err != nil {
			return err
		}
		now := l.Now()
		for _, p := range granted {
			after = p.Lane
			l.grant(p, now)
		}
		if len(granted) < grantsPerRead {
			return nil
		}
	}
}

// add puts a delivery that has arrived into its lane's queue, or remembers that the store has it.
func (l *loop) add(p webhook.Pending, now time.Time) {
	n := l.lane(p)
	switch {
	case n.inHand[p.Number]:
	case p.Due.After(now):
		n.lookAt(p.Due)
	case n.more || len(n.queue) >= laneQueue || l.queued >= maxQueued:
		n.more = true
	default:
		l.queue(n, p.Number)
	}
}

// grant puts a delivery ahead of the others of its company, unless another one of its lane already is, or it is already running, which
// will use up the grant. After a fault of this service, the lane waits.
func (l *loop) grant(p webhook.Pending, now time.Time) {
	n := l.lane(p)
	switch {
	case n.granted != 0:
		return
	case n.until.After(now):
		l.readGrantsAt(n.until)
		return
	}
	if i := slices.Index(n.queue, p.Number); i >= 0 {
		n.queue = slices.Delete(n.queue, i, i+1)
		l.queued--
	} else if n.inHand[p.Number] {
		n.moreGrants = true // the store returns others of the lane only after it
		return
	}
	n.inHand[p.Number], n.granted = true, p.Number
	n.company.grants = append(n.company.grants, p)
	l.list(n.company)
}

// readGrantsAt lets the loop read grants again at a time.
func (l *loop) readGrantsAt(t time.Time) {
	if l.grantsAt.IsZero() || t.Before(l.grantsAt) {
		l.grantsAt = t
	}
}

func (l *loop) queue(n *lane, number int64) {
	n.queue = append(n.queue, number)
	n.inHand[number] = true
	l.queued++
}

// lane returns the lane of a delivery.
func (l *loop) lane(p webhook.Pending) *lane {
	n := l.lanes[p.Lane]
	if n == nil {
		n = &lane{number: p.Lane, company: l.company(p.Company), inHand: make(map[int64]bool), timer: notTimed}
		l.lanes[p.Lane] = n
		n.company.lanes++
	}
	return n
}

// arrange puts a lane where it belongs: into the ring if it may be able to begin an attempt, under a timer if it waits for a
// time, and nowhere if it has nothing to do. It must be called after every change of a lane.
func (l *loop) arrange(ctx context.Context, n *lane, now time.Time) {
	if len(n.unrecorded) > 0 && !n.recording && !n.until.After(now) {
		l.recordAgain(ctx, n)
	}
	if n.hasWork() && !n.listed && n.isOpen(now) {
		n.listed = true
		n.company.ring = append(n.company.ring, n)
		l.list(n.company)
	}
	switch at := n.nextTime(now); {
	case !at.IsZero() && n.timer == notTimed:
		n.at = at
		heap.Push(&l.timers, n)
	case !at.IsZero():
		n.at = at
		heap.Fix(&l.timers, n.timer)
	case n.timer != notTimed:
		heap.Remove(&l.timers, n.timer)
	}
	if n.isIdle(now) {
		l.setState(n, webhook.Lane{})
		delete(l.lanes, n.number)
		if n.company.lanes--; n.company.lanes == 0 {
			delete(l.companies, n.company.name)
		}
	}
}

// setState sets the state of a lane to what was read or changed.
func (l *loop) setState(n *lane, state webhook.Lane) {
	if was, is := n.state.IsFailing(), state.IsFailing(); was != is {
		if is {
			l.failing.Add(1)
		} else {
			l.failing.Add(-1)
		}
	}
	n.state = state
}

// startChore starts fan-out or upkeep, one at a time, while deliveries continue.
func (l *loop) startChore(ctx context.Context) {
	now := l.Now()
	var chore func(ctx context.Context) (more bool, err error)
	isFanOut := l.fanOut
	switch {
	case l.choring, l.chores.until.After(now):
		return
	case l.fanOut:
		l.fanOut = false
		chore = l.Store.FanOut
	case !l.upkeepAt.After(now):
		chore = func(ctx context.Context) (bool, error) { return l.Store.Upkeep(ctx, now, now.Add(-l.Retention)) }
	default:
		return
	}
	l.choring = true
	l.do(ctx, func(ctx context.Context) func(*loop) {
		more, err := chore(ctx)
		return func(l *loop) { l.endChore(ctx, isFanOut, more, err) }
	})
}

func (l *loop) endChore(ctx context.Context, wasFanOut, more bool, err error) {
	now := l.Now()
	l.choring = false
	if err != nil {
		l.Log.ErrorContext(ctx, "the store failed: fan-out or upkeep waits", "cause", err.Error())
		l.chores.failed(now)
		if wasFanOut {
			l.fanOut, l.unread = true, true // it may have added deliveries all the same
		}
		return
	}
	l.chores = backoff{}
	switch {
	case wasFanOut:
		l.fanOut = l.fanOut || more
		l.unread = l.unread || more
	case more:
		l.upkeepAt = now.Add(upkeepPause)
	default:
		l.upkeepAt = now.Add(upkeepInterval)
	}
}

// sleep sets the timer for the next turn.
func (l *loop) sleep() {
	now := l.Now()
	next := now.Add(longestSleep)
	earlier := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	if l.reads.until.After(now) {
		earlier(l.reads.until)
	} else {
		if len(l.timers) > 0 {
			earlier(l.timers[0].at)
		}
		if !l.grantsAt.IsZero() {
			earlier(l.grantsAt)
		}
		if l.isCrowded() {
			earlier(l.recent[0].began.Add(youth))
		}
	}
	if !l.choring {
		if l.fanOut {
			earlier(l.chores.until)
		}
		if l.upkeepAt.After(l.chores.until) {
			earlier(l.upkeepAt)
		} else {
			earlier(l.chores.until)
		}
	}
	l.timer.Reset(max(0, next.Sub(now)))
}

// The wait after a failure of the store or of this service. It doubles with every consecutive failure.
const (
	shortestBackoff = 100 * time.Millisecond
	longestBackoff  = 10 * time.Second
	// lastTries is after how many failures an engine that is to stop gives up.
	lastTries = 6
)

// backoff is the wait after consecutive failures.
type backoff struct {
	failures int
	until    time.Time
}

func (b *backoff) failed(now time.Time) {
	b.until = now.Add(min(longestBackoff, shortestBackoff<<min(b.failures, 10)))
	b.failures++
}

// isWorthLogging reports whether the number of failures is a power of two.
func (b *backoff) isWorthLogging() bool { return b.failures&(b.failures-1) == 0 }
