package api

import (
	"context"
	"net/http"
	"time"

	"webhooks/shared/webhook"
)

type laneGetter interface {
	Lane(ctx context.Context, company, id string) (webhook.Webhook, webhook.Lane, error)
	Deliveries(ctx context.Context, q webhook.DeliveryQuery) (webhook.DeliveryPage, error)
}

// statusBody is the status of a webhook in a response.
type statusBody struct {
	Enabled        bool       `json:"enabled"`
	DisabledReason *string    `json:"disabled_reason"`
	CreatedAt      moment     `json:"created_at"`
	UpdatedAt      moment     `json:"updated_at"`
	FailingSince   moment     `json:"failing_since"`
	PausedUntil    moment     `json:"paused_until"`
	LastSuccessAt  moment     `json:"last_success_at"`
	LastFailureAt  moment     `json:"last_failure_at"`
	Recent         recentBody `json:"recent"`
}

// recentBody counts the latest deliveries of a webhook by status.
type recentBody struct {
	Delivered int `json:"delivered"`
	Failed    int `json:"failed"`
	Pending   int `json:"pending"`
	Held      int `json:"held"`
}

// GetWebhookStatus is the endpoint that returns whether a webhook is enabled and how its deliveries are doing.
func GetWebhookStatus(lanes laneGetter, now func() time.Time) Endpoint {
	return Endpoint{function: "get-webhook-status", serve: func(ctx context.Context, r request) (response, error) {
		id, at := r.vars[webhookIDName], now()
		w, lane, err := lanes.Lane(ctx, r.key.Company, id)
		if err != nil {
			return response{}, notFound(err, "Webhook")
		}
		latest, err := lanes.Deliveries(ctx, webhook.DeliveryQuery{Company: r.key.Company, WebhookID: id, Limit: maxPageSize, Now: at})
		if err != nil {
			return response{}, notFound(err, "Webhook")
		}
		body := statusBody{
			Enabled:        lane.DisabledReason == "",
			DisabledReason: orNull(lane.DisabledReason),
			CreatedAt:      moment(w.CreatedAt),
			UpdatedAt:      moment(w.CreatedAt), // webhooks cannot be changed
			FailingSince:   moment(lane.FailingSince),
		}
		if lane.PausedUntil.After(at) {
			body.PausedUntil = moment(lane.PausedUntil)
		}
		for _, d := range latest.Deliveries {
			body.add(d)
		}
		return response{status: http.StatusOK, body: body}, nil
	}}
}

// add counts a delivery and its attempts.
func (b *statusBody) add(d webhook.Delivery) {
	switch d.Status {
	case webhook.StatusDelivered:
		b.Recent.Delivered++
	case webhook.StatusFailed:
		b.Recent.Failed++
	case webhook.StatusHeld:
		b.Recent.Held++
	default:
		b.Recent.Pending++
	}
	for _, a := range d.Attempts {
		latest := &b.LastFailureAt
		if a.Error == "" {
			latest = &b.LastSuccessAt
		}
		if a.At.After(time.Time(*latest)) {
			*latest = moment(a.At)
		}
	}
}
