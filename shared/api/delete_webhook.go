package api

import (
	"context"
	"net/http"

	"webhooks/shared/webhook"
)

type webhookDeleter interface {
	DeleteWebhook(ctx context.Context, company, id string) error
}

type deletedBody struct {
	ID      string `json:"id"`
	Deleted bool   `json:"deleted"`
}

// DeleteWebhook is the endpoint that deletes a webhook.
func DeleteWebhook(webhooks webhookDeleter) Endpoint {
	return Endpoint{function: "delete-webhook", serve: func(ctx context.Context, r request) (response, error) {
		id, err := webhookID(r)
		if err != nil {
			return response{}, err
		}
		err = webhooks.DeleteWebhook(ctx, r.key.Company, id)
		if webhook.KindOf(err) == webhook.KindNotFound {
			// The reference has its own message here, which differs from the one for GET.
			err = webhook.Errorf(webhook.KindNotFound, "Webhook not found. Unable to delete unknown resource")
		}
		if err != nil {
			return response{}, err
		}
		return response{status: http.StatusOK, body: deletedBody{ID: id, Deleted: true}}, nil
	}}
}
