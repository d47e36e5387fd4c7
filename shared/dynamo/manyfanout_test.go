package dynamo

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

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
