package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

// defaultDeliveries is the number of deliveries per page if the client does not specify one.
const defaultDeliveries = 20

type deliveryLister interface {
	Deliveries(ctx context.Context, q webhook.DeliveryQuery) (webhook.DeliveryPage, error)
}

type deliveriesBody struct {
	Elements []deliveryBody `json:"elements"`
	Next     *string        `json:"next"`
}

// ListDeliveries is the endpoint that lists the deliveries of a webhook, newest first, one page per request.
func ListDeliveries(deliveries deliveryLister, now func() time.Time) Endpoint {
	return Endpoint{function: "list-deliveries", serve: func(ctx context.Context, r request) (response, error) {
		q, err := parseDeliveryQuery(r.query)
		if err != nil {
			return response{}, err
		}
		q.Company, q.WebhookID, q.Now = r.key.Company, r.vars[webhookIDName], now()
		page, err := deliveries.Deliveries(ctx, q)
		if err != nil {
			return response{}, notFound(err, "Webhook")
		}
		body := deliveriesBody{Elements: make([]deliveryBody, 0, len(page.Deliveries)), Next: orNull(page.Next)}
		for _, d := range page.Deliveries {
			body.Elements = append(body.Elements, newDeliveryBody(d))
		}
		return response{status: http.StatusOK, body: body}, nil
	}}
}

// parseDeliveryQuery reads the parameters. The first invalid one is the error.
func parseDeliveryQuery(rawQuery string) (q webhook.DeliveryQuery, err error) {
	query, err := parseQuery(rawQuery)
	if err != nil {
		return q, err
	}
	if q.Status, err = statusParameter(query); err != nil {
		return q, err
	}
	if q.Type, err = textParameter(query, "type"); err != nil {
		return q, err
	}
	if q.From, err = timeParameter(query, "from"); err != nil {
		return q, err
	}
	if q.To, err = timeParameter(query, "to"); err != nil {
		return q, err
	}
	if q.Limit, err = numberParameter(query, "size", maxPageSize, defaultDeliveries); err != nil {
		return q, err
	}
	q.Cursor, err = textParameter(query, "cursor")
	return q, err
}

// statusParameter returns an empty status if the query has none.
func statusParameter(query url.Values) (webhook.Status, error) {
	values, ok := query["status"]
	if !ok {
		return "", nil
	}
	all := []webhook.Status{webhook.StatusPending, webhook.StatusDelivered, webhook.StatusFailed, webhook.StatusHeld}
	if status := webhook.Status(values[0]); len(values) == 1 && slices.Contains(all, status) {
		return status, nil
	}
	return "", webhook.Errorf(webhook.KindInvalid, "\"status\" must be pending, delivered, failed or held.")
}
