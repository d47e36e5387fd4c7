package server

import (
	"context"
	"encoding/json"
	"net/http"

	"webhooks/shared/api"
	"webhooks/shared/api/openapi"
	"webhooks/shared/webhook"
)

// Handler returns a handler for the whole service: the API's endpoints, and GET /healthz and
// GET /openapi.json, which need no API key. Like the API, it matches paths exactly as they were sent
// and never redirects.
func Handler(service api.Service, creator api.Creator, store webhook.Store) (http.Handler, error) {
	description, err := openapi.JSON()
	if err != nil {
		return nil, err
	}
	h := &health{ping: store.Ping, now: service.Now, log: service.Log}
	public := map[string]http.Handler{
		"/healthz": service.Public(h.respond),
		"/openapi.json": service.Public(func(context.Context) (int, any) {
			return http.StatusOK, json.RawMessage(description)
		}),
	}
	endpoints := service.Handler(
		api.ListWebhooks(store),
		api.CreateWebhook(creator),
		api.ListWebhookTypes(store),
		api.GetWebhook(store),
		api.DeleteWebhook(store),
	)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if endpoint, ok := public[r.URL.EscapedPath()]; ok {
			endpoint.ServeHTTP(w, r)
			return
		}
		endpoints.ServeHTTP(w, r)
	}), nil
}
