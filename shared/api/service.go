// Package api is the service over HTTP: one endpoint a file, one table of routes with the
// permission each needs, one table of errors. The same handlers run in webhookctl serve, all on one
// listener, and in the Lambda functions, one endpoint each. What they promise is docs/api.md: "the
// contract" is that page, and "the reference" the bodies and messages that it fixes.
//
// An endpoint takes a request and gives a response or an error; it never sees the connection. All
// that is common to them is done here, once and in this order: route, authentication, permission,
// size of the body, the endpoint itself, and then exactly one answer.
package api

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// DefaultTimeout is how long a request may take where a Service says nothing.
const DefaultTimeout = 10 * time.Second

type authenticator interface {
	Authenticate(ctx context.Context, authorization string) (access.Key, error)
}

// Service is what every endpoint needs besides its own parts.
type Service struct {
	// Keys tells who calls: an *access.Authenticator.
	Keys authenticator
	// Log gets a line for every request, and one with the cause where we failed. No line holds a
	// token, an API key, or anything of a path, query, header or body.
	Log *slog.Logger
	// Now is the clock, of request ids and durations.
	Now func() time.Time
	// Random is where request ids come from: crypto/rand.Reader.
	Random io.Reader
	// Timeout ends the context of one request; zero is [DefaultTimeout]. How long a client may take
	// to send its body is the server's to limit.
	Timeout time.Duration
}

// Handler serves the endpoints it is given, and answers for every other path or method that there
// is no such thing. It may be used from many goroutines.
func (s Service) Handler(endpoints ...Endpoint) http.Handler {
	s.Timeout = cmp.Or(s.Timeout, DefaultTimeout)
	s.Log = slog.New(NewLogHandler(s.Log.Handler()))
	return &handler{Service: s, routes: mount(endpoints)}
}

type handler struct {
	Service
	routes []mounted
}

// ServeHTTP answers one request, in one place and once.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	line := accessLine{started: h.Now(), method: knownMethod(r.Method), route: "none"}
	id := newRequestID(line.started, h.Random)
	ctx, cancel := context.WithTimeout(withRequestID(r.Context(), id), h.Timeout)
	defer cancel()

	a := h.answer(ctx, w, r, &line)
	if err := a.write(w, r.Method, id); err != nil {
		h.Log.DebugContext(ctx, "the answer could not be sent", "cause", err.Error())
	}
	line.log(ctx, h.Log, a.status, h.Now())
}

// answer gives the answer to a request and writes nothing. A panic on the way is our own failure.
func (h *handler) answer(ctx context.Context, w http.ResponseWriter, r *http.Request, line *accessLine) (a answer) {
	defer func() {
		if p := recover(); p != nil {
			h.Log.ErrorContext(ctx, "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			a = internalError()
		}
	}()
	response, err := h.serve(ctx, w, r, line)
	if err != nil {
		h.logFailure(ctx, r.Context(), err, line)
		response = refusal(err)
	}
	a, err = encode(response)
	if err != nil {
		h.logFailure(ctx, r.Context(), err, line)
		return internalError()
	}
	return a
}

// serve takes a request through the order that the contract gives.
func (h *handler) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, line *accessLine) (response, error) {
	route, values, allowed := find(h.routes, r.Method, r.URL.EscapedPath())
	if route == nil {
		return noRoute(allowed), nil
	}
	line.route = route.Path

	key, err := h.Keys.Authenticate(ctx, joinedHeader(r.Header, "Authorization"))
	if err != nil {
		return response{}, err
	}
	line.company, line.keyID = key.Company, key.ID
	if !key.Allows(route.Permission) {
		return response{}, webhook.Errorf(webhook.KindForbidden, "The API key lacks the permission %q.", route.Permission)
	}
	body, err := readBody(w, r)
	if err != nil {
		return response{}, err
	}
	return route.serve(ctx, request{
		company: key.Company,
		vars:    values,
		query:   r.URL.RawQuery,
		header:  r.Header,
		body:    body,
	})
}
