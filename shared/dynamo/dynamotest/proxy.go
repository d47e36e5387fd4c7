package dynamotest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// Proxy passes calls on to a DynamoDB, but for those that it was told to disturb.
type Proxy struct {
	// URL is the endpoint to give to clients.
	URL string

	target string
	client *http.Client
	closed chan struct{}

	mu    sync.Mutex
	calls []Call
	next  map[string][]Fault
	every func(Call) Fault
}

// Call is one request that a client made.
type Call struct {
	// Operation is the API's name of it, such as GetItem.
	Operation string
	// Token is the ClientRequestToken, if there is one.
	Token string
}

// NewProxy starts a proxy on loopback in front of an endpoint. It stops with the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	p := &Proxy{
		target: target,
		client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}},
		closed: make(chan struct{}),
		next:   make(map[string][]Fault),
	}
	server := httptest.NewServer(p)
	p.URL = server.URL
	t.Cleanup(func() {
		close(p.closed)
		server.Close()
		p.client.CloseIdleConnections()
	})
	return p
}

// Next disturbs the next calls of an operation, one fault for each; [Pass] leaves one alone.
func (p *Proxy) Next(operation string, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next[operation] = append(p.next[operation], faults...)
}

// Every asks for a fault at every call that [Proxy.Next] says nothing about. Nil ends it.
func (p *Proxy) Every(choose func(Call) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every = choose
}

// Calls gives the requests since the last Calls, disturbed or not, in the order of their arrival.
func (p *Proxy) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := p.calls
	p.calls = nil
	return calls
}

// ServeHTTP handles one request.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	var fields struct{ ClientRequestToken string }
	_ = json.Unmarshal(body, &fields) // a request that is no JSON is for the target to refuse
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	fault := p.record(Call{Operation: operation, Token: fields.ClientRequestToken})
	fault(&exchange{proxy: p, w: w, r: r, body: body})
}

func (p *Proxy) record(call Call) Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls = append(p.calls, call)
	if waiting := p.next[call.Operation]; len(waiting) > 0 {
		p.next[call.Operation] = waiting[1:]
		return waiting[0]
	}
	if p.every != nil {
		return p.every(call)
	}
	return Pass()
}

// exchange is one request and the way to answer it.
type exchange struct {
	proxy *Proxy
	w     http.ResponseWriter
	r     *http.Request
	body  []byte
}

// forward makes the request to the target, whether or not the client still waits, and gives the
// answer's headers, status and body.
func (x *exchange) forward() (http.Header, int, []byte) {
	ctx := context.WithoutCancel(x.r.Context())
	request, err := http.NewRequestWithContext(ctx, x.r.Method, x.proxy.target+x.r.URL.Path, bytes.NewReader(x.body))
	if err != nil {
		return http.Header{}, http.StatusBadGateway, []byte(err.Error())
	}
	request.Header = x.r.Header.Clone()
	answer, err := x.proxy.client.Do(request)
	if err != nil {
		return http.Header{}, http.StatusBadGateway, []byte(err.Error())
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return http.Header{}, http.StatusBadGateway, []byte(err.Error())
	}
	return answer.Header, answer.StatusCode, body
}

// send answers the request.
func (x *exchange) send(header http.Header, status int, body []byte) {
	for name, values := range header {
		if name != "Content-Length" {
			x.w.Header()[name] = values
		}
	}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // the client may be gone
}
