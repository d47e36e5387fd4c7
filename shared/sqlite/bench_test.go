package sqlite

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// BenchmarkDelivery accepts events for 1 or 100 webhooks each, reads the work in batches of 64, and records that all were delivered.
// It reports the CPU time of this process per delivery, in total and of each of the three steps.
func BenchmarkDelivery(b *testing.B) {
	const batch = 64
	for _, webhooks := range []int{1, 100} {
		b.Run(fmt.Sprintf("webhooks=%d", webhooks), func(b *testing.B) {
			store, err := Open(b.Context(), b.TempDir()+"/webhooks.db", time.Now)
			if err != nil {
				b.Fatal(err)
			}
			defer store.Close()
			for range webhooks {
				w := newWebhook("co_1")
				if _, err := store.CreateWebhook(b.Context(), webhook.Creation{Webhook: w, Quota: ample}); err != nil {
					b.Fatal(err)
				}
			}
			var after int64
			var accepting, reading, recording time.Duration
			for range b.N {
				start := cpuTime(b)
				inBackground(batch, func(int) {
					if _, err := store.AcceptEvents(b.Context(), []webhook.NewEvent{newEvent("co_1", time.Now())}); err != nil {
						b.Error(err)
					}
				})()
				for more := true; more; {
					if more, err = store.FanOut(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
				accepting += cpuTime(b) - start
				for range webhooks {
					start = cpuTime(b)
					works := arrivedWork(b, store, &after, batch)
					reading += cpuTime(b) - start
					start = cpuTime(b)
					inBackground(batch, func(i int) {
						if applied, err := store.Record(b.Context(), delivered(works[i].Ref)); err != nil || !applied {
							b.Error(applied, err)
						}
					})()
					recording += cpuTime(b) - start
				}
			}
			for unit, spent := range map[string]time.Duration{
				"cpu-us/delivery": accepting + reading + recording, "accept-us": accepting, "work-us": reading, "record-us": recording,
			} {
				b.ReportMetric(float64(spent.Microseconds())/float64(b.N*batch*webhooks), unit)
			}
		})
	}
}

// arrivedWork returns the work of the next n deliveries.
func arrivedWork(b *testing.B, store *Store, after *int64, n int) []webhook.Work {
	b.Helper()
	arrived, err := store.Arrived(b.Context(), *after, n)
	if err != nil || len(arrived) != n {
		b.Fatalf("%d arrived, %v, want %d", len(arrived), err, n)
	}
	*after = arrived[n-1].Number
	refs := make([]webhook.Ref, n)
	for i := range refs {
		refs[i].Number = arrived[i].Number
	}
	works, err := store.Work(b.Context(), refs, time.Now())
	if err != nil || len(works) != n {
		b.Fatalf("%d works, %v, want %d", len(works), err, n)
	}
	return works
}

// cpuTime returns the CPU time that this process has used.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
