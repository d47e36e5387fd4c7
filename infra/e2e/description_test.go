package e2e

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// descriptionFile is the OpenAPI description in the source tree.
const descriptionFile = "../../shared/api/openapi/openapi.yaml"

// description is an OpenAPI description and where it came from.
type description struct {
	source string
	doc    *openapi3.T
}

func loadDescription(ctx context.Context, source string, load func(*openapi3.Loader) (*openapi3.T, error)) (description, error) {
	doc, err := load(openapi3.NewLoader())
	if err != nil {
		return description{}, fmt.Errorf("reading the description %s: %w", source, err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		return description{}, fmt.Errorf("the description %s is of OpenAPI %q, want 3.1", source, doc.OpenAPI)
	}
	if err := doc.Validate(ctx); err != nil {
		return description{}, fmt.Errorf("the description %s is not valid: %w", source, err)
	}
	return description{source: source, doc: doc}, nil
}

// descriptionOfTree reads the description in the source tree.
func descriptionOfTree(ctx context.Context) (description, error) {
	return loadDescription(ctx, "openapi.yaml", func(l *openapi3.Loader) (*openapi3.T, error) {
		return l.LoadFromFile(descriptionFile)
	})
}

// template gives the route's path in the words of the contract, and the parameter in it.
func template(path string) (route string, parameters map[string]string) {
	path, _, _ = strings.Cut(path, "?")
	id, found := strings.CutPrefix(path, "/webhooks/")
	if !found || id == "types" || strings.Contains(id, "/") {
		return path, nil
	}
	if text, err := url.PathUnescape(id); err == nil {
		id = text
	}
	return "/webhooks/{webhookId}", map[string]string{"webhookId": id}
}

// check holds an answer, and its request where that is not wrong on purpose, to the description.
// What the description does not have is an error, a status too. HEAD is not described.
func (d description) check(ctx context.Context, s *suite, r response) error {
	if r.request.method == http.MethodHead {
		return nil
	}
	path, parameters := template(r.request.path)
	item := d.doc.Paths.Value(path)
	if item == nil || item.GetOperation(r.request.method) == nil {
		if r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed {
			return nil // no route of ours, and answered so
		}
		return fmt.Errorf("it has no %s %s", r.request.method, path)
	}
	req, err := s.newRequest(ctx, r.request)
	if err != nil {
		return err
	}
	options := &openapi3filter.Options{
		AuthenticationFunc:    openapi3filter.NoopAuthenticationFunc,
		IncludeResponseStatus: true,
		SkipSettingDefaults:   true,
	}
	input := &openapi3filter.RequestValidationInput{
		Request:    req,
		PathParams: parameters,
		Options:    options,
		Route: &routers.Route{
			Spec: d.doc, Path: path, PathItem: item,
			Method: r.request.method, Operation: item.GetOperation(r.request.method),
		},
	}
	if !r.request.wrong {
		if err := openapi3filter.ValidateRequest(ctx, input); err != nil {
			return fmt.Errorf("the request: %w", err)
		}
	}
	output := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: r.status, Header: r.header, Options: options,
	}
	return openapi3filter.ValidateResponse(ctx, output.SetBodyBytes(r.body))
}

// routes are the rows of the contract's table of endpoints, with their permission.
func routes() map[string]string {
	return map[string]string{
		"GET /webhooks":                "webhooks:read",
		"POST /webhooks":               "webhooks:write",
		"DELETE /webhooks":             "webhooks:write",
		"GET /webhooks/types":          "webhooks:read",
		"GET /webhooks/{webhookId}":    "webhooks:read",
		"DELETE /webhooks/{webhookId}": "webhooks:write",
		"GET /webhook":                 "webhooks:read",
		"DELETE /webhook":              "webhooks:write",
	}
}

func (d description) operations() []string {
	var all []string
	for path, item := range d.doc.Paths.Map() {
		for method := range item.Operations() {
			all = append(all, method+" "+path)
		}
	}
	return all
}

// TestDescription checks that the description in the tree has every route of the contract.
func TestDescription(t *testing.T) {
	d, err := descriptionOfTree(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	described := d.operations()
	for _, route := range slices.Sorted(maps.Keys(routes())) {
		if !slices.Contains(described, route) {
			t.Errorf("the description lacks %s", route)
		}
	}
}
