package dynamo

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/webhook"
)

// testEvent returns an event of the type a.b.
func testEvent(company string) webhook.NewEvent {
	id := webhook.NewEventID(ulid.Make().String())
	now := time.Now().UTC().Truncate(time.Millisecond)
	return webhook.NewEvent{
		Event: webhook.Event{ID: id, Company: company, Type: "a.b", Timestamp: now, AcceptedAt: now, Body: []byte(`{"id":"` + id + `"}`)},
		Sent:  sha256.Sum256([]byte(id)),
	}
}

func refOf(w webhook.Webhook, e webhook.NewEvent, made int) webhook.Ref {
	return webhook.Ref{Company: e.Company, WebhookID: w.ID, EventID: e.ID, AcceptedAt: e.AcceptedAt, Made: made}
}

// testOutcome returns the outcome of the next attempt, which failed without an effect on the lane. The delivery is due in an hour.
func testOutcome(r webhook.Ref) webhook.Outcome {
	o := webhook.Outcome{
		Ref: r, EventType: "a.b", Status: webhook.StatusPending, Step: r.Made + 1, WebhookVersion: 1,
		Attempt: webhook.Attempt{
			Number: r.Made + 1, At: r.AcceptedAt.Add(time.Duration(r.Made) * time.Minute), Duration: time.Second,
			URL: "https://example.com", StatusCode: 500, Error: webhook.ErrorStatus, Bytes: 9, Response: "try again",
		},
	}
	o.Due = o.Attempt.Ended().Add(time.Hour)
	return o
}

// deliverySteps returns calls of every method of [Deliveries], as steps does.
func deliverySteps() []step {
	const company = "shop"
	w, gone := testWebhook(company), testWebhook(company)
	w.Events, gone.Events = []string{"a.b"}, []string{"c.d"}
	e, other, silent, unknown := testEvent(company), testEvent(company), testEvent(company), testEvent(company)
	changed := e
	changed.Sent[0]++
	silent.Type, unknown.Type = "silent", "unknown"
	batch := make([]webhook.NewEvent, 12)
	refs := make([]webhook.Ref, 10)
	for i := range batch {
		batch[i] = testEvent(company)
	}
	for i := range refs {
		refs[i] = refOf(w, batch[i], 0)
	}
	now := e.AcceptedAt
	first, failed, slow, expired := testOutcome(refOf(w, e, 0)), testOutcome(refOf(w, e, 1)), testOutcome(refOf(w, e, 2)), refOf(w, batch[2], 0)
	failed.Lane, slow.Attempt.Duration = webhook.LaneFailed, webhook.SlowAttempt+1
	slower := testOutcome(refOf(w, e, 3))
	slower.Attempt.Duration = webhook.SlowAttempt + 1

	accept := func(replayed bool, events ...webhook.NewEvent) call {
		return func(ctx context.Context, s deliveryStore) error {
			accepted, err := s.Accept(ctx, events)
			for i, a := range accepted {
				if a.Replayed != replayed {
					return fmt.Errorf("event %d: replayed is %v, want %v", i, a.Replayed, replayed)
				}
			}
			return err
		}
	}
	record := func(o webhook.Outcome, want bool) call {
		return func(ctx context.Context, s deliveryStore) error { return wantTrue(want)(s.Record(ctx, o)) }
	}
	look := func(state webhook.LookState, refs ...webhook.Ref) call {
		return func(ctx context.Context, s deliveryStore) error {
			looks, err := s.Look(ctx, refs, now)
			for i, l := range looks {
				if l.State != state {
					return fmt.Errorf("delivery %d: got state %d, want %d", i, l.State, state)
				}
			}
			return err
		}
	}
	work := webhook.Work{Ref: refs[1], Webhook: w, Event: batch[1].Event}
	id := refOf(w, e, 0).DeliveryID()
	var lane webhook.LaneLook
	var page webhook.Message
	lookLane := func(id string) call {
		return func(ctx context.Context, s deliveryStore) (err error) {
			lane, err = s.LookLane(ctx, company, id, "", 25)
			return err
		}
	}
	move := func(m webhook.LaneMove) call {
		return func(ctx context.Context, s deliveryStore) error { return wantTrue(true)(s.MoveLane(ctx, lane, m)) }
	}
	claim := func(from, to time.Duration) call {
		return func(ctx context.Context, s deliveryStore) error {
			_, claimed, err := s.Claim(ctx, webhook.Waiting{Company: company, WebhookID: w.ID, At: now.Add(from)}, now.Add(to))
			return wantTrue(true)(claimed, err)
		}
	}
	fanOut := func(ctx context.Context, s deliveryStore) error {
		_, _, err := s.FanOut(ctx, page)
		return err
	}
	page = webhook.Message{Kind: webhook.MessageFanOut, Ref: webhook.Ref{Company: company, EventID: e.ID}, After: w.ID, Count: 1}
	createWebhook := func(w webhook.Webhook) call {
		return func(ctx context.Context, s deliveryStore) error {
			return errOf(s.CreateWebhook(ctx, webhook.Creation{Webhook: w, Quota: 9}))
		}
	}
	addType := func(ctx context.Context, s deliveryStore) error {
		return s.AddEventType(ctx, webhook.EventType{Name: "silent", Company: company, AddedAt: now})
	}

	return []step{
		{"CreateWebhook for deliveries", createWebhook(w), "TransactWriteItems 3", 0},
		{"CreateWebhook to delete", createWebhook(gone), "TransactWriteItems 3", 0},
		{"AddEventType without webhooks", addType, "PutItem 1", 0},
		{"Accept", accept(false, e), "PutItem 1, Query 101", 0},
		{"Accept again", accept(true, e), "BatchGetItem 1, BatchGetItem 1, PutItem 1, Query 101", 0},
		{"Accept a conflict", accept(false, changed), "BatchGetItem 1, PutItem 1, Query 101", webhook.KindConflict},
		{"Accept a type without webhooks", accept(false, silent), "BatchGetItem 2, PutItem 1, Query 101", 0},
		{"Accept an unknown type", accept(false, unknown), "BatchGetItem 2, Query 101", webhook.KindUnprocessable},
		{"Accept 12 events", accept(false, batch...), "Query 101, TransactWriteItems 12", 0},
		{"Accept 12 events again", accept(true, batch...), "BatchGetItem 12, BatchGetItem 12, Query 101, TransactWriteItems 12", 0},
		{"FanOut", fanOut, "BatchGetItem 2, PutItem 1, Query 501", 0},
		{"FanOut again", fanOut, "BatchGetItem 2", 0},
		{"Event", func(ctx context.Context, s deliveryStore) error { return errOf(s.Event(ctx, company, e.ID)) }, "GetItem 1", 0},
		{"Event that does not exist", func(ctx context.Context, s deliveryStore) error { return errOf(s.Event(ctx, company, other.ID)) }, "GetItem 1", webhook.KindNotFound},
		{"Event with an impossible ID", func(ctx context.Context, s deliveryStore) error { return errOf(s.Event(ctx, company, "evt_1")) }, "", webhook.KindNotFound},
		{"Look", look(webhook.LookReady, refs[0]), "BatchGetItem 4", 0},
		{"Look at 10 deliveries", look(webhook.LookReady, refs...), "BatchGetItem 22", 0},
		{"Look at impossible IDs", look(webhook.LookDone, webhook.Ref{Company: company}), "", 0},
		{"Work", func(ctx context.Context, s deliveryStore) error { return errOf(s.Work(ctx, refs, now)) }, "BatchGetItem 22", 0},
		{"Record", record(first, true), "UpdateItem 1", 0},
		{"Record again", record(first, false), "UpdateItem 1", 0},
		{"Record a failure", record(failed, true), "BatchGetItem 2, TransactWriteItems 2", 0},
		{"Record a failure again", record(failed, false), "BatchGetItem 2, TransactWriteItems 2", 0},
		{"Record a slow attempt", record(slow, true), "BatchGetItem 2, TransactWriteItems 2", 0},
		{"Record another slow attempt", record(slower, true), "BatchGetItem 2, UpdateItem 1", 0},
		{"Park", func(ctx context.Context, s deliveryStore) error { return wantTrue(true)(s.Park(ctx, work, now)) }, "BatchGetItem 1, UpdateItem 1, UpdateItem 1", 0},
		{"Park again", func(ctx context.Context, s deliveryStore) error { return wantTrue(true)(s.Park(ctx, work, now)) }, "BatchGetItem 1, UpdateItem 1", 0},
		{"Settle", func(ctx context.Context, s deliveryStore) error { return s.Settle(ctx, webhook.Work{Ref: expired}) }, "UpdateItem 1", 0},
		{"LookLane", lookLane(w.ID), "BatchGetItem 3, Query 25 eventually consistent", 0},
		{"MoveLane", move(webhook.LaneMove{At: now.Add(time.Hour), Probe: true}), "UpdateItem 1", 0},
		{"Waiting", func(ctx context.Context, s deliveryStore) error { return errOf(s.Waiting(ctx, 0, now, 100)) }, "Query 100 eventually consistent", 0},
		{"Claim", claim(time.Hour, 2*time.Hour), "UpdateItem 1", 0},
		{"Lane", func(ctx context.Context, s deliveryStore) error {
			_, _, err := s.Lane(ctx, company, w.ID)
			return err
		}, "BatchGetItem 2", 0},
		{"Delivery", func(ctx context.Context, s deliveryStore) error {
			return errOf(s.Delivery(ctx, company, w.ID, id, now))
		}, "BatchGetItem 3", 0},
		{"RetryDelivery", func(ctx context.Context, s deliveryStore) error {
			return errOf(s.RetryDelivery(ctx, company, w.ID, id, now))
		}, "BatchGetItem 3, UpdateItem 1", 0},
		{"Deliveries", func(ctx context.Context, s deliveryStore) error {
			return errOf(s.Deliveries(ctx, webhook.DeliveryQuery{Company: company, WebhookID: w.ID, Limit: 20, Now: now}))
		}, "BatchGetItem 2, Query 22", 0},
		{"Deliveries with a status", func(ctx context.Context, s deliveryStore) error {
			return errOf(s.Deliveries(ctx, webhook.DeliveryQuery{Company: company, WebhookID: w.ID, Limit: 20, Now: now, Status: webhook.StatusFailed}))
		}, "BatchGetItem 2, Query 250", 0},
		{"EventDeliveries", func(ctx context.Context, s deliveryStore) error {
			return errOf(s.EventDeliveries(ctx, company, e.ID, "", 100, now))
		}, "BatchGetItem 3, GetItem 1", 0},
		{"LookLane/another lane", lookLane(gone.ID), "BatchGetItem 2, Query 25 eventually consistent", 0},
		{"MoveLane of a new lane", move(webhook.LaneMove{At: now}), "UpdateItem 1", 0},
		{"DeleteWebhook with a lane", func(ctx context.Context, s deliveryStore) error { return s.DeleteWebhook(ctx, company, gone.ID) }, "GetItem 1, TransactWriteItems 3", 0},
		{"LookLane/deleted webhook", lookLane(gone.ID), "BatchGetItem 2, Query 25 eventually consistent", 0},
		{"MoveLane of a deleted webhook", move(webhook.LaneMove{}), "DeleteItem 1", 0},
	}
}

// wantTrue returns a function that adds an error to one result of a method if the other is not the wanted one.
func wantTrue(want bool) func(got bool, err error) error {
	return func(got bool, err error) error {
		if err == nil && got != want {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return err
	}
}
