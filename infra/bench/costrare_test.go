package bench

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/delivery"
	"webhooks/shared/dispatch"
	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

// rejecting is a host whose receiver rejects everything, and whose clock is set.
type rejecting struct {
	now  time.Time
	sent []webhook.Message // since the last invocation
	due  time.Time         // of the next attempt
}

// Post implements the interface of [delivery.Attempter].
func (r *rejecting) Post(context.Context, endpoint.URL, http.Header, []byte) (endpoint.Response, error) {
	return endpoint.Response{Status: http.StatusInternalServerError}, nil
}

// Open implements the interface of [delivery.Attempter].
func (r *rejecting) Open(context.Context, string, string, []byte) (string, error) {
	return "whsec_AAAA", nil
}

// Send implements [webhook.Queue].
func (r *rejecting) Send(_ context.Context, messages ...webhook.Message) error {
	r.sent = append(r.sent, messages...)
	return nil
}

// Reject implements [webhook.Queue].
func (r *rejecting) Reject(context.Context, string, string) error { return nil }

// exhausted computes what a delivery costs whose attempts all fail, while others to the same webhook succeed, so that the webhook is not
// taken for a failing one. Each attempt is an invocation of its own, which takes what single does. The deliveries wait under a clock
// that is set.
func (c *costs) exhausted(b *testing.B, single spent) {
	client := dynamo.NewClient(dynamo.Config{Endpoint: c.dynamo.URL, Region: c.config.Region, Credentials: c.config.Credentials})
	store := dynamo.NewDeliveries(client, c.table, c.settings["WEBHOOKS_DELIVERIES_TABLE"])
	message := c.publishOne(b, 0)
	r := &rejecting{now: message.AcceptedAt}
	clock := func() time.Time { return r.now }
	consumer := &dispatch.Consumer{
		Store: store, Queue: r, Now: clock, Log: slog.New(slog.DiscardHandler),
		Attempter: &delivery.Attempter{Client: r, Sealer: r, Schedule: delivery.DefaultSchedule(), Now: clock, Random: func() float64 { return 0.5 }},
		Attempted: func(_ webhook.Work, o webhook.Outcome) { r.due = o.Due },
	}
	var used capacity
	attempts, requests := 0, 0.0
	handle := func(texts ...string) {
		c.dynamo.Calls()
		if len(texts) > 0 {
			attempts++
			requests += 2 // to receive and to delete
			if returned := consumer.Handle(b.Context(), texts); len(returned) > 0 {
				b.Fatal("the message returns")
			}
		} else if _, err := consumer.Sweep(b.Context()); err != nil {
			b.Fatal(err)
		}
		// A sweep queries the index whether or not something waits.
		calls := slices.DeleteFunc(c.dynamo.Calls(), func(call dynamotest.Call) bool { return call.Operation == "Query" })
		c.add(b, &used, calls)
		requests += float64(len(r.sent))
	}
	for r.sent = []webhook.Message{message}; len(r.sent) > 0; {
		text := r.sent[0].Text()
		r.now, r.sent, r.due = r.now.Add(r.sent[0].Delay), nil, time.Time{}
		handle(text)
		if len(r.sent) == 0 && !r.due.IsZero() {
			r.now = r.due
			handle()
		}
		c.succeed(b, store, message.WebhookID, r.now)
	}
	total := used.dollars() + requests*groupRequest + float64(attempts)*(single.lambda()+single.sent*sentByte)
	logs := float64(attempts) * single.logged * loggedByte
	b.ReportMetric(0, "ns/op") // of the clock that is set
	b.ReportMetric(float64(attempts), "attempts")
	b.ReportMetric(total*million, "$/million")
	b.Logf("%d attempts: %v read and %v write units, %v requests to SQS: $%.2f per million deliveries, and $%.2f of logs",
		attempts, used.reads, used.writes, requests, total*million, logs*million)
}

// succeed records a successful attempt of another delivery.
func (c *costs) succeed(b *testing.B, store *dynamo.Deliveries, webhookID string, now time.Time) {
	b.Helper()
	applied, err := store.Record(b.Context(), webhook.Outcome{
		Ref:       webhook.Ref{Company: companyID, WebhookID: webhookID, EventID: webhook.NewEventID(ulid.Make().String()), AcceptedAt: now},
		EventType: c.types[0], Status: webhook.StatusDelivered, WebhookVersion: 1, Lane: webhook.LaneSucceeded,
		Attempt: webhook.Attempt{Number: 1, At: now, StatusCode: http.StatusOK},
	})
	if err != nil || !applied {
		b.Fatalf("Record = %v, %v, want true", applied, err)
	}
}

// idle computes what polling costs while nothing happens.
func (c *costs) idle(b *testing.B) {
	sweeper := c.start(b, "requeue-due-deliveries")
	event, err := os.ReadFile("../../functions/requeue-due-deliveries/event.json")
	if err != nil {
		b.Fatal(err)
	}
	sweep := c.of(b, sweeper, func() []byte { return event })
	sweeps := float64(month / dispatch.SweepInterval)
	swept := sweeps * (scheduled + sweep.lambda() + sweep.dollars() + sweep.logged*loggedByte)
	polled := pollers * queues * float64(month/pollWait) * sqsRequest
	b.ReportMetric(0, "ns/op") // of all rounds together, which means nothing
	b.ReportMetric(swept+polled, "$/month")
	b.Logf("$%.2f for polling %d empty queues; $%.2f for %.0f sweeps, each %v, %v read units and %.0f bytes of logs",
		polled, queues, swept, sweeps, sweep.billed, sweep.reads, sweep.logged)
}
