package dynamo

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// subscribeMany stores the subscriptions to a.b of n webhooks that were created at a time, but not the webhooks.
func subscribeMany(t testing.TB, s deliveryStore, company string, n int, at time.Time) []string {
	t.Helper()
	ids := make([]string, n)
	writes := make([]types.TransactWriteItem, n)
	for i := range ids {
		ids[i] = webhook.NewID(ulid.MustNew(ulid.Timestamp(at), rand.Reader).String())
		writes[i] = s.subscriptions.put(edgeKey(company, "a.b", ids[i]).item(), "")
	}
	for some := range slices.Chunk(writes, 100) {
		if err := s.subscriptions.transact(t.Context(), some); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(ids)
	return ids
}

// incompressible returns n random bytes.
func incompressible(n int) []byte {
	body := make([]byte, n)
	_, _ = rand.Read(body) // never returns an error
	return body
}

// TestLargestEvents accepts the largest event for many webhooks, and the largest batch. An item of DynamoDB has up to 400 KB, and a
// transaction up to 4 MB. However many webhooks an event has, accepting it takes two calls.
func TestLargestEvents(t *testing.T) {
	s := newStores(t)
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	s = storesOn(proxy.URL, s)
	e := testEvent("acme")
	ids := subscribeMany(t, s, "acme", firstWebhooks+pageWebhooks+1, e.AcceptedAt)
	e.Body = incompressible(257 << 10)
	proxy.Calls()
	accepted, err := s.Accept(t.Context(), []webhook.NewEvent{e})
	if err != nil || len(accepted[0].Deliveries) != firstWebhooks || accepted[0].FanOut == nil {
		t.Fatalf("Accept = %.1000v, %v, want %d deliveries and a message for the others", accepted, err, firstWebhooks)
	}
	if calls := proxy.Calls(); len(calls) != 2 {
		t.Errorf("Accept made %d calls, want 2", len(calls))
	}
	refs := accepted[0].Deliveries
	for next := accepted[0].FanOut; next != nil; {
		var page []webhook.Ref
		if page, next, err = s.FanOut(t.Context(), *next); err != nil {
			t.Fatal(err)
		}
		refs = append(refs, page...)
	}
	if !slices.EqualFunc(refs, ids, func(r webhook.Ref, id string) bool { return r.WebhookID == id }) {
		t.Errorf("got %d deliveries, want %d, or others", len(refs), len(ids))
	}
	if got, err := s.Event(t.Context(), "acme", e.ID); err != nil || !bytes.Equal(got.Body, e.Body) {
		t.Errorf("Event: %v, or another body", err)
	}

	batch := make([]webhook.NewEvent, 100)
	for i := range batch {
		batch[i] = testEvent("acme")
		batch[i].Body = incompressible(1 << 20 / len(batch))
	}
	if _, err := s.Accept(t.Context(), batch); err != nil {
		t.Errorf("Accept of 1 MiB: %v", err)
	}
	if looks, err := s.Look(t.Context(), refsTo(refOf(webhook.Webhook{}, batch[0], 0), ids[:100]), e.AcceptedAt); err != nil || len(looks) != 100 {
		t.Errorf("Look = %d, %v, want 100", len(looks), err)
	}
}

// TestLargestDelivery records attempts with the longest URL and response.
func TestLargestDelivery(t *testing.T) {
	s := newStores(t)
	w, e := testWebhook("acme"), testEvent("acme")
	create(t, s.Store, w, nil)
	for made := range webhook.MaxAttempts + 3 {
		o := testOutcome(refOf(w, e, made))
		o.Attempt.URL = strings.Repeat("u", webhook.MaxURLLength)
		o.Attempt.Response = strings.Repeat("ä", 512)
		if err := wantTrue(true)(s.Record(t.Context(), o)); err != nil {
			t.Fatalf("attempt %d: %v", made+1, err)
		}
	}
	it, err := s.deliveries.get(t.Context(), keyOfRef(refOf(w, e, 0)), allAttributes)
	if err != nil {
		t.Fatal(err)
	}
	attempts := it[attemptsAttr].(*types.AttributeValueMemberL).Value
	if len(attempts) != webhook.MaxAttempts {
		t.Errorf("%d attempts are stored, want %d", len(attempts), webhook.MaxAttempts)
	}
	d, err := s.Delivery(t.Context(), "acme", w.ID, refOf(w, e, 0).DeliveryID(), e.AcceptedAt)
	if err != nil || len(d.Attempts) != webhook.MaxAttempts || d.Attempts[0].Number != 4 || d.Attempts[19].Response == "" {
		t.Errorf("Delivery = %.1000v, %v, want attempts 4 to 23", d, err)
	}
}

// TestExpiredEvents checks that events, pages and deliveries no longer exist once they have expired, even if DynamoDB has not removed them.
func TestExpiredEvents(t *testing.T) {
	s := newStores(t)
	e, w := testEvent("acme"), testWebhook("acme")
	w.Events = []string{"a.b"}
	create(t, s.Store, w, nil)
	ids := subscribeMany(t, s, "acme", firstWebhooks+1, e.AcceptedAt)
	accepted, err := s.Accept(t.Context(), []webhook.NewEvent{e})
	if err != nil {
		t.Fatal(err)
	}
	if page, _, err := s.FanOut(t.Context(), *accepted[0].FanOut); err != nil || len(page) != 2 {
		t.Fatalf("FanOut = %v, %v, want two webhooks", page, err)
	}
	if err := wantTrue(true)(s.Record(t.Context(), testOutcome(refOf(w, e, 0)))); err != nil {
		t.Fatal(err)
	}

	now := e.AcceptedAt.Add(s.Retention + 2*time.Second)
	s.Now = func() time.Time { return now }
	if _, err := s.Event(t.Context(), "acme", e.ID); !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("Event: got error %v, want %v", err, webhook.ErrNotFound)
	}
	if page, next, err := s.FanOut(t.Context(), *accepted[0].FanOut); len(page) > 0 || next != nil || err != nil {
		t.Errorf("FanOut = %v, %v, %v, want nothing", page, next, err)
	}
	if page, err := s.EventDeliveries(t.Context(), "acme", e.ID, "", 100, now); len(page.Deliveries) > 0 || err != nil {
		t.Errorf("EventDeliveries = %v, %v, want none", page, err)
	}
	q := webhook.DeliveryQuery{Company: "acme", WebhookID: w.ID, Limit: 100, Now: now}
	if page, err := s.Deliveries(t.Context(), q); len(page.Deliveries) > 0 || err != nil {
		t.Errorf("Deliveries = %v, %v, want none", page, err)
	}
	if _, err := s.Delivery(t.Context(), "acme", w.ID, refOf(w, e, 0).DeliveryID(), now); !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("Delivery: got error %v, want %v", err, webhook.ErrNotFound)
	}
	again := e
	again.AcceptedAt = now
	again.Sent[0]++
	more := subscribeMany(t, s, "acme", 1, now)
	accepted, err = s.Accept(t.Context(), []webhook.NewEvent{again})
	if err != nil || accepted[0].Replayed {
		t.Fatalf("Accept = %v, %v, want a new event", accepted, err)
	}
	if page, _, err := s.FanOut(t.Context(), *accepted[0].FanOut); err != nil || len(page) != 3 || page[2].WebhookID != more[0] {
		t.Errorf("FanOut = %v, %v, want %v and %v", page, err, ids[firstWebhooks:], more)
	}
}
