package webhooktest

import (
	"errors"
	"slices"
	"sync"

	"webhooks/shared/webhook"
)

func concurrencyCases() []testCase {
	return []testCase{
		{"50 creations with a quota of 10 create exactly 10", raceQuota},
		{"50 creations with one key create exactly one", raceKey},
		{"50 creations with one key at the quota create none", func(f *fixture) {
			f.createOne()
			record := newRecord("body")
			f.race(50, func(f *fixture, _ int) {
				_, err := f.createUnder(f.newWebhook(), 1, record)
				wantQuotaReached(f.t, err, 1)
			})
			if count := f.list(1, 1).Count; count != 1 {
				f.t.Errorf("count %d, want 1", count)
			}
		}},
		{"of 20 deletions of one webhook exactly one succeeds", raceDelete},
		{"creations and deletions of different webhooks do not mix", func(f *fixture) {
			doomed := f.createN(20)
			kept := make([]webhook.Webhook, len(doomed))
			f.race(len(doomed), func(f *fixture, i int) {
				f.delete(doomed[i].ID)
				kept[i] = f.createOne()
			})
			f.wantStored(slices.SortedFunc(slices.Values(kept), byID)...)
		}},
		{"readers see whole webhooks in order while writers write", raceReaders},
		{"one type added concurrently is one type", func(f *fixture) {
			name := f.newTypeName()
			f.race(10, func(f *fixture, _ int) { f.addType(f.company, name, f.now) })
			f.wantTypes(f.company, []string{name}, name)
		}},
		{"of 10 removals of one type exactly one succeeds", func(f *fixture) {
			name := f.newTypeName()
			f.addType(f.company, name, f.now)
			f.wantOneOf(10, func(f *fixture) error { return f.store.RemoveEventType(f.ctx, f.company, name) })
		}},
	}
}

func raceQuota(f *fixture) {
	const quota = 10
	var mu sync.Mutex
	var stored []webhook.Webhook
	f.race(50, func(f *fixture, _ int) {
		w := f.newWebhook()
		if _, err := f.createUnder(w, quota, nil); err != nil {
			wantQuotaReached(f.t, err, quota)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		stored = append(stored, w)
	})
	if len(stored) != quota {
		f.t.Errorf("%d creations succeeded, want %d", len(stored), quota)
	}
	f.wantStored(slices.SortedFunc(slices.Values(stored), byID)...)
}

func raceKey(f *fixture) {
	record := newRecord("body")
	results := make([]string, 50) // the ID that each caller got
	winners := make([]webhook.Webhook, len(results))
	f.race(len(results), func(f *fixture, i int) {
		w := f.newWebhook()
		switch earlier, err := f.createUnder(w, ample, record); {
		case err != nil:
			f.t.Errorf("CreateWebhook: %v", err)
		case earlier == nil:
			results[i], winners[i] = w.ID, w
		default:
			wantEarlier(f, earlier, nil, record, earlier.WebhookID)
			results[i] = earlier.WebhookID
		}
	})
	winners = slices.DeleteFunc(winners, func(w webhook.Webhook) bool { return w.ID == "" })
	if len(winners) != 1 || len(slices.Compact(slices.Sorted(slices.Values(results)))) != 1 {
		f.t.Fatalf("%d creations succeeded and the callers got %q, want one creation and its ID", len(winners), results)
	}
	f.wantStored(winners...)
}

func raceDelete(f *fixture) {
	w := f.createN(2)
	f.wantOneOf(20, func(f *fixture) error { return f.store.DeleteWebhook(f.ctx, f.company, w[0].ID) })
	f.wantStored(w[1])
}

func raceReaders(f *fixture) {
	const writers = 4
	first := f.createOne()
	f.race(2*writers, func(f *fixture, i int) {
		for range 8 {
			if i < writers {
				f.delete(f.createOne().ID)
				continue
			}
			list := f.list(100, 1)
			if len(list.Webhooks) == 0 || list.Webhooks[0].ID != first.ID || list.Count < 1 || list.Count > 1+writers {
				f.t.Errorf("count %d, webhooks %v, want at least %s", list.Count, ids(list.Webhooks), first.ID)
			}
			if !slices.IsSortedFunc(list.Webhooks, byID) {
				f.t.Errorf("the list is out of order: %v", ids(list.Webhooks))
			}
			for _, w := range list.Webhooks {
				if w.Company != f.company || len(w.Events) != 1 || len(w.SealedToken) == 0 || w.Version != 1 {
					f.t.Errorf("incomplete webhook: %+v", w)
				}
			}
		}
	})
	f.wantStored(first)
}

// wantOneOf makes n concurrent calls and checks that one succeeds and the others return [webhook.ErrNotFound].
func (f *fixture) wantOneOf(n int, call func(f *fixture) error) {
	f.t.Helper()
	errs := make([]error, n)
	f.race(n, func(f *fixture, i int) { errs[i] = call(f) })
	succeeded := 0
	for _, err := range errs {
		switch {
		case err == nil:
			succeeded++
		case !errors.Is(err, webhook.ErrNotFound):
			f.t.Errorf("got error %v, want nil or %v", err, webhook.ErrNotFound)
		}
	}
	if succeeded != 1 {
		f.t.Errorf("%d of %d calls succeeded, want one", succeeded, n)
	}
}

// race makes n concurrent calls and waits for all.
func (f *fixture) race(n int, call func(f *fixture, i int)) {
	start := make(chan struct{})
	var done sync.WaitGroup
	for i := range n {
		done.Go(func() {
			<-start
			call(f, i)
		})
	}
	close(start)
	done.Wait()
}

func byID(a, b webhook.Webhook) int {
	switch {
	case a.ID < b.ID:
		return -1
	case a.ID > b.ID:
		return 1
	}
	return 0
}
