package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// runtimePath is the path prefix of the Runtime API in its only version.
const runtimePath = "/2018-06-01/runtime/"

type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	done     chan result // buffered: the result never blocks
}

type result struct {
	payload []byte
	err     error
}

// FunctionError is a failure that a function reported, because its handler returned an error or panicked.
type FunctionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// Error returns what the function reported.
func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// RuntimeAPI is Lambda's side of one execution environment: the server that a bootstrap asks for its next invocation
// and sends its results to. It listens on loopback.
type RuntimeAPI struct {
	name   string // of the function
	work   chan *invocation
	server *http.Server
	addr   string
	ready  chan struct{} // closed at the first request for an invocation
	once   sync.Once

	mu      sync.Mutex
	running *invocation
}

// NewRuntimeAPI starts a Runtime API for a function.
func NewRuntimeAPI(name string) (*RuntimeAPI, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	a := &RuntimeAPI{
		name:  name,
		work:  make(chan *invocation),
		addr:  listener.Addr().String(),
		ready: make(chan struct{}),
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+runtimePath+"invocation/next", a.next)
	mux.HandleFunc("POST "+runtimePath+"invocation/{id}/response", a.response)
	mux.HandleFunc("POST "+runtimePath+"invocation/{id}/error", a.failure)
	mux.HandleFunc("POST "+runtimePath+"init/error", accept) // the bootstrap exits after this
	a.server = &http.Server{Handler: mux}
	go func() { _ = a.server.Serve(listener) }()
	return a, nil
}

// Addr returns host and port, for AWS_LAMBDA_RUNTIME_API.
func (a *RuntimeAPI) Addr() string { return a.addr }

// Ready returns a channel that is closed when the bootstrap asks for its first invocation: it has started.
func (a *RuntimeAPI) Ready() <-chan struct{} { return a.ready }

// Close stops the server and ends every pending request.
func (a *RuntimeAPI) Close() error { return a.server.Close() }

// Invoke waits until the bootstrap takes the payload, and then for its result, or until ctx ends. ctx must have a
// deadline, which is passed on to the function. If the function reports a failure, the error is a [*FunctionError].
func (a *RuntimeAPI) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	deadline, _ := ctx.Deadline()
	run := &invocation{id: newID(), payload: payload, deadline: deadline, done: make(chan result, 1)}
	select {
	case a.work <- run:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case r := <-run.done:
		return r.payload, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// next responds with an invocation as soon as there is one.
func (a *RuntimeAPI) next(w http.ResponseWriter, r *http.Request) {
	a.once.Do(func() { close(a.ready) })
	var run *invocation
	select {
	case run = <-a.work:
	case <-r.Context().Done():
		return
	}
	a.mu.Lock()
	a.running = run
	a.mu.Unlock()
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Lambda-Runtime-Aws-Request-Id", run.id)
	header.Set("Lambda-Runtime-Deadline-Ms", fmt.Sprint(run.deadline.UnixMilli()))
	header.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:"+region+":123456789012:function:"+a.name)
	header.Set("Lambda-Runtime-Trace-Id", traceID)
	_, _ = w.Write(run.payload)
}

func (a *RuntimeAPI) response(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(r.Body)
	a.finish(w, r, result{payload, err})
}

func (a *RuntimeAPI) failure(w http.ResponseWriter, r *http.Request) {
	reported := new(FunctionError)
	if err := json.NewDecoder(r.Body).Decode(reported); err != nil {
		reported.Message = err.Error()
	}
	a.finish(w, r, result{err: reported})
}

// finish hands over the result of the running invocation. The result of any other is rejected.
func (a *RuntimeAPI) finish(w http.ResponseWriter, r *http.Request, got result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running == nil || a.running.id != r.PathValue("id") {
		http.Error(w, `{"errorType":"InvalidRequestID"}`, http.StatusBadRequest)
		return
	}
	a.running.done <- got
	a.running = nil
	accept(w, r)
}

func accept(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

// newID returns a random ID in the form that Lambda uses.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
