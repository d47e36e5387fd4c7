package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// request is an HTTP request. It is built by the methods get, delete, post, as, with and on.
type request struct {
	method  string
	path    string // escaped, with the query
	key     string // the API key; if empty, there is no Authorization header
	header  http.Header
	body    string
	chunked bool   // the body's length is not declared
	hosts   []host // that pass the request on unchanged; all of them if empty
}

func (s *suite) request(method, path string) request {
	return request{method: method, path: path, key: s.keys.both}
}

func (s *suite) get(path string) request    { return s.request(http.MethodGet, path) }
func (s *suite) delete(path string) request { return s.request(http.MethodDelete, path) }

// post returns a request that creates a webhook.
func (s *suite) post(body string) request {
	r := s.request(http.MethodPost, "/webhooks")
	r.body = body
	return r
}

func (r request) as(key string) request {
	r.key = key
	return r
}

// with returns the request with a header. Without values it removes the header.
func (r request) with(name string, values ...string) request {
	r.header = maps.Clone(r.header)
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header[http.CanonicalHeaderKey(name)] = values
	return r
}

func (r request) on(hosts ...host) request {
	r.hosts = hosts
	return r
}

// response is a response, with its request.
type response struct {
	request request
	status  int
	header  http.Header
	body    []byte
}

func (r request) String() string { return fmt.Sprintf("%s %.100s", r.method, r.path) }

func (r response) String() string {
	return fmt.Sprintf("%s returned %d %.600s", r.request, r.status, r.body)
}

func (s *suite) newRequest(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	if r.chunked {
		body = io.MultiReader(body) // hides the length
	}
	req, err := http.NewRequestWithContext(ctx, r.method, s.url+r.path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-Request-Id", "req_01ARZ3NDEKTSV4RRFFQ69G5FAV") // checkHeader would find it twice if it were used
	if r.key != "" {
		req.Header.Set("Authorization", "Bearer "+r.key)
	}
	if r.body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for name, values := range r.header {
		req.Header.Del(name)
		if len(values) > 0 {
			req.Header[name] = values
		}
	}
	return req, nil
}

// send sends a request and checks nothing.
func (s *suite) send(ctx context.Context, r request) (response, error) {
	req, err := s.newRequest(ctx, r)
	if err != nil {
		return response{}, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return response{request: r, status: resp.StatusCode, header: resp.Header, body: bytes.TrimSuffix(body, []byte("\n"))}, err
}

// do sends a request and checks what is true of every response.
func (s *suite) do(t *testing.T, r request) response {
	t.Helper()
	s.needHost(t, r.hosts...)
	resp, err := s.send(t.Context(), r)
	if err != nil {
		t.Fatalf("%s: %v", r, err)
	}
	s.check(t, resp)
	return resp
}

// race sends n requests at the same time and returns the responses in the order of the requests.
func (s *suite) race(t *testing.T, n int, r func(i int) request) []response {
	t.Helper()
	responses, errs := make([]response, n), make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			responses[i], errs[i] = s.send(t.Context(), r(i))
		})
	}
	close(start)
	all.Wait()
	for i, resp := range responses {
		if errs[i] != nil {
			t.Fatalf("racing request %d: %v", i, errs[i])
		}
		s.check(t, resp)
	}
	return responses
}

// row is a row of a table: a request, and the status and message of the error that it must return.
type row struct {
	name    string
	request request
	status  int
	message string // "…" stands for any text
}

// rejects runs every row as a subtest.
func (s *suite) rejects(t *testing.T, rows ...row) {
	t.Helper()
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) { s.do(t, row.request).wantError(t, row.status, row.message) })
	}
}

// want checks the status and the exact body.
func (r response) want(t *testing.T, status int, body string) {
	t.Helper()
	if r.status != status || string(r.body) != body {
		t.Errorf("%s\nwant %d %s", r, status, body)
	}
}

// wantError checks the status and message of an error. In the message, "…" stands for any text.
func (r response) wantError(t *testing.T, status int, message string) {
	t.Helper()
	pattern := strings.ReplaceAll(regexp.QuoteMeta(message), "…", ".+")
	if r.status != status || !regexp.MustCompile("^"+pattern+"$").MatchString(r.message()) {
		t.Errorf("%s\nwant %d %s", r, status, message)
	}
}

// wantSame checks that two responses have the same status and body.
func (r response) wantSame(t *testing.T, other response) {
	t.Helper()
	if r.status != other.status || !bytes.Equal(r.body, other.body) {
		t.Errorf("want the same response:\n%s\n%s", r, other)
	}
}

// message returns the message of an error, whose body has no other field, or "".
func (r response) message() string {
	var body map[string]any
	if json.Unmarshal(r.body, &body) != nil || len(body) != 1 {
		return ""
	}
	message, _ := body["error"].(string)
	return message
}
