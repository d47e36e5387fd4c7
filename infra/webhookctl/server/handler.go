package server

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"webhooks/shared/api"
	"webhooks/shared/api/openapi"
	"webhooks/shared/webhook"
)

// rootBody is the body of GET /, for those who only know the address of the service.
type rootBody struct {
	Name    string `json:"name"`
	OpenAPI string `json:"openapi"`
}

// Handler returns a handler for the whole service: the API's endpoints, and GET /, GET /healthz,
// GET /metrics and GET /openapi.json, which need no API key. Like the API, it matches paths as they were sent, without one
// slash at the end, and never redirects.
func Handler(service api.Service, creator api.Creator, store webhook.Store, deliveries webhook.DeliveryStore, metrics http.Handler) (http.Handler, error) {
	description, err := openapi.JSON()
	if err != nil {
		return nil, err
	}
	h := &health{ping: store.Ping, now: service.Now, log: service.Log}
	public := map[string]http.Handler{
		"": service.Public(func(context.Context) (int, any) {
			return http.StatusOK, rootBody{Name: "Webhook API", OpenAPI: "/openapi.json"}
		}),
		"/healthz": service.Public(h.respond),
		"/metrics": metrics,
		"/openapi.json": service.Public(func(context.Context) (int, any) {
			return http.StatusOK, json.RawMessage(description)
		}),
	}
	routed := service.Handler(
		api.ListWebhooks(store),
		api.CreateWebhook(creator),
		api.ListWebhookTypes(store),
		api.GetWebhook(store),
		api.DeleteWebhook(store),
		api.PublishEvent(api.Publisher{Store: deliveries, Now: service.Now, Random: service.Random}),
		api.GetEvent(deliveries, service.Now),
		api.ListDeliveries(deliveries, service.Now),
		api.GetDelivery(deliveries, service.Now),
		api.RetryDelivery(deliveries, service.Now),
		api.GetWebhookStatus(deliveries, service.Now),
	)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if endpoint, ok := public[strings.TrimSuffix(r.URL.EscapedPath(), "/")]; ok {
			endpoint.ServeHTTP(w, r)
			return
		}
		routed.ServeHTTP(w, r)
	}), nil
}
