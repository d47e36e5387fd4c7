package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
)

// description is an OpenAPI description.
type description struct {
	source string
	doc    *openapi3.T
}

// loadDescriptions loads the description in the source tree, and the one that the service publishes.
func (s *suite) loadDescriptions(t *testing.T) {
	t.Helper()
	load := func(source string, doc *openapi3.T, err error) {
		if err == nil {
			err = doc.Validate(t.Context(), openapi3.EnableSchemaFormatValidation()) // and every example against its schema
		}
		if err != nil || !doc.IsOpenAPI31OrLater() {
			t.Fatalf("%s is not a valid description in OpenAPI 3.1: %v", source, err)
		}
		s.descriptions = append(s.descriptions, description{source, doc})
	}
	doc, err := openapi3.NewLoader().LoadFromFile("../../shared/api/openapi/openapi.yaml")
	load("openapi.yaml", doc, err)
	if s.host != serve {
		return
	}
	root, err := s.send(t.Context(), request{method: http.MethodGet, path: "/"})
	var body struct{ OpenAPI string }
	if err := errors.Join(err, json.Unmarshal(root.body, &body)); err != nil || root.status != http.StatusOK {
		t.Fatalf("%s, error %v\nwant where the OpenAPI description is", root, err)
	}
	r, err := s.send(t.Context(), request{method: http.MethodGet, path: body.OpenAPI})
	if err != nil || r.status != http.StatusOK {
		t.Fatalf("%s, error %v\nwant the OpenAPI description", r, err)
	}
	doc, err = openapi3.NewLoader().LoadFromData(r.body)
	load(body.OpenAPI, doc, err)
}

// validate validates a response, and its request if it succeeded.
func (d description) validate(ctx context.Context, s *suite, r response) error {
	path, parameters := d.match(r.request.path)
	item := d.doc.Paths.Value(path)
	if item == nil || item.GetOperation(r.request.method) == nil {
		if r.status == http.StatusNotFound || r.status == http.StatusMethodNotAllowed {
			return nil
		}
		return fmt.Errorf("it does not describe %s %s", r.request.method, path)
	}
	// The description allows only this type of body. The service accepts any.
	req, err := s.newRequest(ctx, r.request.with("Content-Type", "application/json"))
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
	if r.status < 400 {
		if err := openapi3filter.ValidateRequest(ctx, input); err != nil {
			return fmt.Errorf("the request: %w", err)
		}
	}
	output := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: r.status, Header: r.header, Options: options,
	}
	return openapi3filter.ValidateResponse(ctx, output.SetBodyBytes(r.body))
}

// match returns the path of a description that matches a request's path, and its parameters. One without parameters comes
// first.
func (d description) match(path string) (string, map[string]string) {
	path, _, _ = strings.Cut(path, "?")
	path = strings.TrimSuffix(path, "/")
	found, parameters := path, map[string]string(nil)
	for pattern := range d.doc.Paths.Map() {
		switch values, ok := matches(pattern, path); {
		case ok && len(values) == 0:
			return pattern, nil
		case ok:
			found, parameters = pattern, values
		}
	}
	return found, parameters
}

// matches reports whether a path matches the path of a description, and returns its parameters.
func matches(pattern, path string) (map[string]string, bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	values := map[string]string{}
	for i, segment := range got {
		text, err := url.PathUnescape(segment)
		name, isParameter := strings.CutPrefix(want[i], "{")
		switch {
		case err != nil, !isParameter && text != want[i], isParameter && text == "":
			return nil, false
		case isParameter:
			values[strings.TrimSuffix(name, "}")] = text
		}
	}
	return values, true
}
