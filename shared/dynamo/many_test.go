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
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/dispatch"
	"webhooks/shared/dynamo/dynamotest"
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
func addOverdue(t testing.TB, s deliveryStore, n int, now time.Time) map[string]bool {
	t.Helper()
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
		o.EventID = testEvent("acme").ID
		k := keyOfRef(o.Ref)
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
	batches := slices.Collect(slices.Chunk(items, 25))
	err := concurrently(t.Context(), len(batches), func(ctx context.Context, i int) error {
		requests := make([]types.WriteRequest, len(batches[i]))
		for n, it := range batches[i] {
			requests[n].PutRequest = &types.PutRequest{Item: it}
		}
		_, err := into.client.BatchWriteItem(ctx, &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{into.name: requests}})
		return err
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

// TestSweepOfMany sweeps many overdue deliveries, with sweeps that end in the middle: one because its time is over, and one because the
// queue fails after some entries have been claimed. Four sweeps at once do the rest.
func TestSweepOfMany(t *testing.T) {
	const n = 2000
	t.Parallel()
	s, now := newStores(t), time.Now()
	ids := addOverdue(t, s, n, now)
	q, end := &memoryQueue{}, now.Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), end)
	defer cancel()

	swept, err := s.consumer(q, func() time.Time {
		if q.length() >= n/4 {
			return end
		}
		return now
	}).Sweep(ctx)
	if err != nil || swept.Sent < n/4 || swept.Sent == n || swept.Overdue < 50*time.Minute {
		t.Fatalf("the sweep without enough time: %+v, %v, want some of %d messages, and that the first entry is an hour overdue", swept, err, n)
	}
	clock := func() time.Time { return now }
	q.limit = (swept.Sent + n) / 2
	if _, err := s.consumer(q, clock).Sweep(ctx); !errors.Is(err, errQueueFailed) {
		t.Fatalf("the sweep without a queue: %v, want %v", err, errQueueFailed)
	}
	q.limit = 0
	var sweeps sync.WaitGroup
	for range 4 {
		sweeps.Go(func() {
			if _, err := s.consumer(q, clock).Sweep(ctx); err != nil {
				t.Errorf("one of four sweeps: %v", err)
			}
		})
	}
	sweeps.Wait()
	counts := countByDelivery(q.take())
	for id, messages := range counts {
		if messages != 1 || !ids[id] {
			t.Errorf("%s has %d messages, want one for each claim", id, messages)
		}
	}
	lost := n - len(counts) // claimed when the queue failed
	if lost == 0 || lost > n/2 {
		t.Errorf("%d entries have no message, want those that were claimed when the queue failed", lost)
	}

	if swept, err := s.consumer(q, clock).Sweep(ctx); err != nil || swept != (dispatch.Swept{}) {
		t.Errorf("another sweep: %+v, %v, want nothing", swept, err)
	}
	clock = func() time.Time { return now.Add(15 * time.Minute) }
	if swept, err := s.consumer(q, clock).Sweep(ctx); err != nil || swept.Sent != n {
		t.Errorf("after the claims: %+v, %v, want %d messages, because none was handled", swept, err, n)
	}
	if counts := countByDelivery(q.take()); len(counts) != n {
		t.Errorf("%d deliveries have messages, want %d", len(counts), n)
	}
}

// BenchmarkSweep sweeps 100,000 overdue deliveries, without the time that a real queue takes to accept the messages.
func BenchmarkSweep(b *testing.B) {
	const n = 100_000
	for b.Loop() {
		b.StopTimer()
		s, q := newStores(b), &memoryQueue{}
		addOverdue(b, s, n, time.Now())
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

// fanOutEvent stores an event for n webhooks, and returns it with their IDs and the message for those that are not stored with it.
func fanOutEvent(t testing.TB, s deliveryStore, company string, n int) (e webhook.NewEvent, ids []string, first webhook.Accepted) {
	t.Helper()
	e = testEvent(company)
	ids = make([]string, n)
	edges := make([]item, n)
	for i := range ids {
		ids[i] = webhook.NewID(ulid.Make().String())
		edges[i] = edgeKey(company, e.Type, ids[i]).item()
	}
	fill(t, &s.subscriptions, edges)
	slices.Sort(ids)
	e.AcceptedAt = time.Now().UTC().Truncate(time.Millisecond)
	accepted, err := s.Accept(t.Context(), []webhook.NewEvent{e})
	if err != nil || accepted[0].FanOut == nil {
		t.Fatalf("Accept = %v, %v, want a fan-out", accepted, err)
	}
	return e, ids, accepted[0]
}

// TestFanOutToMany fans out an event with a consumer that is killed once in the middle of each page. Meanwhile, a webhook of that page
// is deleted, but the page stays as it is.
func TestFanOutToMany(t *testing.T) {
	const n = 2600
	t.Parallel()
	s := newStores(t)
	e, ids, accepted := fanOutEvent(t, s, "acme", n)
	got := make(map[string]int)
	for _, r := range accepted.Deliveries {
		got[r.WebhookID]++
	}
	pages := 0
	for next := accepted.FanOut; next != nil; pages++ {
		text := next.Text()
		ctx, kill := context.WithCancel(t.Context())
		q := &memoryQueue{limit: 300, failed: kill}
		left := n - firstWebhooks - pages*pageWebhooks
		dies := left > q.limit
		if returned := s.consumer(q, time.Now).Handle(ctx, []string{text}); len(returned) != map[bool]int{true: 1}[dies] {
			t.Fatalf("page %d: Handle = %v, want that the message returns: %v", next.Count, returned, dies)
		}
		kill()
		before := q.take()
		gone := before[len(before)/2].WebhookID
		if err := s.subscriptions.transact(t.Context(), []types.TransactWriteItem{s.subscriptions.remove(edgeKey("acme", e.Type, gone))}); err != nil {
			t.Fatal(err)
		}
		q = &memoryQueue{}
		if returned := s.consumer(q, time.Now).Handle(t.Context(), []string{text}); len(returned) > 0 {
			t.Fatalf("page %d: the message returns again", next.Count)
		}
		after := q.take()
		if !slices.Equal(before, after[:len(before)]) {
			t.Fatalf("page %d is different when it is repeated", next.Count)
		}
		next = nil
		if last := after[len(after)-1]; last.Kind == webhook.MessageFanOut {
			after, next = after[:len(after)-1], &last
		}
		for _, m := range after {
			got[m.WebhookID]++
		}
	}
	if want := (n - firstWebhooks + pageWebhooks - 1) / pageWebhooks; pages != want {
		t.Errorf("%d pages, want %d", pages, want)
	}
	for _, id := range ids {
		if got[id] != 1 {
			t.Errorf("webhook %s is in %d pages, want 1", id, got[id])
		}
	}
	if len(got) != n {
		t.Errorf("%d webhooks have messages, want %d", len(got), n)
	}
}

// BenchmarkFanOut accepts an event for 10,000 webhooks and fans it out, without the time that a real queue takes to accept the messages.
func BenchmarkFanOut(b *testing.B) {
	const n = 10_000
	s := newStores(b)
	e, _, _ := fanOutEvent(b, s, "acme", n)
	cpu := cpuTime(b)
	for b.Loop() {
		again := testEvent("acme")
		e.ID, e.AcceptedAt = again.ID, again.AcceptedAt
		accepted, err := s.Accept(b.Context(), []webhook.NewEvent{e})
		if err != nil {
			b.Fatal(err)
		}
		q := &memoryQueue{}
		for next := accepted[0].FanOut; next != nil; {
			if returned := s.consumer(q, time.Now).Handle(b.Context(), []string{next.Text()}); len(returned) > 0 {
				b.Fatal("the message returns")
			}
			next = nil
			if last := &q.sent[len(q.sent)-1]; last.Kind == webhook.MessageFanOut {
				next = last
			}
		}
		if messages := len(accepted[0].Deliveries) + q.length(); messages < n {
			b.Fatalf("%d messages, want at least %d", messages, n)
		}
	}
	b.ReportMetric(float64((cpuTime(b)-cpu).Milliseconds())/float64(b.N), "cpu-ms/op")
}

// units counts the calls of a client to DynamoDB and the read units that they consume.
type units struct {
	mu    sync.Mutex
	calls map[string]int
	reads float64
}

// BeforeExecution asks for the units of a call.
func (u *units) BeforeExecution(_ context.Context, in *smithyhttp.InterceptorContext) error {
	switch in := in.Input.(type) {
	case *dynamodb.QueryInput:
		in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	case *dynamodb.BatchGetItemInput:
		in.ReturnConsumedCapacity = types.ReturnConsumedCapacityTotal
	}
	return nil
}

// AfterExecution counts a call.
func (u *units) AfterExecution(_ context.Context, in *smithyhttp.InterceptorContext) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls[fmt.Sprintf("%T", in.Input)]++
	switch out := in.Output.(type) {
	case *dynamodb.QueryOutput:
		u.reads += *out.ConsumedCapacity.CapacityUnits
	case *dynamodb.BatchGetItemOutput:
		for _, c := range out.ConsumedCapacity {
			u.reads += *c.CapacityUnits
		}
	}
	return nil
}

// TestFanOutAmongMany checks that an event costs the same however many webhooks its company has that do not subscribe to it.
func TestFanOutAmongMany(t *testing.T) {
	t.Parallel()
	s := newStores(t)
	cost := func(company string, others int) *units {
		var items []item
		for range others {
			items = append(items, edgeKey(company, "c.d", testWebhook(company).ID).item())
		}
		fill(t, &s.subscriptions, items)
		u := &units{calls: make(map[string]int)}
		client := NewClient(testConfig(dynamotest.Endpoint(t)), func(o *dynamodb.Options) {
			o.Interceptors.AddBeforeExecution(u)
			o.Interceptors.AddAfterExecution(u)
		})
		metered := deliveryStore{s.Store, NewDeliveries(client, s.subscriptions.name, s.deliveries.name)}
		_, _, accepted := fanOutEvent(t, metered, company, firstWebhooks+10)
		if returned := metered.consumer(&memoryQueue{}, time.Now).Handle(t.Context(), []string{accepted.FanOut.Text()}); len(returned) > 0 {
			t.Fatal("the message returns")
		}
		return u
	}
	few, many := cost("few", 10), cost("many", 5000)
	if !maps.Equal(few.calls, many.calls) || few.reads != many.reads || few.reads == 0 {
		t.Errorf("%v and %v read units with 5,000 other webhooks, want the same as with 10: %v and %v", many.calls, many.reads, few.calls, few.reads)
	}
}
