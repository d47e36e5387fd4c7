package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

func TestCheckSlotsBoundEachCompanyAndAll(t *testing.T) {
	slots := newCheckSlots()
	var running, most atomic.Int64
	ofCompany := make([]atomic.Int64, 20)
	var all sync.WaitGroup
	for company := range ofCompany {
		for range 3 * maxChecksOfCompany {
			all.Go(func() {
				release, _, err := slots.acquire(t.Context(), fmt.Sprint(company))
				if err != nil {
					t.Error(err)
					return
				}
				defer release()
				defer running.Add(-1)
				defer ofCompany[company].Add(-1)
				if n := ofCompany[company].Add(1); n > maxChecksOfCompany {
					t.Errorf("%d checks of one company at once", n)
				}
				n := running.Add(1)
				for seen := most.Load(); n > seen && !most.CompareAndSwap(seen, n); seen = most.Load() {
				}
				time.Sleep(time.Millisecond)
			})
		}
	}
	all.Wait()
	if got := most.Load(); got > maxChecks || got <= maxChecksOfCompany {
		t.Errorf("at most %d checks ran at once, want more than one company's %d and no more than %d", got, maxChecksOfCompany, maxChecks)
	}
	if len(slots.companies) != 0 || len(slots.all) != 0 {
		t.Errorf("%d companies and %d slots are still in use", len(slots.companies), len(slots.all))
	}
}

// One company whose receivers never answer must not keep others waiting, and is told to come back.
func TestCheckSlotsOfAnotherCompanyAreFree(t *testing.T) {
	slots := newCheckSlots()
	for range maxChecksOfCompany {
		if _, _, err := slots.acquire(t.Context(), "greedy"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	_, _, err := slots.acquire(ctx, "greedy")
	if webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want to be told to try again", err)
	}
	release, _, err := slots.acquire(t.Context(), "modest")
	if err != nil {
		t.Fatal(err)
	}
	release()
	if got := slots.companies["greedy"].users; got != maxChecksOfCompany {
		t.Errorf("%d users are counted, want the %d that hold a slot", got, maxChecksOfCompany)
	}
}

// A company that gets a slot of its own but none of those that all have must get its own back.
func TestCheckSlotsAreGivenBackWhenTheCommonOnesRunOut(t *testing.T) {
	slots := newCheckSlots()
	if _, _, err := slots.acquire(t.Context(), "acme"); err != nil {
		t.Fatal(err)
	}
	var others []func()
	for i := range maxChecks - 1 {
		release, waited, err := slots.acquire(t.Context(), fmt.Sprint("other ", i))
		if err != nil || waited {
			t.Fatalf("waited %v, error %v", waited, err)
		}
		others = append(others, release)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for range maxChecksOfCompany {
		if _, _, err := slots.acquire(ended, "acme"); !errors.Is(err, context.Canceled) {
			t.Fatalf("got %v, want the end of the context: no slot is free", err)
		}
	}
	for _, release := range others {
		release()
	}
	for range maxChecksOfCompany - 1 {
		if _, _, err := slots.acquire(ended, "acme"); err != nil {
			t.Errorf("got %v, want a slot: one is in use", err)
		}
	}
	if got := slots.companies["acme"].users; got != maxChecksOfCompany {
		t.Errorf("%d users are counted, want the %d that hold a slot", got, maxChecksOfCompany)
	}
}
