package deliverytest

import (
	"time"

	"webhooks/shared/webhook"
)

// apply checks an outcome against its request and against what happened before.
func (f Recorded) apply(c *checker) {
	d := c.delivery(f.WebhookID, f.EventID)
	if d == nil {
		return
	}
	begun := d.running[f.Run]
	if begun == nil {
		if c.exact {
			c.report(d.key, 4, "an outcome is recorded although no attempt runs")
		}
		begun = &reading{}
	}
	c.checkStored(d, *begun)
	if f.Attempt.Number != d.made+1 {
		c.report(d.key, 4, "attempt %d is recorded after attempt %d", f.Attempt.Number, d.made)
	}
	response := c.claim(d, f.Outcome)
	c.checkStatus(d, *begun, f.Outcome, response)
	if c.exact && f.Status == webhook.StatusPending {
		c.checkDue(d, *begun, f.Outcome, response)
	}
	d.made, d.step, d.status, d.due, d.parked = f.Attempt.Number, f.Step, f.Status, f.Due, false
	if f.Status == webhook.StatusPending && f.Due.IsZero() {
		d.due, d.parked = f.Attempt.Ended(), true
	}
	if d.granted <= d.made {
		d.granted = 0
	}
	c.changeLane(d, *begun, f.Outcome, response)
	d.end(f.Run)
}

// claim returns the response that belongs to an outcome. No two outcomes have the same response. If attempts ran at the same time and
// got the same status, it is the latest one that fits.
func (c *checker) claim(d *progress, o webhook.Outcome) Responded {
	if o.Attempt.StatusCode == 0 {
		return Responded{}
	}
	var found *post
	for i := len(d.posts) - 1; i >= 0; i-- {
		p := d.posts[i]
		if p.claimed || p.response.Status != o.Attempt.StatusCode {
			continue
		}
		if found == nil || p.response.fits(o) > found.response.fits(o) {
			found = p
		}
	}
	if found == nil {
		c.report(d.key, 1, "an outcome with status %d is recorded, but the receiver did not send it", o.Attempt.StatusCode)
		return Responded{Status: o.Attempt.StatusCode}
	}
	found.claimed = true
	return found.response
}

// fits returns how well a response explains an outcome: 0 if it does not. A final response explains a failure better than another one,
// after which the delivery would fail only if that was its last attempt.
func (f Responded) fits(o webhook.Outcome) int {
	switch {
	case f.Disable != (o.Lane == webhook.LaneDisabled), f.Final && o.Status == webhook.StatusPending,
		f.PausedUntil.Sub(o.PausedUntil).Abs() >= attemptTime:
		return 0
	case f.Final && o.Status == webhook.StatusFailed:
		return 2
	default:
		return 1
	}
}

func succeeded(status int) bool { return status >= 200 && status < 300 }

// checkStatus checks a delivery's new status.
func (c *checker) checkStatus(d *progress, begun reading, o webhook.Outcome, r Responded) {
	_, latest := c.clock(c.at)
	var ok bool
	switch o.Status {
	case webhook.StatusDelivered:
		ok = succeeded(r.Status) || d.status == webhook.StatusDelivered
	case webhook.StatusFailed:
		last := !begun.granted && !begun.probe && d.step+1 >= len(c.o.Schedule)
		ok = !succeeded(r.Status) &&
			(r.Final || d.status == webhook.StatusFailed || latest.Sub(d.acceptedAt) >= webhook.MaxAge || last || !c.exact)
	case webhook.StatusPending:
		ok = !succeeded(r.Status) && !r.Final && d.status == webhook.StatusPending
	}
	if !ok {
		c.report(d.key, 1, "it becomes %s after it was %s and the receiver responded with %d", o.Status, d.status, r.Status)
	}
}

// checkDue checks when the next attempt of a pending delivery is due, and for which step.
func (c *checker) checkDue(d *progress, begun reading, o webhook.Outcome, r Responded) {
	wait := func(share int) time.Duration { return c.o.Schedule[o.Step] * time.Duration(share) / 10 }
	ended := o.Attempt.Ended()
	var ok bool
	switch {
	case begun.granted && d.parked:
		ok = o.Step == d.step && o.Due.IsZero()
	case begun.granted:
		ok = o.Step == d.step && o.Due.Equal(d.due)
	case begun.probe:
		ok = o.Step == d.step && o.Due.IsZero()
	case o.Step != d.step+1 || o.Step >= len(c.o.Schedule):
		ok = false
	default:
		latest := ended.Add(wait(11))
		if !r.PausedUntil.IsZero() && r.PausedUntil.Add(attemptTime).After(latest) {
			latest = r.PausedUntil.Add(attemptTime)
		}
		ok = !o.Due.Before(ended.Add(wait(9))) && !o.Due.Before(r.PausedUntil) && !o.Due.After(latest.Add(2*time.Millisecond))
	}
	if !ok {
		c.report(d.key, 4, "after attempt %d, which ended at %v, step %d is due at %v", o.Attempt.Number, ended, o.Step, o.Due)
	}
}

// changeLane applies an outcome to the lane.
func (c *checker) changeLane(d *progress, begun reading, o webhook.Outcome, r Responded) {
	op := webhook.LaneFailed
	switch {
	case r.Disable:
		op = webhook.LaneDisabled
		d.to.disabledAt = c.at
	case succeeded(r.Status) && begun.healthy:
		op = webhook.LaneUnchanged
	case succeeded(r.Status):
		op = webhook.LaneSucceeded
	case begun.probe:
		op = webhook.LaneProbeFailed
	}
	if op == webhook.LaneSucceeded && d.to.lane.IsFailing() {
		d.to.closedAt = c.at
	}
	d.to.lane = d.to.lane.Apply(op, o.Attempt.Ended(), r.PausedUntil)
}

// checkPatience checks that an attempt that begins now is not late.
func (c *checker) checkPatience(d *progress, begun reading) {
	if c.calmed.IsZero() || begun.number <= d.made {
		return
	}
	if begun.granted {
		if waited := c.grantWaited(d); waited > c.o.Patience {
			c.report(d.key, 6, "a granted attempt begins after %v", waited)
		}
		return
	}
	if late := c.overdue(d); late > 0 {
		c.report(d.key, 6, "its attempt begins %v late", late+c.o.Patience)
	}
}

// grantWaited returns how long a granted attempt has waited, not counting the time when there were faults.
func (c *checker) grantWaited(d *progress) time.Duration {
	return min(c.at.Sub(d.grantedAt), c.at.Sub(c.calmed))
}

// checkStored checks that the outcome of an attempt that runs is not late.
func (c *checker) checkStored(d *progress, begun reading) {
	ends := begun.at.Add(attemptTime)
	if ends.Before(c.calmed) {
		ends = c.calmed
	}
	if late := c.at.Sub(ends); !begun.at.IsZero() && !c.calmed.IsZero() && late > c.o.Patience {
		c.report(d.key, 6, "the outcome of its attempt is not stored %v after it ended", late)
	}
}

// overdue returns how much too long a pending delivery has waited since everything that it may wait for was over.
func (c *checker) overdue(d *progress) time.Duration {
	earliest, _ := c.clock(c.at)
	offset := earliest.Sub(c.at)
	waitedFor := c.calmed
	for _, t := range []time.Time{d.to.closedAt, d.due.Add(-offset), d.to.lane.PausedUntil.Add(-offset), d.to.lane.ProbeAt.Add(-offset)} {
		if t.After(waitedFor) {
			waitedFor = t
		}
	}
	return c.at.Sub(waitedFor) - c.o.Patience
}

// finish checks what is shown of a delivery at the end of the history.
func (c *checker) finish(d *progress) {
	if !d.to.deletedAt.IsZero() || d.optional {
		return
	}
	_, latest := c.clock(c.at)
	want := webhook.StatusOf(d.status, d.to.lane, d.acceptedAt, latest)
	switch {
	case d.shown == "":
		c.report(d.key, 1, "the delivery is lost: its status is %s, but it is not shown", want)
	case d.shown != want:
		c.report(d.key, 1, "it is shown as %s, but it is %s", d.shown, want)
	}
	if extra := len(d.posts) - d.made; extra > c.crashes+c.o.Repeats+d.extra {
		c.report(d.key, 4, "%d requests for %d attempts, with %d crashes", len(d.posts), d.made, c.crashes)
	}
	if repeated := c.repeated[d.key] + c.repeated[key{webhook: d.webhook}] + c.repeated[key{event: d.event}]; d.duplicates > repeated {
		c.report(d.key, 4, "%d attempts were duplicates of others, but only %d messages were repeated", d.duplicates, repeated)
	}
	for _, begun := range d.running {
		c.checkStored(d, *begun)
	}
	if c.calmed.IsZero() || d.to.lane.DisabledReason != "" || len(d.running) > 0 || d.to.probe != nil {
		return
	}
	if late := c.overdue(d); late > 0 && d.shown == webhook.StatusPending {
		c.report(d.key, 6, "it has been due for %v", late+c.o.Patience)
	}
	if waited := c.grantWaited(d); d.granted > 0 && waited > c.o.Patience {
		c.report(d.key, 6, "a granted retry has waited for %v", waited)
	}
}
