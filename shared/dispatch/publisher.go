package dispatch

import (
	"context"
	"time"

	"webhooks/shared/webhook"
)

// PublisherStore is what a Publisher needs from a store.
type PublisherStore interface {
	webhook.DeliveryStore
	Accept(ctx context.Context, events []webhook.NewEvent) ([]webhook.Accepted, error)
}

// Publisher is a store on a host with queues: what its methods store is also sent.
type Publisher struct {
	PublisherStore
	Queue webhook.Queue
}

// AcceptEvents implements [webhook.DeliveryStore]. When it returns, the messages have been sent.
func (p Publisher) AcceptEvents(ctx context.Context, events []webhook.NewEvent) ([]bool, error) {
	accepted, err := p.Accept(ctx, events)
	if err != nil {
		return nil, err
	}
	replayed := make([]bool, len(accepted))
	var messages []webhook.Message
	for i, a := range accepted {
		replayed[i] = a.Replayed
		messages = append(messages, deliveryMessages(a.Deliveries)...)
		if a.FanOut != nil {
			messages = append(messages, *a.FanOut)
		}
	}
	return replayed, p.Queue.Send(ctx, messages...)
}

// RetryDelivery implements [webhook.DeliveryStore]. When it returns, the message for the attempt has been sent.
func (p Publisher) RetryDelivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error) {
	d, err := p.PublisherStore.RetryDelivery(ctx, company, webhookID, deliveryID, now)
	if err != nil {
		return webhook.Delivery{}, err
	}
	return d, p.Queue.Send(ctx, webhook.Message{Kind: webhook.MessageDelivery, Ref: d.Ref})
}
