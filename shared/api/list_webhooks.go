package api

import (
	"context"
	"net/http"

	"webhooks/shared/webhook"
)

// The upper limits of size and page.
const (
	maxPageSize = 100
	maxPage     = 1<<31 - 1
)

type webhookLister interface {
	ListWebhooks(ctx context.Context, company string, page webhook.Page) (webhook.List, error)
}

type listBody struct {
	Entities string        `json:"entities"`
	Count    int           `json:"count"`
	PerPage  int           `json:"per_page"`
	Pages    pagesBody     `json:"pages"`
	Elements []webhookBody `json:"elements"`
}

type pagesBody struct {
	Current int `json:"current"`
	Max     int `json:"max"`
}

// ListWebhooks is the endpoint that lists a company's webhooks, one page per request.
func ListWebhooks(webhooks webhookLister) Endpoint {
	return Endpoint{function: "list-webhooks", serve: func(ctx context.Context, r request) (response, error) {
		page, err := parsePage(r.query)
		if err != nil {
			return response{}, err
		}
		list, err := webhooks.ListWebhooks(ctx, r.key.Company, page)
		if err != nil {
			return response{}, err
		}
		return response{status: http.StatusOK, body: listed(page, list)}, nil
	}}
}

// parsePage reads the parameters. It rejects webhookId, which a list would otherwise silently ignore.
func parsePage(rawQuery string) (webhook.Page, error) {
	query, err := parseQuery(rawQuery)
	if err != nil {
		return webhook.Page{}, err
	}
	if _, single := query[webhookIDName]; single {
		return webhook.Page{}, webhook.Errorf(webhook.KindInvalid,
			"The list does not accept \"webhookId\". To get one webhook, use GET /webhooks/{webhookId} or GET /webhook?webhookId=.")
	}
	size, err := numberParameter(query, "size", maxPageSize, maxPageSize)
	if err != nil {
		return webhook.Page{}, err
	}
	number, err := numberParameter(query, "page", maxPage, 1)
	return webhook.Page{Size: size, Number: number}, err
}

func listed(page webhook.Page, list webhook.List) listBody {
	body := listBody{
		Entities: "Webhook",
		Count:    list.Count,
		PerPage:  page.Size,
		Pages:    pagesBody{Current: page.Number, Max: page.Last(list.Count)},
		Elements: make([]webhookBody, 0, len(list.Webhooks)),
	}
	for _, w := range list.Webhooks {
		body.Elements = append(body.Elements, redactedBody(w))
	}
	return body
}
