package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"webhooks/shared/access"
)

// The names of IDs in paths. The webhook's ID has the same name in queries and messages.
const (
	webhookIDName  = "webhookId"
	eventIDName    = "eventId"
	deliveryIDName = "deliveryId"
)

// The maximum sizes of request bodies, in bytes.
const (
	maxSmallBody = 64 << 10
	maxEventBody = 256 << 10
	maxBatchBody = 1 << 20
)

// Route is one method on one path.
type Route struct {
	// Function is the endpoint's name, and the name of its directory in functions/.
	Function string
	// Method is the HTTP method. GET includes HEAD.
	Method string
	// Path is the pattern of the path. Segments in braces are variables: they match any segment that is not empty.
	Path string
	// Permission is the permission that the API key must have.
	Permission access.Permission
	// MaxBody is the maximum size of a request body, in bytes.
	MaxBody int64
}

// Routes returns the table of routes. A function can have several.
func Routes() []Route {
	const (
		read, write = access.WebhooksRead, access.WebhooksWrite
		small       = maxSmallBody
	)
	return []Route{
		{"list-webhooks", http.MethodGet, "/webhooks", read, small},
		{"create-webhook", http.MethodPost, "/webhooks", write, small},
		{"list-webhook-types", http.MethodGet, "/webhooks/types", read, small},
		{"get-webhook", http.MethodGet, "/webhooks/{webhookId}", read, small},
		{"get-webhook", http.MethodGet, "/webhook", read, small},
		{"delete-webhook", http.MethodDelete, "/webhooks/{webhookId}", write, small},
		{"delete-webhook", http.MethodDelete, "/webhook", write, small},
		{"delete-webhook", http.MethodDelete, "/webhooks", write, small},
		{"publish-event", http.MethodPost, "/events", access.EventsWrite, maxBatchBody},
		{"get-event", http.MethodGet, "/events/{eventId}", access.EventsRead, small},
		{"list-deliveries", http.MethodGet, "/webhooks/{webhookId}/deliveries", read, small},
		{"get-delivery", http.MethodGet, "/webhooks/{webhookId}/deliveries/{deliveryId}", read, small},
		{"retry-delivery", http.MethodPost, "/webhooks/{webhookId}/deliveries/{deliveryId}/retry", write, small},
		{"get-webhook-status", http.MethodGet, "/webhooks/{webhookId}/status", read, small},
	}
}

// Endpoint is one of the service's endpoints with the parts it needs. See [ListWebhooks], [CreateWebhook],
// [ListWebhookTypes], [GetWebhook], [DeleteWebhook], [PublishEvent], [GetEvent], [ListDeliveries], [GetDelivery],
// [RetryDelivery] and [GetWebhookStatus].
type Endpoint struct {
	function string
	serve    serveFunc
}

type serveFunc func(ctx context.Context, r request) (response, error)

// mounted is a route with the function that serves it, or nil if this process does not serve it.
type mounted struct {
	Route
	serve serveFunc
}

// mount returns the routes in the order in which to try them: those with fewer variables first, so that
// /webhooks/types comes before /webhooks/{webhookId}. Those that another function serves are included.
func mount(endpoints []Endpoint) []mounted {
	var routes []mounted
	for _, r := range Routes() {
		m := mounted{Route: r}
		for _, e := range endpoints {
			if e.function == r.Function {
				m.serve = e.serve
			}
		}
		routes = append(routes, m)
	}
	slices.SortStableFunc(routes, func(a, b mounted) int { return strings.Count(a.Path, "{") - strings.Count(b.Path, "{") })
	return routes
}

// find returns the route for a method and an escaped path, with the values of its variables. If the
// path allows only other methods, it returns those. The first pattern that matches counts, whatever its
// methods: types is never the ID of a webhook. One slash at the end of the path is ignored. Unlike
// [http.ServeMux], find never redirects.
func find(routes []mounted, method, path string) (found *mounted, values map[string]string, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	path = strings.TrimSuffix(path, "/")
	pattern := ""
	for i := range routes {
		route := &routes[i]
		values, ok := match(route.Path, path)
		if !ok || pattern != "" && pattern != route.Path {
			continue
		}
		pattern = route.Path
		switch {
		case route.Method != method:
			allowed = append(allowed, route.Method)
		case route.serve != nil:
			return route, values, nil
		}
	}
	return nil, nil, allowed
}

// match reports whether a path matches a pattern, and returns the values of the pattern's variables.
// Each segment is unescaped separately, so an escaped slash is part of its segment.
func match(pattern, path string) (values map[string]string, ok bool) {
	if !strings.HasPrefix(path, "/") {
		return nil, false
	}
	for pattern != "" && path != "" {
		var want, escaped string
		want, pattern = nextSegment(pattern)
		escaped, path = nextSegment(path)
		got, err := url.PathUnescape(escaped)
		if err != nil || got == "" {
			return nil, false
		}
		name, isVariable := variable(want)
		switch {
		case isVariable && values == nil:
			values = map[string]string{name: got}
		case isVariable:
			values[name] = got
		case want != got:
			return nil, false
		}
	}
	return values, pattern == "" && path == ""
}

// nextSegment cuts the first segment off a path: for "/a/b" it returns "a" and "/b".
func nextSegment(path string) (segment, rest string) {
	path = strings.TrimPrefix(path, "/")
	if end := strings.IndexByte(path, '/'); end >= 0 {
		return path[:end], path[end:]
	}
	return path, ""
}

// variable returns the name in a segment of a pattern that is in braces.
func variable(segment string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(segment, "{"); !ok {
		return "", false
	}
	return strings.CutSuffix(name, "}")
}
