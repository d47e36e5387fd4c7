package dispatch

import (
	"context"
	"fmt"
	"maps"
	"runtime/debug"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

const (
	// worksPerRead is how many attempts begin with one read of the store.
	worksPerRead = 64
	// maxBody is the size of the largest body, and maxBytes limits the size of all bodies in memory.
	maxBody  = 257 << 10
	maxBytes = 32 << 20

	// maxYoung is the maximum number of running attempts that began less than youth ago, to receivers that are not known to be
	// slow. More of them would not make receivers any faster, but would need more connections and memory.
	maxYoung = 128
	youth    = 100 * time.Millisecond
	// minBegun is how many of those begin at once if that many are due, because a read of many costs little more than a read of few.
	minBegun = 32
)

// begin begins as many attempts as it can. The companies take turns, one attempt each, and so do the lanes of each company.
func (l *loop) begin(ctx context.Context) error {
	for {
		picked, err := l.pick(ctx)
		if len(picked) == 0 || err != nil {
			l.putBack(ctx, picked)
			return err
		}
		refs := make([]webhook.Ref, len(picked))
		for i, p := range picked {
			refs[i].Number = p.number
		}
		now := l.Now()
		works, err := l.Store.Work(ctx, refs, now)
		if err != nil {
			l.putBack(ctx, picked)
			return err
		}
		l.start(ctx, picked, works, now)
	}
}

// pick is a delivery that is about to be attempted.
type pick struct {
	lane    *lane
	number  int64
	granted bool
}

// pick takes the deliveries to attempt next, one of each company in turn.
func (l *loop) pick(ctx context.Context) ([]pick, error) {
	now := l.Now()
	l.age(now)
	room := min(worksPerRead, l.Slots-l.running, maxYoung-l.young, (maxBytes-l.bytes)/maxBody)
	if l.isCrowded() {
		room = 0
	}
	var picked []pick
	for passed := 0; len(picked) < room && passed < len(l.ring); {
		c := l.ring[0]
		l.ring[0] = nil
		l.ring = l.ring[1:]
		c.listed = false
		p, ok, err := l.pickOf(ctx, c, now)
		if ok {
			picked = append(picked, l.hold(p))
		}
		l.list(c)
		switch {
		case err != nil:
			return picked, err
		case ok:
			passed = 0
		case c.listed: // again, at the end of the ring
			passed++
		}
	}
	return picked, nil
}

// pickOf takes the delivery of a company to attempt next, if the company may begin an attempt: a granted one, or one of its lanes
// in turn.
func (l *loop) pickOf(ctx context.Context, c *company, now time.Time) (p pick, ok bool, err error) {
	slots := l.Slots - l.used - c.used
	if slots <= 0 && c.used > 0 {
		return pick{}, false, nil
	}
	if len(c.grants) > 0 {
		granted := c.grants[0]
		c.grants = c.grants[1:]
		return pick{l.lane(granted), granted.Number, true}, true, nil
	}
	for passed := 0; passed < len(c.ring); {
		n := c.ring[0]
		c.ring[0] = nil
		c.ring = c.ring[1:]
		n.listed = false
		number, ok, err := l.next(ctx, n, slots, now)
		l.arrange(ctx, n, now)
		switch {
		case ok || err != nil:
			return pick{n, number, false}, ok, err
		case n.listed: // again, as the last one
			passed++
		}
	}
	return pick{}, false, nil
}

// next takes the next delivery of a lane, if the lane may begin an attempt while its company may still use a number of slots.
func (l *loop) next(ctx context.Context, n *lane, slots int, now time.Time) (number int64, ok bool, err error) {
	if !n.isOpen(now) || !n.hasRoom(slots) {
		return 0, false, nil
	}
	if err := l.fill(ctx, n, now); err != nil || len(n.queue) == 0 {
		return 0, false, err
	}
	number = n.queue[0]
	n.queue = n.queue[1:]
	l.queued--
	return number, true, nil
}

// running is an attempt that is running.
type running struct {
	lane         *lane
	began        time.Time
	young, ended bool
}

// isCrowded reports whether enough young attempts are running.
func (l *loop) isCrowded() bool { return l.young > maxYoung-minBegun }

// track counts an attempt that begins. It is young, unless its lane is known to be slow.
func (l *loop) track(n *lane, now time.Time) *running {
	a := &running{lane: n, began: now, young: n.old == 0}
	if a.young {
		l.young++
		l.recent = append(l.recent, a)
	} else {
		n.old++
	}
	return a
}

// untrack undoes track.
func (l *loop) untrack(a *running) {
	a.ended = true
	if a.young {
		l.young--
	} else {
		a.lane.old--
	}
}

// age stops counting attempts as young once they began long enough ago.
func (l *loop) age(now time.Time) {
	for len(l.recent) > 0 && (l.recent[0].ended || now.Sub(l.recent[0].began) >= youth) {
		if a := l.recent[0]; !a.ended {
			a.young = false
			l.young--
			a.lane.old++
		}
		l.recent[0] = nil
		l.recent = l.recent[1:]
	}
}

// hold counts a pick as running.
func (l *loop) hold(p pick) pick {
	l.running++
	p.lane.running++
	l.use(p.lane, 1)
	return p
}

// release undoes hold.
func (l *loop) release(p pick) {
	l.running--
	p.lane.running--
	l.use(p.lane, -1)
}

// fill reads due deliveries of a lane if it has none in memory.
func (l *loop) fill(ctx context.Context, n *lane, now time.Time) error {
	if len(n.queue) > 0 || !n.more {
		return nil
	}
	limit := laneQueue + len(n.inHand) + 1
	due, err := l.Store.Due(ctx, n.number, limit, now)
	if err != nil {
		return err
	}
	n.queue, n.more, n.dueAt = nil, false, time.Time{}
	for _, p := range due {
		switch {
		case n.inHand[p.Number]:
		case p.Due.After(now):
			n.dueAt = p.Due
			return nil
		case len(n.queue) == laneQueue, len(n.queue) > 0 && l.queued >= maxQueued:
			n.more = true
			return nil
		default:
			l.queue(n, p.Number)
		}
	}
	return nil
}

// putBack returns picks to the heads of their queues.
func (l *loop) putBack(ctx context.Context, picked []pick) {
	for _, p := range slices.Backward(picked) {
		l.release(p)
		if p.granted {
			c := p.lane.company
			c.grants = slices.Insert(c.grants, 0, webhook.Pending{Company: c.name, Lane: p.lane.number, Number: p.number})
			l.list(c)
		} else {
			l.requeue(p.lane, p.number)
		}
		l.arrange(ctx, p.lane, l.Now())
	}
}

// start starts an attempt for each pick whose work was found, unless its lane does not allow it after all.
func (l *loop) start(ctx context.Context, picked []pick, works []webhook.Work, now time.Time) {
	found := make(map[int64]webhook.Work, len(works))
	for _, w := range works {
		found[w.Number] = w
	}
	var early []pick
	for _, p := range picked {
		w, ok := found[p.number]
		if ok {
			l.setState(p.lane, w.Lane)
		}
		switch {
		case !ok: // it no longer exists, has finished, or is held
			l.drop(p)
		case !w.Granted && w.Due.After(now):
			l.drop(p)
			p.lane.lookAt(w.Due)
		case !w.Granted && (!p.lane.isOpen(now) || w.Lane.IsFailing() && p.lane.begun > 0):
			early = append(early, p)
		default:
			l.startAttempt(ctx, p, w, now)
		}
		l.arrange(ctx, p.lane, now)
	}
	l.putBack(ctx, early)
}

// drop forgets a pick.
func (l *loop) drop(p pick) {
	l.release(p)
	delete(p.lane.inHand, p.number)
}

// startAttempt attempts a delivery and stores the outcome, in a goroutine.
func (l *loop) startAttempt(ctx context.Context, p pick, w webhook.Work, now time.Time) {
	p.lane.begun++
	l.bytes += len(w.Event.Body)
	l.use(p.lane, l.slots(w.Event.Body)-1)
	a := l.track(p.lane, now)
	l.do(ctx, func(ctx context.Context) func(*loop) {
		o, fault := l.attempt(ctx, w)
		if fault != nil {
			return func(l *loop) { l.afterFault(ctx, p, a, w, fault) }
		}
		applied, err := l.record(ctx, w, o)
		return func(l *loop) { l.afterAttempt(ctx, p, a, recordedFor{w, o}, applied, err) }
	})
}

// attempt makes an attempt. A panic is a fault of this service, like any other error.
func (e *Engine) attempt(ctx context.Context, w webhook.Work) (o webhook.Outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return e.Attempter.Attempt(ctx, w)
}

func (e *Engine) record(ctx context.Context, w webhook.Work, o webhook.Outcome) (applied bool, err error) {
	applied, err = e.Store.Record(ctx, o)
	if applied && err == nil && e.Attempted != nil {
		e.Attempted(w, o)
	}
	return applied, err
}

// afterFault puts back a delivery that could not be attempted because of a fault of this service. Its lane waits.
func (l *loop) afterFault(ctx context.Context, p pick, a *running, w webhook.Work, fault error) {
	n, now := p.lane, l.Now()
	l.endAttempt(n, a, w)
	n.failed(now)
	if n.isWorthLogging() {
		l.Log.ErrorContext(ctx, "an attempt could not be made, so the webhook's deliveries wait",
			"webhook_id", w.WebhookID, "cause", fault.Error())
	}
	if w.Granted {
		delete(n.inHand, p.number)
		if l.grantsAt.IsZero() || n.until.Before(l.grantsAt) {
			l.grantsAt = n.until
		}
	} else {
		l.requeue(n, p.number)
	}
	l.arrange(ctx, n, now)
}

// afterAttempt continues after an attempt. If its outcome could not be stored, it is kept, and the lane waits until the store accepts
// it: otherwise the receiver would get the event again.
func (l *loop) afterAttempt(ctx context.Context, p pick, a *running, r recordedFor, applied bool, err error) {
	n := p.lane
	l.endAttempt(n, a, r.work)
	if err != nil {
		n.unrecorded = append(n.unrecorded, r)
		l.recordingFailed(ctx, n, err)
	} else {
		l.settle(n, r, applied)
	}
	l.arrange(ctx, n, l.Now())
}

// endAttempt frees the resources of a running attempt.
func (l *loop) endAttempt(n *lane, a *running, w webhook.Work) {
	l.untrack(a)
	l.running--
	l.bytes -= len(w.Event.Body)
	l.use(n, -l.slots(w.Event.Body))
	n.running--
	n.begun--
}

// recordAgain stores the first of the outcomes that the store did not accept.
func (l *loop) recordAgain(ctx context.Context, n *lane) {
	n.recording = true
	r := n.unrecorded[0]
	l.do(ctx, func(ctx context.Context) func(*loop) {
		applied, err := l.record(ctx, r.work, r.outcome)
		return func(l *loop) {
			n.recording = false
			if err != nil {
				l.recordingFailed(ctx, n, err)
			} else {
				n.unrecorded = n.unrecorded[1:]
				l.settle(n, r, applied)
			}
			l.arrange(ctx, n, l.Now())
		}
	})
}

// stop waits for the running attempts, and stores the outcomes that the store has not taken yet. Otherwise, the receivers would get
// these events again. It gives up if the store keeps failing.
func (l *loop) stop(ctx context.Context) {
	l.timer.Stop()
	l.goroutines.Wait()
	results, _ := l.news()
	for _, apply := range results {
		apply(l)
	}
	l.goroutines.Wait()
	for _, number := range slices.Sorted(maps.Keys(l.lanes)) {
		for _, r := range l.lanes[number].unrecorded {
			var b backoff
			for _, err := l.record(ctx, r.work, r.outcome); err != nil; _, err = l.record(ctx, r.work, r.outcome) {
				if b.failed(l.Now()); b.failures == lastTries {
					l.Log.ErrorContext(ctx, "outcomes of attempts could not be stored, so these events will be sent again", "cause", err.Error())
					return
				}
				<-time.NewTimer(b.until.Sub(l.Now())).C
			}
		}
	}
}

func (l *loop) recordingFailed(ctx context.Context, n *lane, err error) {
	n.failed(l.Now())
	if n.isWorthLogging() {
		l.Log.ErrorContext(ctx, "the outcome of an attempt could not be stored, so the webhook's deliveries wait",
			"webhook_id", n.unrecorded[0].work.WebhookID, "cause", err.Error())
	}
}

// settle applies a stored outcome to the lane and its delivery.
func (l *loop) settle(n *lane, r recordedFor, applied bool) {
	o := r.outcome
	delete(n.inHand, r.work.Number)
	n.backoff = backoff{}
	if r.work.Granted || n.moreGrants { // the lane may have more of them
		l.unread, n.moreGrants = true, false
	}
	if !applied {
		n.more = true // someone else may have changed the delivery
		return
	}
	switch o.Lane {
	case webhook.LaneSucceeded, webhook.LaneDisabled: // other changes are seen when the next work is read
		l.setState(n, n.state.Apply(o.Lane, o.Attempt.Ended(), o.PausedUntil))
	}
	n.resize(r.work.Lane.IsFailing(), o.Attempt.Error == "")
	switch {
	case o.Status != webhook.StatusPending:
	case o.Due.IsZero():
		l.requeue(n, r.work.Number)
	default:
		n.lookAt(o.Due)
	}
}

// requeue puts a delivery at the head of its lane's queue.
func (l *loop) requeue(n *lane, number int64) {
	l.queued++
	n.inHand[number] = true
	n.queue = slices.Insert(n.queue, 0, number)
}
