package dynamotest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Proxy forwards calls to DynamoDB, or to another service with the same protocol, except those that it injects faults into.
type Proxy struct {
	// URL is the endpoint for clients.
	URL string

	target *httputil.ReverseProxy
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
	// Body is its parameters in JSON.
	Body string
}

// NewProxy starts a proxy on loopback in front of an endpoint. It stops at the end of the test.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	endpoint, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 100}
	p := &Proxy{
		target: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(endpoint) }, Transport: transport},
		closed: make(chan struct{}),
		next:   make(map[string][]Fault),
	}
	server := httptest.NewServer(p)
	p.URL = server.URL
	t.Cleanup(func() {
		close(p.closed)
		server.Close()
		transport.CloseIdleConnections()
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
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	fault := p.record(Call{operation, string(body)})
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

// forward sends the request to the target, whether or not the client is still waiting, and returns the response.
func (x *exchange) forward() *httptest.ResponseRecorder {
	request := x.r.Clone(context.WithoutCancel(x.r.Context()))
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(x.body)), int64(len(x.body))
	response := httptest.NewRecorder()
	x.proxy.target.ServeHTTP(response, request)
	return response
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
