package webhooktest

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"webhooks/shared/webhook"
)

func concurrencyCases() []testCase {
	return []testCase{
		{"50 creations with a quota of 10 create exactly 10", raceQuota},
		{"50 creations with one key create exactly one, whatever the quota", raceKey},
		{"of 20 deletions of one webhook exactly one succeeds", func(f *fixture) {
			w := f.createN(2)
			f.wantOneOf(20, webhook.ErrNotFound, func(f *fixture) error { return f.store.DeleteWebhook(f.ctx, f.company, w[0].ID) })
			f.wantStored(w[1])
		}},
		{"of 20 imports of one webhook exactly one succeeds", func(f *fixture) {
			w := f.newWebhook()
			f.wantOneOf(20, webhook.WebhookExists(w.ID), func(f *fixture) error { return f.store.ImportWebhook(f.ctx, w) })
			f.wantStored(w)
		}},
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
			f.wantOneOf(10, webhook.ErrNotFound, func(f *fixture) error { return f.store.RemoveEventType(f.ctx, f.company, name) })
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
			wantError(f.t, err, webhook.QuotaReached(quota))
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
		switch earlier, err := f.createUnder(w, 1, record); {
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

// wantOneOf makes n concurrent calls and checks that one succeeds and the others return an error.
func (f *fixture) wantOneOf(n int, want *webhook.Error, call func(f *fixture) error) {
	f.t.Helper()
	var succeeded atomic.Int32
	f.race(n, func(f *fixture, _ int) {
		if err := call(f); err != nil {
			wantError(f.t, err, want)
		} else {
			succeeded.Add(1)
		}
	})
	if succeeded.Load() != 1 {
		f.t.Errorf("%d of %d calls succeeded, want one", succeeded.Load(), n)
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

func byID(a, b webhook.Webhook) int { return strings.Compare(a.ID, b.ID) }
