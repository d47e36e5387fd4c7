package api_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"webhooks/shared/api"
	"webhooks/shared/api/openapi"
)

// The description has the operations of the table of routes, each with its permission, and no other. The contract tests check
// that it is valid, and validate every response against it.
func TestDescriptionHasTheRoutes(t *testing.T) {
	description, err := openapi.JSON()
	if err != nil {
		t.Fatal(err)
	}
	document, err := openapi3.NewLoader().LoadFromData(description)
	if err != nil {
		t.Fatal(err)
	}
	var described, routes []string
	for path, item := range document.Paths.Map() {
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
