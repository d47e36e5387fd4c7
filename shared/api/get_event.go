package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"webhooks/shared/webhook"
)

type eventGetter interface {
	Event(ctx context.Context, company, id string) (webhook.Event, error)
	EventDeliveries(ctx context.Context, company, eventID, cursor string, limit int, now time.Time) (webhook.DeliveryPage, error)
}

// eventBody is an event with a page of its deliveries.
type eventBody struct {
	ID         string              `json:"id"`
	Key        *string             `json:"key"`
	Type       string              `json:"type"`
	Timestamp  moment              `json:"timestamp"`
	AcceptedAt moment              `json:"accepted_at"`
	Data       json.RawMessage     `json:"data"`
	Deliveries []eventDeliveryBody `json:"deliveries"`
	Next       *string             `json:"next"`
}

type eventDeliveryBody struct {
	ID           string         `json:"id"`
	WebhookID    string         `json:"webhook_id"`
	Status       webhook.Status `json:"status"`
	AttemptCount int            `json:"attempt_count"`
}

// GetEvent is the endpoint that returns an event with its data and its deliveries.
func GetEvent(events eventGetter, now func() time.Time) Endpoint {
	return Endpoint{function: "get-event", serve: func(ctx context.Context, r request) (response, error) {
		query, err := parseQuery(r.query)
		if err != nil {
			return response{}, err
		}
		company, err := eventCompany(r.key, query)
		if err != nil {
			return response{}, err
		}
		cursor, err := textParameter(query, "cursor")
		if err != nil {
			return response{}, err
		}
		event, err := events.Event(ctx, company, r.vars[eventIDName])
		if err != nil {
			return response{}, notFound(err, "Event")
		}
		page, err := events.EventDeliveries(ctx, company, event.ID, cursor, maxPageSize, now())
		if err != nil {
			return response{}, err
		}
		body, err := newEventBody(event, page)
		return response{status: http.StatusOK, body: body}, err
	}}
}

func newEventBody(e webhook.Event, page webhook.DeliveryPage) (eventBody, error) {
	sent, err := decodeObject(e.Body, "data")
	body := eventBody{
		ID:         e.ID,
		Key:        orNull(e.Key),
		Type:       e.Type,
		Timestamp:  moment(e.Timestamp),
		AcceptedAt: moment(e.AcceptedAt),
		Data:       sent["data"],
		Deliveries: make([]eventDeliveryBody, 0, len(page.Deliveries)),
		Next:       orNull(page.Next),
	}
	for _, d := range page.Deliveries {
		body.Deliveries = append(body.Deliveries, eventDeliveryBody{d.DeliveryID(), d.WebhookID, d.Status, d.Made})
	}
	return body, err
}
