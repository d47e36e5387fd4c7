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

	"webhooks/shared/webhook"
)

func TestTLSSlotsLimitEachCompanyAndAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := newTLSSlots()
		var running, most atomic.Int64
		perCompany := make([]atomic.Int64, 20)
		var all sync.WaitGroup
		for company := range perCompany {
			for range 3 * maxChecksPerCompany {
				all.Go(func() {
					release, err := slots.acquire(t.Context(), fmt.Sprint(company))
					if err != nil {
						t.Error(err)
						return
					}
					defer release()
					if n := perCompany[company].Add(1); n > maxChecksPerCompany {
						t.Errorf("%d concurrent checks of one company", n)
					}
					n := running.Add(1)
					for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
					}
					time.Sleep(time.Second)
					running.Add(-1)
					perCompany[company].Add(-1)
				})
			}
		}
		all.Wait()
		if got := most.Load(); got != maxChecks {
			t.Errorf("at most %d checks ran concurrently, want %d", got, maxChecks)
		}
		if len(slots.companies) != 0 || len(slots.all) != 0 {
			t.Errorf("%d companies and %d slots are still in use", len(slots.companies), len(slots.all))
		}
	})
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
		if _, err := slots.acquire(ctx, "greedy"); webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want it to be unavailable", err)
		}
		release, err := slots.acquire(t.Context(), "modest")
		if err != nil {
			t.Fatal(err)
		}
		release()
		if got := slots.companies["greedy"].users; got != maxChecksPerCompany {
			t.Errorf("%d users are counted, want the %d that hold a slot", got, maxChecksPerCompany)
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
