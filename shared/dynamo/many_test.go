package dynamo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/dispatch"
	"webhooks/shared/webhook"
)

// memoryQueue keeps what is sent.
type memoryQueue struct {
	mu   sync.Mutex
	sent []webhook.Message
	// limit is how many messages it accepts before it fails, in the middle of a call of Send; 0 means all. It calls failed, if that
	// is not nil, when it fails.
	limit  int
	failed func()
}

var errQueueFailed = errors.New("the queue has failed")

// Send implements [webhook.Queue].
func (q *memoryQueue) Send(_ context.Context, messages ...webhook.Message) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, m := range messages {
		if q.limit > 0 && len(q.sent) == q.limit {
			if q.failed != nil {
				q.failed()
			}
			return errQueueFailed
		}
		q.sent = append(q.sent, m)
	}
	return nil
}

// Reject implements [webhook.Queue].
func (q *memoryQueue) Reject(_ context.Context, text, reason string) error {
	return fmt.Errorf("rejected %s: %s", text, reason)
}

// take returns the messages that were sent, and forgets them.
func (q *memoryQueue) take() []webhook.Message {
	q.mu.Lock()
	defer q.mu.Unlock()
	sent := q.sent
	q.sent = nil
	return sent
}

func (q *memoryQueue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.sent)
}

func (s deliveryStore) consumer(q *memoryQueue, now func() time.Time) *dispatch.Consumer {
	return &dispatch.Consumer{Store: s.deliveries, Queue: q, Now: now, Log: slog.New(slog.DiscardHandler)}
}

// addOverdue stores deliveries that have had an attempt and have been due for an hour, ten for each webhook, and returns their IDs.
// All but one are in the first shards.
func addOverdue(t testing.TB, s deliveryStore, n, shards int, now time.Time) map[string]bool {
	t.Helper()
	var waits []string
	for i := range shards {
		waits = append(waits, shardWait(i))
	}
	e := testEvent("acme")
	e.AcceptedAt = now.Add(-2 * time.Hour)
	o := testOutcome(refOf(testWebhook("acme"), e, 0))
	err := errOf(s.Record(t.Context(), o))
	stored, getErr := s.deliveries.get(t.Context(), keyOfRef(o.Ref), allAttributes)
	if err := errors.Join(err, getErr); err != nil {
		t.Fatal(err)
	}
	ids, items := map[string]bool{o.DeliveryID(): true}, make([]item, n-1)
	for i := range items {
		if i%10 == 0 {
			o.WebhookID = testWebhook("acme").ID
		}
		k := keyOfRef(o.Ref)
		for first := true; first || !slices.Contains(waits, timeWait(k)); first = false {
			o.EventID = testEvent("acme").ID
			k = keyOfRef(o.Ref)
		}
		items[i], ids[o.DeliveryID()] = maps.Clone(stored), true
		maps.Copy(items[i], k.item())
		items[i][eventIDAttr], items[i][waitAttr] = text(o.EventID), text(timeWait(k))
	}
	fill(t, &s.deliveries.table, items)
	return ids
}

// fill puts items into a table.
func fill(t testing.TB, into *table, items []item) {
	t.Helper()
	requests := make([]types.WriteRequest, len(items))
	for i, it := range items {
		requests[i].PutRequest = &types.PutRequest{Item: it}
	}
	writeAll(t, into, requests)
}

func writeAll(t testing.TB, into *table, requests []types.WriteRequest) {
	t.Helper()
	batches := slices.Collect(slices.Chunk(requests, 25))
	err := concurrently(t.Context(), len(batches), func(ctx context.Context, i int) error {
		in := &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{into.name: batches[i]}}
		return errOf(into.client.BatchWriteItem(ctx, in))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// countByDelivery returns how many messages there are for each delivery.
func countByDelivery(messages []webhook.Message) map[string]int {
	counts := make(map[string]int)
	for _, m := range messages {
		counts[m.DeliveryID()]++
	}
	return counts
}

// TestSweepOfMany sweeps many overdue deliveries, in four shards so that each takes several rounds. One sweep ends in the middle because
// its time is over, and one because the queue fails after some entries have been claimed. Four sweeps at once do the rest.
func TestSweepOfMany(t *testing.T) {
	const n, shards = 1600, 4
	t.Parallel()
	s, now := newStores(t), time.Now()
	ids := addOverdue(t, s, n, shards, now)
	q, end := &memoryQueue{}, now.Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()

	swept, err := s.consumer(q, func() time.Time {
		if q.length() >= n/4 {
			return end
		}
		return now
	}).Sweep(ctx)
	if err != nil || swept.Sent < n/4 || swept.Sent > n/2 || swept.Overdue < 50*time.Minute {
		t.Fatalf("the sweep without enough time: %+v, %v, want about a quarter of %d messages, and that the first entry is an hour overdue", swept, err, n)
	}
	clock := func() time.Time { return now }
	q.limit = swept.Sent + n/8
	if _, err := s.consumer(q, clock).Sweep(ctx); !errors.Is(err, errQueueFailed) {
		t.Fatalf("the sweep without a queue: %v, want %v", err, errQueueFailed)
	}
	q.limit = 0
	before := q.length()
	var sweeps sync.WaitGroup
	for range 4 {
		sweeps.Go(func() {
			swept, err := s.consumer(q, clock).Sweep(ctx)
			if err != nil {
				t.Errorf("one of four sweeps: %v", err)
			}
			t.Logf("one of four sweeps has sent %d messages", swept.Sent)
		})
	}
	sweeps.Wait()
	if rest := q.length() - before; rest < n/8 {
		t.Errorf("four sweeps have sent %d messages, want more to be left for them", rest)
	}
	sent := q.take()
	counts := countByDelivery(sent)
	for id, messages := range counts {
		if messages != 1 || !ids[id] {
			t.Errorf("%s has %d messages, want one for each claim", id, messages)
		}
	}
	lost := n - len(counts) // claimed when the queue failed
	if lost == 0 || lost > shards*100 {
		t.Errorf("%d entries have no message, want those that were claimed when the queue failed", lost)
	}
	if swept, err := s.consumer(q, clock).Sweep(ctx); err != nil || swept != (dispatch.Swept{}) {
		t.Errorf("another sweep: %+v, %v, want nothing", swept, err)
	}

	handled := make([]types.WriteRequest, len(sent))
	for i, m := range sent {
		handled[i].DeleteRequest = &types.DeleteRequest{Key: keyOfRef(m.Ref).item()}
	}
	writeAll(t, &s.deliveries.table, handled)
	clock = func() time.Time { return now.Add(15 * time.Minute) }
	if swept, err := s.consumer(q, clock).Sweep(ctx); err != nil || swept.Sent != lost {
		t.Errorf("after the claims: %+v, %v, want the %d messages that were lost", swept, err, lost)
	}
	again := countByDelivery(q.take())
	for id := range ids {
		if counts[id]+again[id] != 1 {
			t.Errorf("%s has %d messages, want 1", id, counts[id]+again[id])
		}
	}
}

// BenchmarkSweep sweeps 100,000 overdue deliveries, without the time that a real queue takes to accept the messages.
func BenchmarkSweep(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		b.StopTimer()
		s, q := newStores(b), &memoryQueue{}
		addOverdue(b, s, n, webhook.WaitingShards, time.Now())
		cpu := cpuTime(b)
		b.StartTimer()
		swept, err := s.consumer(q, time.Now).Sweep(b.Context())
		if err != nil || swept.Sent != n {
			b.Fatalf("Sweep = %+v, %v, want %d messages", swept, err, n)
		}
		b.StopTimer()
		b.ReportMetric(float64((cpuTime(b)-cpu).Microseconds())/n, "cpu-µs/delivery")
		if counts := countByDelivery(q.take()); len(counts) != n {
			b.Fatalf("%d deliveries have messages, want %d", len(counts), n)
		}
		b.StartTimer()
	}
	b.ReportMetric(n*float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
}

// cpuTime returns how long this process has used processors.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
