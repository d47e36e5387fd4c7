package api

import (
	"context"
	"net/http"

	"webhooks/shared/webhook"
)

type webhookGetter interface {
	Webhook(ctx context.Context, company, id string) (webhook.Webhook, error)
}

// GetWebhook is the endpoint that returns a webhook.
func GetWebhook(webhooks webhookGetter) Endpoint {
	return Endpoint{function: "get-webhook", serve: func(ctx context.Context, r request) (response, error) {
		id, err := webhookID(r)
		if err != nil {
			return response{}, err
		}
		found, err := webhooks.Webhook(ctx, r.key.Company, id)
		if webhook.KindOf(err) == webhook.KindNotFound {
			err = webhook.Errorf(webhook.KindNotFound, "Webhook not found.") // fixed by the reference
		}
		if err != nil {
			return response{}, err
		}
		return response{status: http.StatusOK, body: redactedBody(found)}, nil
	}}
}
