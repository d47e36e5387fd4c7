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

// Proxy forwards calls to a DynamoDB, except those that it injects faults into.
type Proxy struct {
	// URL is the endpoint for clients.
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
	// Operation is its name in the API, for example GetItem.
	Operation string
	// Token is the ClientRequestToken, if there is one.
	Token string
}

// NewProxy starts a proxy on loopback in front of an endpoint. It stops at the end of the test.
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

// Next injects faults into the next calls of an operation, one each. [Pass] leaves a call alone.
func (p *Proxy) Next(operation string, faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next[operation] = append(p.next[operation], faults...)
}

// Every injects the fault that choose returns into every call not covered by [Proxy.Next]. Nil removes it.
func (p *Proxy) Every(choose func(Call) Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.every = choose
}

// Calls returns the requests since the last call of Calls in the order of their arrival, with or without faults.
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
		return // the client has disconnected
	}
	var fields struct{ ClientRequestToken string }
	_ = json.Unmarshal(body, &fields) // the target rejects anything but JSON
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

// exchange is one request and what is needed to respond to it.
type exchange struct {
	proxy *Proxy
	w     http.ResponseWriter
	r     *http.Request
	body  []byte
}

// forward sends the request to the target, whether or not the client is still waiting, and returns the response's header,
// status and body.
func (x *exchange) forward() (http.Header, int, []byte) {
	ctx := context.WithoutCancel(x.r.Context())
	request, err := http.NewRequestWithContext(ctx, x.r.Method, x.proxy.target+x.r.URL.Path, bytes.NewReader(x.body))
	if err != nil {
		return http.Header{}, http.StatusBadGateway, []byte(err.Error())
	}
	request.Header = x.r.Header.Clone()
	response, err := x.proxy.client.Do(request)
	if err != nil {
		return http.Header{}, http.StatusBadGateway, []byte(err.Error())
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return http.Header{}, http.StatusBadGateway, []byte(err.Error())
	}
	return response.Header, response.StatusCode, body
}

// send responds to the request.
func (x *exchange) send(header http.Header, status int, body []byte) {
	for name, values := range header {
		if name != "Content-Length" {
			x.w.Header()[name] = values
		}
	}
	x.w.WriteHeader(status)
	_, _ = x.w.Write(body) // the client may have disconnected
}
