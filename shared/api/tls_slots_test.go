package api

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/webhook"
)

// slowCheck counts checks.
type slowCheck struct{ running atomic.Int32 }

// run starts checks of a company in the background. They take three seconds and then fail.
func (c *slowCheck) run(t *testing.T, slots *tlsSlots, company string, checks int) (failures chan error) {
	failures = make(chan error, checks)
	for range checks {
		go func() {
			failures <- slots.check(t.Context(), company, func() error {
				c.running.Add(1)
				defer c.running.Add(-1)
				time.Sleep(3 * time.Second)
				return webhook.Errorf(webhook.KindInvalid, "silent")
			})
		}()
		synctest.Wait()
	}
	return failures
}

func TestTLSChecksOfOneCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const inUse = 1 + maxFurtherPerCompany
		var check slowCheck
		slots := newTLSSlots(time.Now)
		failures := check.run(t, slots, "acme", inUse+maxWaitingPerCompany+1)
		if err := <-failures; webhook.KindOf(err) != webhook.KindTooMany || check.running.Load() != inUse {
			t.Errorf("got %v and %d checks running, want too many, and %d", err, check.running.Load(), inUse)
		}
		kinds := make(map[webhook.Kind]int)
		for range inUse + maxWaitingPerCompany {
			kinds[webhook.KindOf(<-failures)]++
		}
		if kinds[webhook.KindInvalid] != 2*inUse || kinds[webhook.KindTooMany] != maxWaitingPerCompany-inUse {
			t.Errorf("got the kinds %v, want %d failures, and the end of the time for the rest", kinds, 2*inUse)
		}

		failures = check.run(t, slots, "acme", 3)
		if check.running.Load() != 1 {
			t.Errorf("%d checks of a company with failures run at the same time, want 1", check.running.Load())
		}
		if first, second, third := <-failures, <-failures, <-failures; webhook.KindOf(first) != webhook.KindInvalid ||
			webhook.KindOf(second) != webhook.KindTooMany || webhook.KindOf(third) != webhook.KindInvalid {
			t.Errorf("got %v, %v, %v, want two failures one after the other, and the end of the time of a third request", first, second, third)
		}
		time.Sleep(suspicion)
		if check.run(t, slots, "acme", 3); check.running.Load() != 3 {
			t.Errorf("%d checks run at the same time a minute later, want 3", check.running.Load())
		}
		time.Sleep(time.Minute)
	})
}

// A client that leaves before its check fails gains nothing.
func TestTLSCheckWithoutClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := newTLSSlots(time.Now)
		ctx, leave := context.WithCancel(t.Context())
		_ = slots.check(ctx, "acme", func() error { leave(); return webhook.Unavailable(ctx.Err()) })
		var check slowCheck
		failures := check.run(t, slots, "acme", 1+maxWaitingPerCompany+1)
		if check.running.Load() != 1 || len(failures) != 1 {
			t.Errorf("%d checks run at the same time and %d do not wait, want 1 and 1", check.running.Load(), len(failures))
		}
		time.Sleep(time.Minute)
	})
}

// Companies whose servers never respond do not keep another one waiting, from their first check on.
func TestTLSChecksOfManyCompanies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var check slowCheck
		slots := newTLSSlots(time.Now)
		const companies = 40
		for company := range companies {
			check.run(t, slots, fmt.Sprint(company), 10)
		}
		if check.running.Load() != companies+maxFurtherChecks {
			t.Errorf("%d checks run at the same time, want %d", check.running.Load(), companies+maxFurtherChecks)
		}
		start, results := time.Now(), make(chan error)
		for range 4 {
			go func() {
				results <- slots.check(t.Context(), "honest", func() error { time.Sleep(10 * time.Millisecond); return nil })
			}()
		}
		for range 4 {
			if err := <-results; err != nil || time.Since(start) > 40*time.Millisecond {
				t.Errorf("a check of another company returned %v after %v", err, time.Since(start))
			}
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(slots.first)+len(slots.further) > 0 {
			t.Errorf("%d and %d slots are still in use", len(slots.first), len(slots.further))
		}
	})
}

func TestDefaultQuota(t *testing.T) {
	if got := newCreation(Creator{Now: time.Now}).Quota; got != webhook.DefaultQuota {
		t.Errorf("got %d, want %d", got, webhook.DefaultQuota)
	}
}
