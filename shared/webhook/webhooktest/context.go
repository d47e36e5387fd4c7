package webhooktest

import (
	"context"
	"errors"
	"time"

	"webhooks/shared/webhook"
)

func contextCases() []testCase {
	return []testCase{{"every method is unavailable once its context has ended", func(f *fixture) {
		stored, visible, name := f.createOne(), f.newTypeName(), f.newTypeName()
		f.addType(f.company, visible, f.now)
		added := webhook.EventType{Name: name, Company: f.company, AddedAt: f.now}
		f.wantEnded(func(ctx context.Context) map[string]error {
			return map[string]error{
				"ListWebhooks":    second(f.store.ListWebhooks(ctx, f.company, webhook.Page{Size: 100, Number: 1})),
				"Webhook":         second(f.store.Webhook(ctx, f.company, stored.ID)),
				"PrepareCreation": second(f.store.PrepareCreation(ctx, webhook.CreationQuery{Company: f.company, Events: []string{name}, Now: f.now})),
				"CreateWebhook":   second(f.store.CreateWebhook(ctx, webhook.Creation{Webhook: f.newWebhook(), Quota: ample})),
				"DeleteWebhook":   f.store.DeleteWebhook(ctx, f.company, stored.ID),
				"EventTypes":      second(f.store.EventTypes(ctx, f.company)),
				"AddEventType":    f.store.AddEventType(ctx, added),
				"RemoveEventType": f.store.RemoveEventType(ctx, f.company, visible),
				"WebhooksAfter":   second(f.store.WebhooksAfter(ctx, f.company, "", 100)),
				"ImportWebhook":   f.store.ImportWebhook(ctx, f.newWebhook()),
				"AllEventTypes":   second(f.store.AllEventTypes(ctx, f.company)),
				"ImportEventType": f.store.ImportEventType(ctx, added),
				"Ping":            f.store.Ping(ctx),
			}
		})
	}}}
}

func deliveryContextCases() []testCase {
	return []testCase{{"every method is unavailable once its context has ended", func(f *fixture) {
		d := f.attempt(f.newDelivery(), webhook.StatusPending)
		f.wantEnded(func(ctx context.Context) map[string]error {
			_, _, laneErr := f.deliveries.Lane(ctx, d.Company, d.WebhookID)
			return map[string]error{
				"AcceptEvents":    second(f.deliveries.AcceptEvents(ctx, []webhook.NewEvent{f.newEvent(d.EventType)})),
				"Event":           second(f.deliveries.Event(ctx, d.Company, d.EventID)),
				"EventDeliveries": second(f.deliveries.EventDeliveries(ctx, d.Company, d.EventID, "", 100, f.now)),
				"Deliveries":      second(f.deliveries.Deliveries(ctx, f.queryAll(d.WebhookID))),
				"Delivery":        second(f.deliveries.Delivery(ctx, d.Company, d.WebhookID, d.DeliveryID(), f.now)),
				"RetryDelivery":   second(f.deliveries.RetryDelivery(ctx, d.Company, d.WebhookID, d.DeliveryID(), f.now)),
				"Lane":            laneErr,
				"Work":            second(f.deliveries.Work(ctx, []webhook.Ref{d.Ref}, f.now)),
				"Record":          second(f.deliveries.Record(ctx, f.outcome(d, webhook.StatusDelivered))),
			}
		})
	}}}
}

func backlogContextCases() []testCase {
	return []testCase{{"every method is unavailable once its context has ended", func(f *fixture) {
		lane := f.pendingOf(f.newDelivery()).Lane
		f.wantEnded(func(ctx context.Context) map[string]error {
			return map[string]error{
				"Arrived":    second(f.backlog.Arrived(ctx, 0, 100)),
				"LastNumber": second(f.backlog.LastNumber(ctx)),
				"Lanes":      second(f.backlog.Lanes(ctx, 0, 100)),
				"Due":        second(f.backlog.Due(ctx, lane, 100, f.now)),
				"Granted":    second(f.backlog.Granted(ctx, 0, 100)),
				"FanOut":     second(f.backlog.FanOut(ctx)),
				"Upkeep":     second(f.backlog.Upkeep(ctx, f.now, f.now)),
			}
		})
	}}}
}

func queueContextCases() []testCase {
	return []testCase{{"every method is unavailable once its context has ended", func(f *fixture) {
		d := f.attempt(f.newDelivery(), webhook.StatusPending)
		work, lane := f.wantLook("pending", d.Ref, f.now, webhook.LookReady), f.lookLane(d.WebhookID, "", 1)
		f.wantEnded(func(ctx context.Context) map[string]error {
			_, _, fanOutErr := f.queue.FanOut(ctx, webhook.Message{Kind: webhook.MessageFanOut, Ref: d.Ref, Count: 1})
			_, _, claimErr := f.queue.Claim(ctx, webhook.Waiting{Company: d.Company, WebhookID: d.WebhookID, At: f.now}, f.now)
			return map[string]error{
				"Accept":   second(f.queue.Accept(ctx, []webhook.NewEvent{f.newEvent(d.EventType)})),
				"FanOut":   fanOutErr,
				"Look":     second(f.queue.Look(ctx, []webhook.Ref{d.Ref}, f.now)),
				"Park":     second(f.queue.Park(ctx, work, f.now)),
				"Settle":   f.queue.Settle(ctx, work),
				"Record":   second(f.queue.Record(ctx, f.outcome(d, webhook.StatusDelivered))),
				"LookLane": second(f.queue.LookLane(ctx, d.Company, d.WebhookID, "", 1)),
				"MoveLane": second(f.queue.MoveLane(ctx, lane, webhook.LaneMove{At: f.now})),
				"Waiting":  second(f.queue.Waiting(ctx, 0, f.now, 1)),
				"Claim":    claimErr,
			}
		})
	}}}
}

func second(_ any, err error) error { return err }

// wantEnded calls methods with contexts that have ended and checks their errors.
func (f *fixture) wantEnded(call func(ctx context.Context) map[string]error) {
	canceled, cancel := context.WithCancel(f.ctx)
	cancel()
	expired, cancel := context.WithDeadline(f.ctx, time.Now().Add(-time.Second))
	defer cancel()
	for _, ctx := range []context.Context{canceled, expired} {
		for method, err := range call(ctx) {
			if webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, ctx.Err()) {
				f.t.Errorf("%s: got error %v, want KindUnavailable wrapping %v", method, err, ctx.Err())
			}
		}
	}
}
