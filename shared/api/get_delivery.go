package api

import (
	"context"
	"net/http"
	"time"

	"webhooks/shared/webhook"
)

type deliveryGetter interface {
	Delivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error)
}

// GetDelivery is the endpoint that returns a delivery with its latest attempts.
func GetDelivery(deliveries deliveryGetter, now func() time.Time) Endpoint {
	return Endpoint{function: "get-delivery", serve: func(ctx context.Context, r request) (response, error) {
		d, err := deliveries.Delivery(ctx, r.key.Company, r.vars[webhookIDName], r.vars[deliveryIDName], now())
		if err != nil {
			return response{}, notFound(err, "Delivery")
		}
		return response{status: http.StatusOK, body: newDeliveryWithAttemptsBody(d)}, nil
	}}
}
