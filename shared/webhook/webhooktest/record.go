package webhooktest

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"webhooks/shared/webhook"
)

func recordCases() []testCase {
	return []testCase{
		{"a delivery is as its last outcome says", func(f *fixture) {
			d := f.newDelivery()
			f.wantDelivery(d, f.now)
			for _, status := range []webhook.Status{webhook.StatusPending, webhook.StatusPending, webhook.StatusFailed} {
				d = f.attempt(d, status)
				f.wantDelivery(d, f.now)
			}
			f.retry(d)
			d = f.attempt(d, webhook.StatusDelivered)
			f.wantDelivery(d, f.now)
			waiting := f.newDelivery()
			o := f.outcome(waiting, webhook.StatusPending)
			o.Due = time.Time{}
			f.wantDelivery(f.record(waiting, o), f.now)
		}},
		{"a number of attempts that was not made changes nothing", func(f *fixture) {
			d := f.newDelivery()
			for made := range 3 {
				for _, wrong := range []int{made - 1, made + 1} {
					stale := d
					stale.Made = wrong
					o := f.outcome(stale, webhook.StatusDelivered)
					o.Lane = webhook.LaneDisabled
					f.wantNotApplied(fmt.Sprintf("%d attempts instead of %d", wrong, made), o)
				}
				f.wantDelivery(d, f.now)
				f.wantLane(d.WebhookID, webhook.Lane{})
				d = f.attempt(d, webhook.StatusPending)
			}
		}},
		{"what does not exist is not changed", func(f *fixture) {
			d, gone := f.newDelivery(), f.newDelivery()
			f.delete(gone.WebhookID)
			for what, change := range map[string]func(r *webhook.Ref){
				"unknown event":   func(r *webhook.Ref) { r.EventID = f.newEvent("").ID },
				"unknown webhook": func(r *webhook.Ref) { r.WebhookID = f.newWebhook().ID },
				"deleted webhook": func(r *webhook.Ref) { *r = gone.Ref },
				"another company": func(r *webhook.Ref) { r.Company = newCompany() },
				"odd event ID":    func(r *webhook.Ref) { r.EventID = "\x00" },
				"odd webhook ID":  func(r *webhook.Ref) { r.WebhookID = "\xff" },
			} {
				if what == "unknown event" && f.backlog == nil {
					continue // Work has not returned it
				}
				o := f.outcome(d, webhook.StatusDelivered)
				change(&o.Ref)
				o.Lane = webhook.LaneDisabled
				f.wantNotApplied(what, o)
			}
			f.wantDelivery(d, f.now)
			f.wantLane(d.WebhookID, webhook.Lane{})
		}},
		{"the latest 20 attempts are kept, and only the last response", func(f *fixture) {
			d := f.newDelivery()
			for range webhook.MaxAttempts + 2 {
				d = f.attempt(d, webhook.StatusPending)
			}
			if d.Attempts[0].Number != 3 {
				f.t.Fatalf("the first attempt that is kept is %d, want 3", d.Attempts[0].Number)
			}
			f.wantDelivery(d, f.now)
		}},
		{"an attempt has every field", func(f *fixture) {
			d := f.newDelivery()
			for _, change := range []func(a *webhook.Attempt){
				func(a *webhook.Attempt) {
					a.URL, a.StatusCode, a.Error = "HTTPS://例え.jp/%2F?\"'", 99, webhook.ErrorStatus
				},
				func(a *webhook.Attempt) { a.StatusCode, a.Error, a.Bytes, a.Response = 0, webhook.ErrorDNS, 0, "" },
				func(a *webhook.Attempt) { a.Response, a.Bytes = strings.Repeat("\U0001F4E8", 256), 64<<10 },
				func(a *webhook.Attempt) { a.Response = " \t\r\n\x01\ufeff\ufffd\uffff'\"\\%{} " },
				func(a *webhook.Attempt) { a.URL = "https://" + strings.Repeat("é", webhook.MaxURLLength/2-4) },
				func(a *webhook.Attempt) { a.Duration, a.StatusCode = 0, 999 },
				func(a *webhook.Attempt) { a.Duration = 15_999 * time.Millisecond },
			} {
				for _, class := range []webhook.ErrorClass{"", webhook.ErrorConnect, webhook.ErrorTLS, webhook.ErrorTimeout, webhook.ErrorBlocked, webhook.ErrorHTTP} {
					o := f.outcome(d, webhook.StatusPending)
					o.Attempt.Error = class
					change(&o.Attempt)
					d = f.record(d, o)
				}
				f.wantDelivery(d, f.now)
			}
		}},
		{"of 16 concurrent outcomes of one attempt exactly one is recorded", func(f *fixture) {
			d := f.newDelivery()
			o := f.outcome(d, webhook.StatusPending)
			o.Lane = webhook.LaneFailed
			var recorded atomic.Int32
			f.race(16, func(f *fixture, _ int) {
				applied, err := f.deliveries.Record(f.ctx, o)
				if err != nil {
					f.t.Errorf("Record: %v", err)
				}
				if applied {
					recorded.Add(1)
				}
			})
			if recorded.Load() != 1 {
				f.t.Errorf("%d outcomes were recorded, want 1", recorded.Load())
			}
			f.wantLane(d.WebhookID, webhook.Lane{Failures: 1, FirstFailure: o.Attempt.Ended()})
			if d, err := f.deliveries.Delivery(f.ctx, d.Company, d.WebhookID, d.DeliveryID(), f.now); err != nil || d.Made != 1 || len(d.Attempts) != 1 {
				f.t.Errorf("Delivery = %+v, %v, want one attempt", d, err)
			}
		}},
		{"statuses are derived from the lane and the age", recordDerived},
		{"a delivery waits for its lane if the lane opens later than it is due", func(f *fixture) {
			d := f.newDelivery()
			o := f.outcome(d, webhook.StatusPending)
			o.Lane, o.PausedUntil = webhook.LaneFailed, o.Due
			d = f.record(d, o)
			f.wantDelivery(d, f.now)
			later := f.accompany(d)
			o = f.outcome(later, webhook.StatusPending)
			o.Lane, o.PausedUntil, o.Due = webhook.LaneFailed, d.Due.Add(time.Millisecond), d.Due.Add(time.Hour)
			later = f.record(later, o)
			d.Due = time.Time{}
			f.wantDelivery(d, f.now)
			f.wantDelivery(later, f.now)
		}},
	}
}

func recordDerived(f *fixture) {
	name := f.newTypeName()
	w := f.subscribe(name)
	waiting, tried, delivered, failed := fresh(w, f.publish(name)), fresh(w, f.publish(name)), fresh(w, f.publish(name)), fresh(w, f.publish(name))
	tried, delivered, failed = f.attempt(tried, webhook.StatusPending), f.attempt(delivered, webhook.StatusDelivered), f.attempt(failed, webhook.StatusFailed)
	old := f.now.Add(webhook.MaxAge)
	want := func(now time.Time, status webhook.Status) {
		f.t.Helper()
		for _, d := range []webhook.Delivery{waiting, tried} {
			d.Status = status
			if status != webhook.StatusPending {
				d.Due = time.Time{}
			}
			f.wantDelivery(d, now)
		}
		f.wantDelivery(delivered, now)
		f.wantDelivery(failed, now)
	}
	want(old.Add(-time.Millisecond), webhook.StatusPending)
	want(old, webhook.StatusFailed)
	f.disable(fresh(w, f.publish(name)))
	want(f.now, webhook.StatusHeld)
	want(old, webhook.StatusHeld)
}

func laneCases() []testCase {
	return []testCase{
		{"every change is applied to the lane as it is stored, at the end of the attempt", func(f *fixture) {
			d := f.newDelivery()
			var want webhook.Lane
			ops := []webhook.LaneOp{webhook.LaneProbeFailed, webhook.LaneSucceeded, webhook.LaneFailed, webhook.LaneUnchanged, webhook.LaneDisabled, webhook.LaneFailed}
			for range webhook.FailuresToOpen {
				ops = append([]webhook.LaneOp{webhook.LaneFailed}, ops...)
			}
			for i, op := range ops {
				o := f.outcome(d, webhook.StatusPending)
				o.Lane, o.PausedUntil = op, f.now.Add(time.Duration(10-i)*time.Hour)
				d = f.record(d, o)
				want = want.Apply(op, o.Attempt.Ended(), o.PausedUntil)
				f.wantLane(d.WebhookID, want)
			}
		}},
		{"16 concurrent failures are counted as 16", func(f *fixture) {
			first := f.newDelivery()
			deliveries := []webhook.Delivery{first}
			for range 15 {
				deliveries = append(deliveries, f.accompany(first))
			}
			at := f.outcome(first, webhook.StatusPending).Attempt.Ended()
			f.race(len(deliveries), func(f *fixture, i int) {
				o := f.outcome(deliveries[i], webhook.StatusPending)
				o.Lane = webhook.LaneFailed
				if applied, err := f.deliveries.Record(f.ctx, o); !applied || err != nil {
					f.t.Errorf("Record = %v, %v, want true", applied, err)
				}
			})
			f.wantLane(first.WebhookID, webhook.Lane{Failures: 16, FirstFailure: at})
		}},
		{"an attempt of another version of the webhook does not change the lane", func(f *fixture) {
			d := f.newDelivery()
			for _, version := range []int64{0, 2} {
				o := f.outcome(d, webhook.StatusPending)
				o.Lane, o.PausedUntil, o.WebhookVersion = webhook.LaneFailed, f.now.Add(time.Hour), version
				d = f.record(d, o)
				f.wantLane(d.WebhookID, webhook.Lane{})
				f.wantDelivery(d, f.now)
			}
		}},
		{"a lane comes with its webhook, without the token", func(f *fixture) {
			want := f.newWebhook()
			want.Name, want.Description, want.URL, want.Version = "\x00 odd", oddText(), "HTTPS://Example.com:443/ä", 3
			want.Events = []string{f.newTypeName(), f.newTypeName()}
			f.create(want)
			want.SealedToken = nil
			got, lane, err := f.deliveries.Lane(f.ctx, f.company, want.ID)
			if err != nil || lane != (webhook.Lane{}) || len(got.SealedToken) != 0 {
				f.t.Fatalf("Lane = %+v, %+v, %v, want no token and a new lane", got, lane, err)
			}
			got.SealedToken = nil
			wantWebhooks(f.t, []webhook.Webhook{got}, []webhook.Webhook{want})
		}},
		{"unknown lanes and those of another company are not found", func(f *fixture) {
			d, gone := f.newDelivery(), f.newDelivery()
			f.delete(gone.WebhookID)
			unknown := oddStrings()
			unknown["new ID"], unknown["deleted"] = f.newWebhook().ID, gone.WebhookID
			for what, id := range unknown {
				_, _, err := f.deliveries.Lane(f.ctx, f.company, id)
				wantNotFound(f.t, "Lane("+what+")", err)
			}
			_, _, err := f.deliveries.Lane(f.ctx, newCompany(), d.WebhookID)
			wantNotFound(f.t, "Lane(another company's)", err)
		}},
	}
}
