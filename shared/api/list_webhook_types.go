package api

import (
	"context"
	"net/http"

	"webhooks/shared/webhook"
)

type typeLister interface {
	EventTypes(ctx context.Context, company string) ([]webhook.EventType, error)
}

// ListWebhookTypes is the endpoint that lists the event types that a company can subscribe to.
func ListWebhookTypes(types typeLister) Endpoint {
	return Endpoint{function: "list-webhook-types", serve: func(ctx context.Context, r request) (response, error) {
		available, err := types.EventTypes(ctx, r.key.Company)
		if err != nil {
			return response{}, err
		}
		names := make([]string, 0, len(available))
		for _, t := range available {
			names = append(names, t.Name)
		}
		return response{status: http.StatusOK, body: names}, nil
	}}
}
