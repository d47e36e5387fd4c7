package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

// slowCheck takes a second, and counts.
type slowCheck struct{ running, most atomic.Int64 }

func (c *slowCheck) CheckTLS(context.Context, endpoint.URL) error {
	n := c.running.Add(1)
	for seen := c.most.Load(); n > seen && !c.most.CompareAndSwap(seen, n); seen = c.most.Load() {
	}
	time.Sleep(time.Second)
	c.running.Add(-1)
	return nil
}

func TestTLSChecksAreLimited(t *testing.T) {
	for companies, want := range map[int]int64{1: maxChecksPerCompany, 20: maxChecks} {
		synctest.Test(t, func(t *testing.T) {
			check := new(slowCheck)
			c := newCreation(Creator{TLS: check})
			var all sync.WaitGroup
			for i := range companies * 3 * maxChecksPerCompany {
				all.Go(func() {
					if err := c.checkTLS(t.Context(), fmt.Sprint(i%companies), endpoint.URL{}); err != nil {
						t.Error(err)
					}
				})
			}
			all.Wait()
			if got := check.most.Load(); got != want {
				t.Errorf("%d companies: at most %d checks ran concurrently, want %d", companies, got, want)
			}
			if len(c.slots.companies) != 0 || len(c.slots.all) != 0 {
				t.Errorf("%d companies and %d slots are still in use", len(c.slots.companies), len(c.slots.all))
			}
		})
	}
}

// A company whose receivers never respond does not keep others waiting. Its own next request times out.
func TestTLSSlotsOfOtherCompaniesAreFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := newTLSSlots()
		for range maxChecksPerCompany {
			if _, err := slots.acquire(t.Context(), "greedy"); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), DefaultTimeout)
		defer cancel()
		_, err := slots.acquire(ctx, "greedy")
		if webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want it to be unavailable", err)
		}
		if _, err := slots.acquire(t.Context(), "modest"); err != nil || slots.companies["greedy"].users != maxChecksPerCompany {
			t.Errorf("error %v, and %d users of %d slots", err, slots.companies["greedy"].users, maxChecksPerCompany)
		}
	})
}

// A company that gets a slot of its own but no shared one must give its own back.
func TestTLSSlotsAreReturnedIfTheSharedOnesRunOut(t *testing.T) {
	slots := newTLSSlots()
	for i := range maxChecks - 1 {
		if _, err := slots.acquire(t.Context(), fmt.Sprint("other ", i)); err != nil {
			t.Fatal(err)
		}
	}
	release, err := slots.acquire(t.Context(), "acme")
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := slots.acquire(ended, "acme"); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the end of the context: no slot is free", err)
	}
	if own := slots.companies["acme"]; own.users != 1 || len(own.slots) != 1 {
		t.Errorf("%d users are counted and %d slots taken, want 1", own.users, len(own.slots))
	}
	release()
	if _, err := slots.acquire(ended, "acme"); err != nil {
		t.Errorf("got %v, want the slot that was released", err)
	}
}

func TestDefaultQuota(t *testing.T) {
	if got := newCreation(Creator{}).Quota; got != webhook.DefaultQuota {
		t.Errorf("got %d, want %d", got, webhook.DefaultQuota)
	}
}
