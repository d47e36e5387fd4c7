package webhooktest

import (
	"slices"
	"time"

	"webhooks/shared/webhook"
)

func queueRecordCases() []testCase {
	return []testCase{
		{"a delivery waits in the store if it is due later than a message can be delayed", func(f *fixture) {
			first := f.newDelivery()
			var want []webhook.Waiting
			for _, wait := range []time.Duration{0, time.Minute, webhook.MaxDelay, webhook.MaxDelay + time.Millisecond, 24 * time.Hour} {
				d := f.accompany(first)
				o := f.outcome(d, webhook.StatusPending)
				o.Due = o.Attempt.Ended().Add(wait)
				if d = f.record(d, o); wait > webhook.MaxDelay {
					want = append(want, deliveryEntry(d))
				}
				f.wantDelivery(d, f.now)
			}
			f.wantEntries(want...)
			f.wantParked(first.WebhookID)
		}},
		{"after the next outcome, it waits for what that says", func(f *fixture) {
			d := f.attempt(f.newDelivery(), webhook.StatusPending)
			f.wantEntries(deliveryEntry(d))
			d = f.attempt(d, webhook.StatusPending)
			f.wantEntries(deliveryEntry(d))
			o := f.outcome(d, webhook.StatusPending)
			o.Due = time.Time{}
			d = f.record(d, o)
			f.wantEntries()
			f.wantParked(d.WebhookID, d)
			d = f.attempt(d, webhook.StatusPending)
			f.wantEntries(deliveryEntry(d))
			f.wantParked(d.WebhookID)
			f.attempt(d, webhook.StatusFailed)
			f.wantEntries()
		}},
		{"a granted attempt keeps the delivery's time", func(f *fixture) {
			d := f.attempt(f.newDelivery(), webhook.StatusPending)
			f.retry(d)
			o := f.outcome(d, webhook.StatusPending)
			o.Due = d.Due
			f.record(d, o)
			f.wantEntries(deliveryEntry(d))
		}},
		{"if the lane waits for a time, an outcome moves it to when the lane opens", func(f *fixture) {
			first := f.pause(f.newDelivery(), f.now.Add(time.Minute))
			f.wantNotDue(f.accompany(first), f.now)
			paused := f.now.Add(3 * time.Hour)
			f.pause(f.accompany(first), paused)
			f.wantEntries(laneEntry(first, paused))
			f.attempt(f.accompany(first), webhook.StatusDelivered) // does not change the lane
			f.wantEntries(laneEntry(first, paused))

			failing := f.newDelivery()
			f.park(failing.Ref, f.now)
			failing = f.fail(failing, webhook.FailuresToOpen, time.Minute)
			o := f.outcome(failing, webhook.StatusPending)
			o.Lane, o.Due = webhook.LaneProbeFailed, time.Time{}
			failing = f.record(failing, o)
			f.wantParked(failing.WebhookID, failing)
			f.wantEntries(laneEntry(failing, f.lane(failing.WebhookID).ProbeAt), laneEntry(first, paused))
		}},
		{"after a success, an entry of the lane is no later than before", func(f *fixture) {
			d := f.fail(f.newDelivery(), webhook.FailuresToOpen, time.Minute)
			f.wantNotDue(f.accompany(d), f.now.Add(4*time.Minute))
			probe := f.lane(d.WebhookID).ProbeAt
			o := f.outcome(d, webhook.StatusDelivered)
			o.Lane, o.Attempt.At = webhook.LaneSucceeded, f.now.Add(4*time.Minute)
			f.record(d, o)
			f.eventually("entries", func() bool {
				entries := f.entries(f.later())
				return len(entries) == 1 && entries[0].DeliveryID == "" && !entries[0].At.After(probe)
			})
		}},
		{"a lane is slow for a time after an attempt that took long", func(f *fixture) {
			d := f.newDelivery()
			for _, duration := range []time.Duration{webhook.SlowAttempt, webhook.SlowAttempt + time.Millisecond, time.Second} {
				o := f.outcome(d, webhook.StatusPending)
				o.Attempt.Duration = duration
				want := f.lane(d.WebhookID)
				if duration > webhook.SlowAttempt {
					want.SlowUntil = o.Attempt.Ended().Add(webhook.SlowFor)
				}
				d = f.record(d, o)
				f.wantLane(d.WebhookID, want)
			}
			slow := f.lane(d.WebhookID).SlowUntil
			o := f.outcome(d, webhook.StatusPending)
			o.Lane = webhook.LaneFailed
			d = f.record(d, o)
			f.wantLane(d.WebhookID, webhook.Lane{Failures: 1, FirstFailure: o.Attempt.Ended(), SlowUntil: slow})
			o = f.outcome(d, webhook.StatusDelivered)
			o.Lane, o.WebhookVersion, o.Attempt.Duration = webhook.LaneSucceeded, 2, 10*time.Second // of another version
			f.record(d, o)
			f.wantLane(d.WebhookID, webhook.Lane{Failures: 1, FirstFailure: d.Attempts[len(d.Attempts)-1].Ended(), SlowUntil: slow})
		}},
	}
}

func queueLaneCases() []testCase {
	return []testCase{
		{"a lane has what waits for it, oldest first", func(f *fixture) {
			first := f.newDelivery()
			var all []webhook.Delivery
			for i := range 12 {
				e := f.newEvent(first.EventType)
				e.AcceptedAt = f.now.Add(time.Duration(i) * time.Millisecond)
				f.accept(e)
				d := first
				d.EventID, d.AcceptedAt = e.ID, e.AcceptedAt
				all = append(all, d)
			}
			for _, i := range []int{7, 0, 3, 11, 5, 9, 2, 8, 1, 10, 4, 6} {
				f.park(all[i].Ref, f.now)
			}
			f.park(f.newDelivery().Ref, f.now)
			f.wantParked(first.WebhookID, all...)
			for _, tt := range []struct{ after, limit, from, to int }{{-1, 3, 0, 3}, {-1, 12, 0, 12}, {2, 3, 3, 6}, {9, 25, 10, 12}, {11, 25, 12, 12}} {
				after := ""
				if tt.after >= 0 {
					after = all[tt.after].DeliveryID()
				}
				if got := f.lookLane(first.WebhookID, after, tt.limit); !slices.Equal(got.Waiting, refsOfAll(all[tt.from:tt.to])) {
					f.t.Errorf("after %d, limit %d: LookLane = %+v, want %d to %d", tt.after, tt.limit, got, tt.from, tt.to)
				}
			}
		}},
		{"a look has the lane as it is stored", func(f *fixture) {
			d := f.newDelivery()
			if got := f.lookLane(d.WebhookID, "", 25); !got.Exists || got.Lane != (webhook.Lane{}) || len(got.Waiting) > 0 {
				f.t.Errorf("LookLane = %+v, want a new lane", got)
			}
			d = f.fail(d, webhook.FailuresToOpen, time.Minute)
			if got, want := f.lookLane(d.WebhookID, "", 25), f.lane(d.WebhookID); got.Lane != want || got.Company != d.Company || got.WebhookID != d.WebhookID {
				f.t.Errorf("LookLane = %+v, want %+v", got, want)
			}
			f.park(d.Ref, f.now)
			f.delete(d.WebhookID)
			unknown := oddStrings()
			unknown["deleted"], unknown["new ID"] = d.WebhookID, f.newWebhook().ID
			for what, id := range unknown {
				if got := f.lookLane(id, "", 25); got.Exists {
					f.t.Errorf("%s: LookLane = %+v, want none", what, got)
				}
			}
			if got := f.inNew().lookLane(d.WebhookID, "", 25); got.Exists || len(got.Waiting) > 0 {
				f.t.Errorf("LookLane of another company = %+v, want none", got)
			}
		}},
		{"a lane is moved if it has not changed since", func(f *fixture) {
			d := f.newDelivery()
			f.park(d.Ref, f.now)
			stale := f.lookLane(d.WebhookID, "", 25)
			for _, at := range []time.Duration{time.Hour, time.Minute, 48 * time.Hour} {
				f.wantMoved(d, webhook.LaneMove{At: f.now.Add(at)})
				f.wantEntries(laneEntry(d, f.now.Add(at)))
			}
			f.wantParked(d.WebhookID, d)
			f.wantNotMoved("moved since", stale)
			stale = f.lookLane(d.WebhookID, "", 25)
			f.fail(f.accompany(d), 1, 0)
			f.wantNotMoved("failed since", stale)
			if got := f.lane(d.WebhookID); got.Failures != 1 || !got.ProbeAt.IsZero() {
				f.t.Errorf("the lane is %+v, want one failure", got)
			}
		}},
		{"of 16 concurrent moves exactly one is made", func(f *fixture) {
			d := f.newDelivery()
			f.park(d.Ref, f.now)
			look := f.lookLane(d.WebhookID, "", 25)
			f.wantOneTrue(16, func(f *fixture) (bool, error) {
				return f.queue.MoveLane(f.ctx, look, webhook.LaneMove{At: f.now.Add(time.Hour)})
			})
		}},
		{"an idle lane is idle until something is parked", func(f *fixture) {
			d := f.attempt(f.newDelivery(), webhook.StatusPending)
			f.wantMoved(d, webhook.LaneMove{At: f.now.Add(time.Minute), Idle: true})
			f.wantEntries(deliveryEntry(d), laneEntry(d, f.now.Add(time.Minute)))
			idle := f.lookLane(d.WebhookID, "", 25)
			if want := f.now.Add(time.Minute); !idle.IdleUntil.Equal(want) {
				f.t.Errorf("LookLane = %+v, want a lane that is idle until %v", idle, want)
			}
			f.park(d.Ref, f.now)
			if got := f.lookLane(d.WebhookID, "", 25); !got.IdleUntil.IsZero() {
				f.t.Errorf("LookLane = %+v, want a lane that is not idle", got)
			}
			f.wantNotMoved("parked since", idle)
			f.wantEntries(laneEntry(d, f.now.Add(time.Minute)))
		}},
		{"a lane for which nothing waits has no entry, until something is parked", func(f *fixture) {
			d := f.newDelivery()
			f.park(d.Ref, f.now)
			f.attempt(d, webhook.StatusDelivered)
			f.wantMoved(d, webhook.LaneMove{})
			f.wantEntries()
			other := f.accompany(d)
			f.park(other.Ref, f.now)
			f.wantParked(d.WebhookID, other)
			if entries := f.entries(f.now); len(entries) != 1 || !f.lookLane(d.WebhookID, "", 25).IdleUntil.IsZero() {
				f.t.Errorf("got %+v, want an entry of a lane that is not idle", entries)
			}
		}},
		{"a claimed probe allows no other one before its time", func(f *fixture) {
			d := f.fail(f.newDelivery(), webhook.FailuresToOpen, time.Minute)
			f.wantNotDue(f.accompany(d), f.now.Add(4*time.Minute))
			want := f.lane(d.WebhookID)
			want.ProbeAt = want.ProbeAt.Add(time.Minute)
			f.wantMoved(d, webhook.LaneMove{At: want.ProbeAt, Probe: true})
			f.wantLane(d.WebhookID, want)
			f.wantEntries(laneEntry(d, want.ProbeAt), deliveryEntry(d))
			f.wantMoved(d, webhook.LaneMove{At: want.ProbeAt.Add(time.Minute)})
			f.wantLane(d.WebhookID, want)
		}},
		{"the lane of a deleted webhook can be removed", func(f *fixture) {
			d := f.newDelivery()
			f.park(d.Ref, f.now)
			f.wantMoved(d, webhook.LaneMove{At: f.now.Add(time.Minute)})
			f.delete(d.WebhookID)
			f.wantEntries(laneEntry(d, f.now.Add(time.Minute)))
			f.wantMoved(d, webhook.LaneMove{})
			f.wantEntries()
		}},
	}
}

func (f *fixture) lookLane(webhookID, after string, limit int) webhook.LaneLook {
	f.t.Helper()
	look, err := f.queue.LookLane(f.ctx, f.company, webhookID, after, limit)
	if err != nil || len(look.Waiting) > limit {
		f.t.Fatalf("LookLane = %+v, %v, want at most %d deliveries", look, err, limit)
	}
	return look
}

// wantMoved moves a lane as it is now.
func (f *fixture) wantMoved(d webhook.Delivery, m webhook.LaneMove) {
	f.t.Helper()
	if moved, err := f.queue.MoveLane(f.ctx, f.lookLane(d.WebhookID, "", 25), m); !moved || err != nil {
		f.t.Fatalf("MoveLane = %v, %v, want true", moved, err)
	}
}

// wantNotMoved checks that a lane that was looked at earlier can no longer be moved.
func (f *fixture) wantNotMoved(what string, look webhook.LaneLook) {
	f.t.Helper()
	for _, m := range []webhook.LaneMove{{}, {At: f.now.Add(time.Second), Probe: true}} {
		if moved, err := f.queue.MoveLane(f.ctx, look, m); moved || err != nil {
			f.t.Errorf("%s: MoveLane = %v, %v, want false, nil", what, moved, err)
		}
	}
}

// wantParked checks which deliveries wait for a lane.
func (f *fixture) wantParked(webhookID string, want ...webhook.Delivery) {
	f.t.Helper()
	var got webhook.LaneLook
	f.eventually("the lane's deliveries", func() bool {
		got = f.lookLane(webhookID, "", 100)
		return sameRefs(got.Waiting, refsOfAll(want))
	})
}

func refsOfAll(deliveries []webhook.Delivery) []webhook.Ref {
	refs := make([]webhook.Ref, len(deliveries))
	for i, d := range deliveries {
		refs[i] = d.Ref
	}
	return refs
}
