package dynamo

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// between returns two stores on the same tables. The first calls do before each of its calls of an operation of DynamoDB.
func between(t *testing.T, operation string, do func(direct deliveryStore)) (s, direct deliveryStore) {
	t.Helper()
	direct = newStores(t)
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	proxy.Every(func(c dynamotest.Call) dynamotest.Fault {
		if c.Operation == operation {
			do(direct)
		}
		return dynamotest.Pass()
	})
	return storesOn(proxy.URL, direct), direct
}

// subscribed stores a webhook and an event that it has not been sent.
func subscribed(t *testing.T, s deliveryStore) (webhook.Webhook, webhook.NewEvent) {
	t.Helper()
	w, e := testWebhook("acme"), testEvent("acme")
	w.Events = []string{"a.b"}
	create(t, s.Store, w, nil)
	if _, err := s.Accept(t.Context(), []webhook.NewEvent{e}); err != nil {
		t.Fatal(err)
	}
	return w, e
}

// TestFanOutPageIsStoredOnce stores the same page with another call between the query and the write. Both return the same webhooks,
// and none that was created after the event.
func TestFanOutPageIsStoredOnce(t *testing.T) {
	e := testEvent("acme")
	var first []webhook.Ref
	var m webhook.Message
	s, direct := between(t, "PutItem", func(direct deliveryStore) {
		subscribeMany(t, direct, "acme", 1, e.AcceptedAt.Add(time.Millisecond))
		subscribeMany(t, direct, "acme", 1, e.AcceptedAt.Add(clockSkew+time.Millisecond))
		var err error
		if first, _, err = direct.FanOut(t.Context(), m); err != nil {
			t.Error(err)
		}
	})
	subscribeMany(t, direct, "acme", firstWebhooks+3, e.AcceptedAt)
	accepted, err := direct.Accept(t.Context(), []webhook.NewEvent{e})
	if err != nil {
		t.Fatal(err)
	}
	m = *accepted[0].FanOut
	page, next, err := s.FanOut(t.Context(), m)
	if err != nil || next != nil || len(page) != 4 || !slices.Equal(page, first) {
		t.Errorf("FanOut = %v, %v, %v, want %v", page, next, err, first)
	}
}

// TestParkWhileLaneStops makes a lane stop waiting between the two writes of Park, and between its read and its write of the lane. In
// the end, it must wait.
func TestParkWhileLaneStops(t *testing.T) {
	for _, operation := range []string{"BatchGetItem", "UpdateItem"} {
		t.Run(operation, func(t *testing.T) {
			var w webhook.Webhook
			moves := 0
			s, direct := between(t, operation, func(direct deliveryStore) {
				if moves++; moves > 3 {
					return
				}
				for _, m := range []webhook.LaneMove{{At: time.Now().Add(time.Hour)}, {}} {
					look, err := direct.LookLane(t.Context(), "acme", w.ID, "", 1)
					if err == nil {
						_, err = direct.MoveLane(t.Context(), look, m)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
			var e webhook.NewEvent
			w, e = subscribed(t, direct)
			isDue, err := s.Park(t.Context(), webhook.Work{Ref: refOf(w, e, 0), Webhook: w, Event: e.Event}, e.AcceptedAt)
			if !isDue || err != nil || moves == 0 {
				t.Errorf("Park = %v, %v after %d moves, want true after some", isDue, err, moves)
			}
			it, err := direct.deliveries.get(t.Context(), laneKey("acme", w.ID), laneAttributes)
			if lane, laneErr := laneOf(it, 1); err != nil || laneErr != nil || !lane.waitsFor.Equal(e.AcceptedAt) {
				t.Errorf("the lane is %+v, %v, %v, want it to wait for %v", lane, err, laneErr, e.AcceptedAt)
			}
		})
	}
}

// TestIndexIsBehind records the outcome of a delivery after the index has returned it.
func TestIndexIsBehind(t *testing.T) {
	var o webhook.Outcome
	s, direct := between(t, "BatchGetItem", func(direct deliveryStore) {
		if _, err := direct.Record(t.Context(), o); err != nil {
			t.Error(err)
		}
	})
	w, e := subscribed(t, direct)
	if _, err := direct.Park(t.Context(), webhook.Work{Ref: refOf(w, e, 0), Webhook: w, Event: e.Event}, e.AcceptedAt); err != nil {
		t.Fatal(err)
	}
	o = testOutcome(refOf(w, e, 0))
	if look, err := s.LookLane(t.Context(), "acme", w.ID, "", 25); err != nil || len(look.Waiting) > 0 {
		t.Errorf("LookLane = %+v, %v, want nothing that waits", look, err)
	}
}

// TestRetryOfChangedDelivery records an outcome between the read and the write of RetryDelivery.
func TestRetryOfChangedDelivery(t *testing.T) {
	var o webhook.Outcome
	s, direct := between(t, "UpdateItem", func(direct deliveryStore) {
		if _, err := direct.Record(t.Context(), o); err != nil {
			t.Error(err)
		}
	})
	w, e := subscribed(t, direct)
	r := refOf(w, e, 0)
	if err := wantTrue(true)(direct.Record(t.Context(), testOutcome(r))); err != nil {
		t.Fatal(err)
	}
	r.Made = 1
	o = testOutcome(r)
	if d, err := s.RetryDelivery(t.Context(), "acme", w.ID, r.DeliveryID(), e.AcceptedAt); err != nil || d.Made != 2 {
		t.Errorf("RetryDelivery = %+v, %v, want a delivery with two attempts", d, err)
	}
	r.Made = 2
	if works, err := direct.Work(t.Context(), []webhook.Ref{r}, e.AcceptedAt); err != nil || len(works) != 1 || !works[0].Granted {
		t.Errorf("Work = %+v, %v, want a granted attempt", works, err)
	}
}

// TestUnprocessedWork leaves keys of both tables unprocessed.
func TestUnprocessedWork(t *testing.T) {
	s, proxy := newFaultyStores(t)
	w, e := subscribed(t, s)
	proxy.Next("BatchGetItem", dynamotest.Unprocessed(), dynamotest.Reject("ThrottlingException"), dynamotest.Unprocessed())
	works, err := s.Work(within(t, 10*time.Second), []webhook.Ref{refOf(w, e, 0)}, e.AcceptedAt)
	if err != nil || len(works) != 1 || works[0].Webhook.URL != w.URL || string(works[0].Event.Body) != string(e.Body) {
		t.Errorf("Work = %+v, %v, want the webhook and the event", works, err)
	}
}

// TestRecordStorm records failed attempts of several deliveries of one webhook, while every third call fails in some way and each caller
// repeats what it does not know to be recorded. Each attempt must count once, for its delivery and for the lane.
func TestRecordStorm(t *testing.T) {
	s, proxy := newFaultyStores(t)
	direct := storesOn(dynamotest.Endpoint(t), s)
	w, first := subscribed(t, direct)
	const callers, each = 4, 3
	events := []webhook.NewEvent{first}
	for len(events) < callers {
		events = append(events, testEvent("acme"))
	}
	proxy.Every(everyThird())
	var done sync.WaitGroup
	for _, e := range events {
		done.Go(func() {
			for made := range each {
				o := testOutcome(refOf(w, e, made))
				o.Lane = webhook.LaneFailed
				persistently(t, func(ctx context.Context) error { return errOf(s.Record(ctx, o)) })
			}
		})
	}
	done.Wait()
	if _, lane, err := direct.Lane(t.Context(), "acme", w.ID); err != nil || lane.Failures != callers*each {
		t.Errorf("Lane = %+v, %v, want %d failures", lane, err, callers*each)
	}
	for _, e := range events {
		d, err := direct.Delivery(t.Context(), "acme", w.ID, refOf(w, e, 0).DeliveryID(), e.AcceptedAt)
		if err != nil || d.Made != each || len(d.Attempts) != each {
			t.Errorf("Delivery = %+v, %v, want %d attempts", d, err, each)
		}
	}
}

// TestRecordInContention cancels more transactions than the SDK repeats.
func TestRecordInContention(t *testing.T) {
	s, proxy := newFaultyStores(t)
	w, e := subscribed(t, s)
	for range maxAttempts + 1 {
		proxy.Next("TransactWriteItems", dynamotest.Cancel("None", "TransactionConflict"))
	}
	o := testOutcome(refOf(w, e, 0))
	o.Lane = webhook.LaneFailed
	if applied, err := s.Record(within(t, 60*time.Second), o); !applied || err != nil {
		t.Errorf("Record = %v, %v, want true", applied, err)
	}
}
