package e2e

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// answerTimeout is longer than any answer may take, the TLS check and a cold start included.
const answerTimeout = 30 * time.Second

// suite is one run of the contract against one target.
type suite struct {
	target
	http         *http.Client
	descriptions []description
	// event is a type that the company can subscribe to.
	event string

	mu         sync.Mutex
	requestIDs map[string]bool
	tokens     map[string]string // of every webhook made, by its id
}

func newSuite(t target) *suite {
	return &suite{
		target:     t,
		requestIDs: make(map[string]bool),
		tokens:     make(map[string]string),
		http: &http.Client{
			Timeout:       answerTimeout,
			Transport:     http.DefaultTransport.(*http.Transport).Clone(),
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// request is one call.
type request struct {
	method string // GET unless set
	path   string // escaped, with the query
	key    string // the API key; without one there is no Authorization header
	header http.Header
	body   string
	// streamed bodies are sent without their length.
	streamed bool
	// wrong requests break the description on purpose, so they are not held to it.
	wrong bool
}

// response is what came back, with the request that it answers.
type response struct {
	request request
	status  int
	header  http.Header
	body    []byte
}

func (r request) String() string {
	path := r.path
	if len(path) > 100 {
		path = path[:100] + "…"
	}
	return strings.ToUpper(r.method) + " " + path
}

func (r response) String() string {
	body := r.body
	if len(body) > 600 {
		body = append(bytes.Clone(body[:600]), "…"...)
	}
	return fmt.Sprintf("%s answered %d %s", r.request, r.status, body)
}

func (s *suite) newRequest(ctx context.Context, r request) (*http.Request, error) {
	var body io.Reader
	if r.body != "" {
		body = strings.NewReader(r.body)
	}
	if r.streamed {
		body = io.MultiReader(body) // hides the length
	}
	req, err := http.NewRequestWithContext(ctx, r.method, s.url+r.path, body)
	if err != nil {
		return nil, err
	}
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

// send sends a request as it is and checks nothing.
func (s *suite) send(ctx context.Context, r request) (response, error) {
	req, err := s.newRequest(ctx, r)
	if err != nil {
		return response{}, err
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return response{request: r, status: resp.StatusCode, header: resp.Header, body: body}, err
}

// do sends a request and checks what every answer of the service must keep.
func (s *suite) do(t *testing.T, r request) response {
	t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	resp, err := s.send(t.Context(), r)
	if err != nil {
		t.Fatalf("%s got no answer: %v", r, err)
	}
	s.check(t, resp)
	return resp
}

// race sends n requests at the same time and gives the answers, in the order of the requests.
func (s *suite) race(t *testing.T, n int, r func(i int) request) []response {
	t.Helper()
	answers, errs := make([]response, n), make([]error, n)
	start := make(chan struct{})
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			<-start
			answers[i], errs[i] = s.send(t.Context(), r(i))
		})
	}
	close(start)
	all.Wait()
	for i, answer := range answers {
		if errs[i] != nil {
			t.Fatalf("racing request %d got no answer: %v", i, errs[i])
		}
		s.check(t, answer)
	}
	return answers
}

// wantBody checks status and body, the body byte for byte.
func (r response) wantBody(t *testing.T, status int, body string) {
	t.Helper()
	if r.status != status || r.text() != body {
		t.Errorf("%s\nwant %d %s", r, status, body)
	}
}

// wantError checks status and message of an error, the message letter for letter.
func (r response) wantError(t *testing.T, status int, message string) {
	t.Helper()
	r.wantBody(t, status, `{"error":`+quote(message)+`}`)
}

// wantErrorNaming checks status and message of an error whose wording the contract leaves open: it
// names all of the words.
func (r response) wantErrorNaming(t *testing.T, status int, words ...string) {
	t.Helper()
	// A number may be written with or without commas.
	message := strings.ReplaceAll(r.message(), ",", "")
	for _, word := range words {
		if r.status != status || !strings.Contains(message, word) {
			t.Errorf("%s\nwant %d and a message that has %q", r, status, word)
			return
		}
	}
	if r.status != status {
		t.Errorf("%s\nwant %d", r, status)
	}
}

// wantSame checks that two answers cannot be told apart by status and body.
func (r response) wantSame(t *testing.T, other response) {
	t.Helper()
	if r.status != other.status || !bytes.Equal(r.body, other.body) {
		t.Errorf("these must be the same:\n%s\n%s", r, other)
	}
}

// text gives the body without the line end that may close it.
func (r response) text() string { return strings.TrimSuffix(string(r.body), "\n") }
