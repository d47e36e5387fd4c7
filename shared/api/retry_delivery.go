package api

import (
	"context"
	"net/http"
	"time"

	"webhooks/shared/webhook"
)

type deliveryRetrier interface {
	RetryDelivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error)
}

// RetryDelivery is the endpoint that grants a delivery one extra attempt, as soon as possible.
func RetryDelivery(deliveries deliveryRetrier, now func() time.Time) Endpoint {
	return Endpoint{function: "retry-delivery", serve: func(ctx context.Context, r request) (response, error) {
		d, err := deliveries.RetryDelivery(ctx, r.key.Company, r.vars[webhookIDName], r.vars[deliveryIDName], now())
		if err != nil {
			return response{}, notFound(err, "Delivery")
		}
		return response{status: http.StatusAccepted, body: newDeliveryWithAttemptsBody(d)}, nil
	}}
}
