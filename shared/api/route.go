package api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"webhooks/shared/access"
)

// webhookIDName names a webhook's id in paths, in queries and in messages.
const webhookIDName = "webhookId"

// Route is one method on one path.
type Route struct {
	// Function is the endpoint's name, and that of its folder under functions/.
	Function string
	// Method is the HTTP method; where it is GET, HEAD works as well.
	Method string
	// Path is the pattern of the path; a segment in braces stands for any that is not empty.
	Path string
	// Permission is what an API key must have.
	Permission access.Permission
}

// Routes gives the table of all routes. Several may lead to one function.
func Routes() []Route {
	const read, write = access.WebhooksRead, access.WebhooksWrite
	return []Route{
		{"list-webhooks", http.MethodGet, "/webhooks", read},
		{"create-webhook", http.MethodPost, "/webhooks", write},
		{"list-webhook-types", http.MethodGet, "/webhooks/types", read},
		{"get-webhook", http.MethodGet, "/webhooks/{webhookId}", read},
		{"get-webhook", http.MethodGet, "/webhook", read},
		{"delete-webhook", http.MethodDelete, "/webhooks/{webhookId}", write},
		{"delete-webhook", http.MethodDelete, "/webhook", write},
		{"delete-webhook", http.MethodDelete, "/webhooks", write},
	}
}

// Endpoint is one of the service's endpoints with the parts it works with. See [ListWebhooks],
// [CreateWebhook], [ListWebhookTypes], [GetWebhook] and [DeleteWebhook].
type Endpoint struct {
	function string
	serve    serveFunc
}

type serveFunc func(ctx context.Context, r request) (response, error)

// mounted is a route that is served.
type mounted struct {
	Route
	serve serveFunc
}

// mount gives the routes of some endpoints in the order in which they are tried.
func mount(endpoints []Endpoint) []mounted {
	var routes []mounted
	for _, e := range endpoints {
		for _, r := range Routes() {
			if r.Function == e.function {
				routes = append(routes, mounted{Route: r, serve: e.serve})
			}
		}
	}
	slices.SortStableFunc(routes, func(a, b mounted) int { return a.variables() - b.variables() })
	return routes
}

// variables counts a route's variables. A route with fewer is tried first: /webhooks/types before
// /webhooks/{webhookId}.
func (m mounted) variables() int { return strings.Count(m.Path, "{") }

// find gives the route of a method and an escaped path with the values of its variables. A path
// that has only other methods gives those. It does what API Gateway does, so that both hosts
// agree, and unlike http.ServeMux it redirects nobody: a path is taken as it is written.
func find(routes []mounted, method, path string) (found *mounted, values map[string]string, allowed []string) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	for i := range routes {
		route := &routes[i]
		values, ok := match(route.Path, path)
		switch {
		case ok && route.Method == method:
			return route, values, nil
		case ok && !slices.Contains(allowed, route.Method):
			allowed = append(allowed, route.Method)
		}
	}
	return nil, nil, allowed
}

// match compares a path with a pattern, segment by segment, each unescaped on its own, so that an
// escaped slash is a part of its segment. It gives the values of the pattern's variables.
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

// nextSegment cuts the first segment off a path: of "/a/b" it gives "a" and "/b".
func nextSegment(path string) (segment, rest string) {
	path = strings.TrimPrefix(path, "/")
	if end := strings.IndexByte(path, '/'); end >= 0 {
		return path[:end], path[end:]
	}
	return path, ""
}

// variable gives the name in a pattern's segment in braces.
func variable(segment string) (name string, ok bool) {
	if name, ok = strings.CutPrefix(segment, "{"); !ok {
		return "", false
	}
	return strings.CutSuffix(name, "}")
}
