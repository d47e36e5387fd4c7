package gateway

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// runtimePath is where the Runtime API is, in the version of it that there is.
const runtimePath = "/2018-06-01/runtime/"

// invocation is one run of a function.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	done     chan result // has room for the one result
}

type result struct {
	payload []byte
	err     error
}

// FunctionError is a failure that a function reported of itself, as one does whose handler returned
// an error or panicked.
type FunctionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

// Error gives what the function said.
func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// RuntimeAPI is Lambda's side of one execution environment: the server that a bootstrap asks for
// its next invocation and gives its results to. It listens on loopback.
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
	mux.HandleFunc("POST "+runtimePath+"init/error", a.initFailure)
	a.server = &http.Server{Handler: mux}
	go func() { _ = a.server.Serve(listener) }()
	return a, nil
}

// Addr is host and port, for AWS_LAMBDA_RUNTIME_API.
func (a *RuntimeAPI) Addr() string { return a.addr }

// Ready is closed when the bootstrap asks for its first invocation: it has started.
func (a *RuntimeAPI) Ready() <-chan struct{} { return a.ready }

// Close ends the server and every request that waits there.
func (a *RuntimeAPI) Close() error { return a.server.Close() }

// Invoke waits until the bootstrap takes the payload, and then for its result. It ends with ctx,
// whose deadline the function is told. The error is a [*FunctionError] where the function reports
// one.
func (a *RuntimeAPI) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return nil, errors.New("an invocation needs a deadline")
	}
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

// next answers with an invocation as soon as there is one.
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
	header.Set("Lambda-Runtime-Invoked-Function-Arn", "arn:aws:lambda:eu-west-1:123456789012:function:"+a.name)
	header.Set("Lambda-Runtime-Trace-Id", traceID)
	_, _ = w.Write(run.payload)
}

func (a *RuntimeAPI) response(w http.ResponseWriter, r *http.Request) {
	payload, err := io.ReadAll(r.Body)
	a.finish(w, r.PathValue("id"), result{payload, err})
}

func (a *RuntimeAPI) failure(w http.ResponseWriter, r *http.Request) {
	reported := new(FunctionError)
	if err := json.NewDecoder(r.Body).Decode(reported); err != nil {
		reported.Message = err.Error()
	}
	a.finish(w, r.PathValue("id"), result{err: reported})
}

// finish gives the running invocation its result; for any other, the bootstrap is told that there
// is none.
func (a *RuntimeAPI) finish(w http.ResponseWriter, id string, r result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.running == nil || a.running.id != id {
		http.Error(w, `{"errorType":"InvalidRequestID"}`, http.StatusBadRequest)
		return
	}
	a.running.done <- r
	a.running = nil
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

// initFailure takes note that the bootstrap could not start; it ends by itself after that.
func (a *RuntimeAPI) initFailure(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusAccepted)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

// newID makes an id in the form of Lambda's.
func newID() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails
	text := hex.EncodeToString(random[:])
	return strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
}
