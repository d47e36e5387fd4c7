package api_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"webhooks/shared/api"
)

func TestRouting(t *testing.T) {
	const noPath = `{"error":"Path not found."}`
	rows := []row{
		{name: "an escaped letter is that letter", call: call{target: "/%77ebhooks"}, status: 200},
		{name: "types escaped is types", call: call{target: "/webhooks/%74ypes"}, status: 200, check: answersTypes},
		{name: "types wins over an id", call: call{target: "/webhooks/types"}, status: 200, check: answersTypes},
		{name: "types in another case is an id", call: call{target: "/webhooks/Types"}, status: 404, body: `{"error":"Webhook not found."}`},
	}
	for _, path := range []string{
		"", "/", "//", "/webhooks/", "//webhooks", "/webhooks//", "/webhooks//types", "/webhooks/types/", "/webhooks/types/x",
		"/webhooks/" + wellFormedID + "/", "/webhooks/" + wellFormedID + "/x", "/webhook/", "/webhook/x", "/Webhooks", "/WEBHOOKS", "/webhooks;x", "/webhooks.json",
		"/./webhooks", "/x/../webhooks", "/webhooks/.//", "/webhooks%2F", "/webhooks%2Ftypes", "/%2Fwebhooks", "/webhooks%20", "/webhooks%00",
		"/v1/webhooks", "/healthz", "/" + strings.Repeat("a/", 5000), "/" + strings.Repeat("%2e", 5000),
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "BREW"} {
			body := noPath
			if method == "HEAD" {
				body = ""
			}
			rows = append(rows, row{name: fmt.Sprintf("no such path: %s %.40s", method, path),
				call: call{method: method, target: path, key: "none"}, status: 404, body: body})
		}
	}
	for _, test := range []struct{ path, allow string }{
		{"/webhooks", "GET, HEAD, POST, DELETE"},
		{"/webhook", "GET, HEAD, DELETE"},
		{"/webhooks/" + wellFormedID, "GET, HEAD, DELETE"},
		{"/webhooks/types", "GET, HEAD, DELETE"}, // DELETE with the id "types"
	} {
		for _, method := range []string{"POST", "PUT", "PATCH", "OPTIONS", "TRACE", "get", "BREW"} {
			if test.path == "/webhooks" && method == "POST" {
				continue
			}
			rows = append(rows, row{name: "no such method: " + method + " " + test.path,
				call: call{method: method, target: test.path, key: "none"}, status: 405,
				body: refused("Method not allowed. This path allows: " + test.allow + "."),
				check: func(t *testing.T, _ *world, r reply) {
					if got := r.header.Values("Allow"); !slices.Equal(got, []string{test.allow}) {
						t.Errorf("got Allow %q, want %q", got, test.allow)
					}
				}})
		}
	}
	run(t, rows)
}

func answersTypes(t *testing.T, _ *world, r reply) {
	if !strings.Contains(r.body, paid) {
		t.Errorf("got %s, want the types", r.body)
	}
}

// A Lambda function serves one endpoint: its routes, and nothing else.
func TestHandlerOfOneEndpoint(t *testing.T) {
	w := newWorld(t)
	w.server.Config.Handler = w.service.Handler(api.DeleteWebhook(w.store))
	w.do(call{method: "DELETE", target: "/webhooks/x"}).want(t, 404, "")
	w.do(call{method: "DELETE", target: "/webhook?webhookId=x"}).want(t, 404, "")
	w.do(call{method: "DELETE", target: "/webhooks?webhookId=x"}).want(t, 404, "")
	if r := w.do(call{target: "/webhooks/x"}); r.status != http.StatusMethodNotAllowed || r.header.Get("Allow") != "DELETE" {
		t.Errorf("got %d, Allow %q", r.status, r.header.Get("Allow"))
	}
	w.do(call{target: "/webhook/types"}).want(t, 404, refused("Path not found."))
}

// The description has the operations of the table of routes, each with its permission, and no other.
func TestDescriptionHasTheRoutes(t *testing.T) {
	var described, routes []string
	for path, item := range description(t).Paths.Map() {
		for method, operation := range item.Operations() {
			described = append(described, fmt.Sprint(method, " ", path, " ", *operation.Security))
		}
	}
	for _, route := range api.Routes() {
		routes = append(routes, fmt.Sprint(route.Method, " ", route.Path, " [map[apiKey:[", route.Permission, "]]]"))
	}
	slices.Sort(described)
	slices.Sort(routes)
	if !slices.Equal(described, routes) {
		t.Errorf("described:\n%s\nroutes:\n%s", strings.Join(described, "\n"), strings.Join(routes, "\n"))
	}
}
