package deliverytest

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

// attemptTime is how long an attempt may take from its beginning to its end.
const attemptTime = 16 * time.Second

// Options say how a history was recorded.
type Options struct {
	// Schedule has the waits before each attempt, of which the service uses ±10 %.
	Schedule []time.Duration
	// Tolerance is how much later than it happened a fact may have been recorded, or by how much the clocks of processes differ. It is
	// zero if facts were recorded as they happened, and in that order, and the service has one clock.
	Tolerance time.Duration
	// Patience is how long something that is due may wait for its attempt after [Calmed].
	Patience time.Duration
	// Repeats is how many requests of a delivery may have been repeated without a crash, because a queue delivered a message again.
	Repeats int
}

// Violation is a sign in a history that an invariant of the service does not hold.
type Violation struct {
	// Invariant is its number in the list of invariants: 1 nothing accepted is lost; 2 no attempt begins that must not;
	// 3 bodies, signatures and companies are right; 4 numbers, times and duplicates are right; 6 nothing due is starved.
	Invariant int
	At        time.Time
	// Webhook and Event identify the delivery.
	Webhook, Event, Text string
}

// String returns the violation on one line.
func (v Violation) String() string {
	return fmt.Sprintf("%s invariant %d: webhook %s, event %s: %s", v.At.UTC().Format(time.DateTime+".000"), v.Invariant, v.Webhook, v.Event, v.Text)
}

// Check returns the violations in a history. If it has facts of type [Read] and [Begun], an attempt begins when it was read, and
// everything is checked against the order of facts. Otherwise, an attempt may have begun up to 16 seconds before its request
// arrived, and the circuit and the due times are not checked.
func Check(history []Entry, o Options) []Violation {
	c := &checker{
		o: o, webhooks: make(map[string]*subscriber), events: make(map[string]Accepted),
		deliveries: make(map[key]*progress), posts: make(map[int]*post), repeated: make(map[key]int),
		exact: slices.ContainsFunc(history, func(e Entry) bool { _, ok := e.Fact.(Read); return ok }),
	}
	for _, e := range history {
		c.at = e.At
		e.Fact.apply(c)
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.deliveries), key.compare) {
		c.finish(c.deliveries[k])
	}
	return c.violations
}

// checker follows a history.
type checker struct {
	o          Options
	exact      bool
	at         time.Time
	jumps      []jump
	calmed     time.Time // zero before
	crashes    int
	webhooks   map[string]*subscriber
	events     map[string]Accepted
	deliveries map[key]*progress
	posts      map[int]*post
	repeated   map[key]int // how many messages were repeated; the parts of a key may be empty
	violations []Violation
}

// jump is a change of the service's clock, with the offset from then on.
type jump struct {
	at     time.Time
	offset time.Duration
}

// subscriber is a webhook and its lane.
type subscriber struct {
	Created
	createdAt, deletedAt, disabledAt time.Time // zero if it is not so
	lane                             webhook.Lane
	closedAt                         time.Time // when its circuit was last closed
	probe                            *reading  // the attempt that a failing lane is allowed, while it runs
}

// key identifies a delivery.
type key struct{ webhook, event string }

func (k key) compare(other key) int {
	return slices.Compare([]string{k.webhook, k.event}, []string{other.webhook, other.event})
}

// progress is what is known about a delivery.
type progress struct {
	key
	to         *subscriber
	optional   bool // whether it is not known if the webhook existed when the event was accepted
	acceptedAt time.Time
	made, step int
	status     webhook.Status
	due        time.Time // in the service's clock; since when it waits if it is parked
	parked     bool      // whether it waits for its lane
	granted    int       // the number of the attempt that a client requested
	grantedAt  time.Time
	read       map[int64]reading  // the latest of each run that no attempt followed
	running    map[int64]*reading // those that an attempt followed that runs
	begunAt    time.Time          // when the latest attempt began
	posts      []*post
	extra      int // how many requests need no outcome
	duplicates int // how many attempts were duplicates of others
	shown      webhook.Status
}

// reading is what the engine read before an attempt.
type reading struct {
	at             time.Time
	number         int
	granted, probe bool
	healthy        bool        // so that a success does not change the lane
	violations     []Violation // if an attempt follows
}

// post is a request that has arrived.
type post struct {
	Arrived
	at       time.Time
	response Responded // zero if none was sent
	claimed  bool      // whether an outcome belongs to it
}

func (c *checker) violation(k key, invariant int, format string, args ...any) Violation {
	return Violation{invariant, c.at, k.webhook, k.event, fmt.Sprintf(format, args...)}
}

func (c *checker) report(k key, invariant int, format string, args ...any) {
	c.violations = append(c.violations, c.violation(k, invariant, format, args...))
}

// clock returns the earliest and the latest reading of the service's clock that may correspond to a time: the clock may have jumped
// since the attempt began.
func (c *checker) clock(at time.Time) (earliest, latest time.Time) {
	offset := time.Duration(0)
	low, high := offset, offset
	for _, j := range c.jumps {
		if j.at.Before(at.Add(-attemptTime)) {
			low, high = j.offset, j.offset
		}
		low, high = min(low, j.offset), max(high, j.offset)
	}
	return at.Add(low - c.o.Tolerance), at.Add(high + c.o.Tolerance)
}

// delivery returns a delivery that must exist now. If it does not, it reports a violation and returns nil.
func (c *checker) delivery(webhookID, eventID string) *progress {
	k := key{webhookID, eventID}
	d := c.deliveries[k]
	if d != nil {
		return d
	}
	to, event := c.webhooks[webhookID], c.events[eventID]
	if to != nil && event.Company != "" && event.Company != to.Company {
		c.report(k, 3, "the event belongs to another company")
	} else {
		c.report(k, 3, "the webhook did not subscribe to this event when it was accepted")
	}
	return nil
}

func (f Created) apply(c *checker) {
	c.webhooks[f.Webhook] = &subscriber{Created: f, createdAt: c.at}
}

func (f Deleted) apply(c *checker) { c.webhooks[f.Webhook].deletedAt = c.at }

func (f Accepted) apply(c *checker) {
	if _, ok := c.events[f.Event]; ok {
		return
	}
	c.events[f.Event] = f
	for id, to := range c.webhooks {
		if to.Company != f.Company || !slices.Contains(to.Types, f.Type) || !to.deletedAt.IsZero() {
			continue
		}
		k := key{id, f.Event}
		c.deliveries[k] = &progress{
			key: k, to: to, optional: c.at.Sub(to.createdAt) < c.o.Tolerance,
			acceptedAt: f.At, due: f.At, status: webhook.StatusPending,
			read: make(map[int64]reading), running: make(map[int64]*reading),
		}
	}
}

func (f Granted) apply(c *checker) {
	if d := c.delivery(f.Webhook, f.Event); d != nil && d.granted != f.Number {
		d.granted, d.grantedAt = f.Number, c.at
		c.repeated[d.key]++ // there may already be a message for this attempt
	}
}

func (f Repeated) apply(c *checker) { c.repeated[key{f.Webhook, f.Event}]++ }

func (f Parked) apply(c *checker) {
	if d := c.delivery(f.Webhook, f.Event); d != nil {
		d.parked = true
	}
}

func (f Jumped) apply(c *checker) {
	offset := f.By
	if n := len(c.jumps); n > 0 {
		offset += c.jumps[n-1].offset
	}
	c.jumps = append(c.jumps, jump{c.at, offset})
}

func (f Calmed) apply(c *checker) { c.calmed = c.at }

func (f Crashed) apply(c *checker) {
	c.crashes++
	for _, d := range c.deliveries {
		clear(d.running)
	}
	for _, to := range c.webhooks {
		to.probe = nil
	}
}

func (f Stopped) apply(c *checker) {
	for _, k := range slices.SortedFunc(maps.Keys(c.deliveries), key.compare) {
		d := c.deliveries[k]
		for run := range d.running {
			c.report(k, 4, "the engine has stopped without the outcome of its attempt")
			d.end(run)
		}
	}
}

func (f Read) apply(c *checker) {
	if d := c.delivery(f.Webhook, f.Event); d != nil {
		d.read[f.Run] = c.judge(d, f.Number, c.at)
	}
}

func (f Begun) apply(c *checker) {
	d := c.delivery(f.Webhook, f.Event)
	if d == nil {
		return
	}
	if d.running[f.Run] != nil {
		c.report(d.key, 4, "an attempt begins while another one runs")
	}
	r, ok := d.read[f.Run]
	if !ok {
		c.report(d.key, 2, "an attempt begins with what was read before another attempt")
		return
	}
	delete(d.read, f.Run)
	d.running[f.Run], d.begunAt = &r, r.at
	c.violations = append(c.violations, r.violations...)
	c.checkPatience(d, r)
	if !r.probe {
		return
	}
	if d.to.probe != nil {
		c.report(d.key, 4, "an attempt begins while another one probes the failing lane")
	}
	d.to.probe = &r
}

// judge returns what an attempt that began at a time would violate.
func (c *checker) judge(d *progress, number int, at time.Time) reading {
	r := reading{at: at, number: number, granted: d.granted == number}
	r.probe, r.healthy = d.to.lane.IsFailing() && !r.granted, d.to.lane.IsHealthy()
	wrong := func(invariant int, format string, args ...any) {
		r.violations = append(r.violations, c.violation(d.key, invariant, "attempt %d begins "+format, append([]any{number}, args...)...))
	}
	binds := func(since time.Time) bool { return !since.IsZero() && !since.After(at) }
	if binds(d.to.deletedAt) {
		wrong(2, "after the webhook was deleted")
	}
	if binds(d.to.disabledAt) {
		wrong(2, "although the webhook is disabled")
	}
	if number != d.made+1 && c.exact {
		wrong(4, "after attempt %d", d.made)
	}
	if r.granted || !c.exact {
		return r
	}
	if d.status != webhook.StatusPending {
		wrong(2, "after the delivery was %s", d.status)
	}
	_, latest := c.clock(at)
	for _, limit := range []struct {
		name  string
		until time.Time
	}{{"it is due", d.due}, {"the end of the pause", d.to.lane.PausedUntil}, {"the lane is probed", d.to.lane.ProbeAt}} {
		if latest.Before(limit.until) {
			wrong(4, "%v before %s", limit.until.Sub(latest), limit.name)
		}
	}
	return r
}

func (f Arrived) apply(c *checker) {
	p := &post{Arrived: f, at: c.at}
	c.posts[f.Post] = p
	d := c.delivery(f.Webhook, f.Event)
	if d == nil {
		return
	}
	if f.Invalid != "" {
		c.report(d.key, 3, "%s", f.Invalid)
	}
	if f.Body != c.events[f.Event].Body {
		c.report(d.key, 3, "the body is not the event's")
	}
	began := c.at.Add(-attemptTime - c.o.Tolerance)
	if c.exact {
		began = c.checkBegun(d)
	} else {
		c.violations = append(c.violations, c.judge(d, d.made+1, began).violations...)
	}
	earliest, _ := c.clock(began)
	if _, latest := c.clock(c.at); f.Signed.Before(earliest.Add(-time.Second)) || f.Signed.After(latest) {
		c.report(d.key, 3, "signed at %v, not when the attempt began", f.Signed.UTC())
	}
	if retry := d.unanswered(); retry != nil && retry.Kept && !f.Kept {
		d.extra++
	}
	d.posts = append(d.posts, p)
}

// checkBegun returns when the attempt for a request that arrives now began.
func (c *checker) checkBegun(d *progress) time.Time {
	if d.begunAt.IsZero() || c.at.Sub(d.begunAt) > attemptTime {
		c.report(d.key, 2, "a request arrives although no attempt has begun in the last %v", attemptTime)
		return c.at.Add(-attemptTime)
	}
	return d.begunAt
}

// unanswered returns the latest request of a delivery if it got no response, or nil.
func (d *progress) unanswered() *post {
	if n := len(d.posts); n > 0 && d.posts[n-1].response.Status == 0 {
		return d.posts[n-1]
	}
	return nil
}

func (f Responded) apply(c *checker) { c.posts[f.Post].response = f }

func (f Dropped) apply(c *checker) {
	d := c.delivery(f.Webhook, f.Event)
	if d == nil {
		return
	}
	d.extra++
	if f.Superseded {
		d.duplicates++
	}
	d.end(f.Run)
}

func (d *progress) end(run int64) {
	if r := d.running[run]; r != nil && d.to.probe == r {
		d.to.probe = nil
	}
	delete(d.running, run)
}

func (f Shown) apply(c *checker) {
	if d := c.delivery(f.Webhook, f.Event); d != nil {
		d.shown = f.Status
	}
}
