package api

import "webhooks/shared/webhook"

// redacted stands where a token is not shown.
const redacted = "redacted"

// webhookBody is a webhook as the reference shows it: these six fields, in this order.
type webhookBody struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	Token       string   `json:"token"`
}

func redactedBody(w webhook.Webhook) webhookBody {
	return webhookBody{
		ID:          w.ID,
		Name:        w.Name,
		Description: w.Description,
		URL:         w.URL,
		Events:      w.Events,
		Token:       redacted,
	}
}
