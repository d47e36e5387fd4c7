// Package api is the service over HTTP: one file per endpoint, one table of routes with the permission
// that each needs, one table of errors. The same handlers run in webhookctl serve, all on one listener,
// and in the Lambda functions, one endpoint each. docs/api.md is the contract; "the reference" is the
// part of it whose bodies and messages are fixed.
//
// An endpoint takes a request and returns a response or an error; it never sees the connection. What
// all endpoints have in common is done here, in this order: route, authentication, the company's limits,
// permission, size of the body, the endpoint itself, and then exactly one response.
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

// DefaultTimeout is the time limit for a request if [Service] sets none.
const DefaultTimeout = 10 * time.Second

type authenticator interface {
	Authenticate(ctx context.Context, authorization string) (access.Key, error)
}

// Service has what all endpoints need.
type Service struct {
	// Keys authenticates callers: an *access.Authenticator.
	Keys authenticator
	// Log gets a line for every request, and another one with the cause if the service failed. No line
	// contains a token, an API key, or any part of a path, query, header or body.
	Log *slog.Logger
	// Now is the clock for request IDs and durations.
	Now func() time.Time
	// Random is the source of request IDs: crypto/rand.Reader.
	Random io.Reader
	// Timeout limits the context of a request once its body has arrived; zero means [DefaultTimeout]. The
	// server limits how long a client may take to send its body.
	Timeout time.Duration
	// Limits bounds what one company, and callers without a key, can use of this process; nil for no limits, as
	// behind API Gateway, which has its own.
	Limits *Limits
	// Admitted is called with the context of every request that has a valid key and is within the limits, if it is not nil.
	Admitted func(ctx context.Context)
}

// Handler serves the endpoints, and returns 404 or 405 for all other paths and methods. It is safe for
// concurrent use by multiple goroutines.
func (s Service) Handler(endpoints ...Endpoint) http.Handler {
	s.Timeout = cmp.Or(s.Timeout, DefaultTimeout)
	s.Log = slog.New(NewLogHandler(s.Log.Handler()))
	return &handler{Service: s, routes: mount(endpoints)}
}

type handler struct {
	Service
	routes []mounted
}

// exchange is one request and its response: the line in the log, and what the company may use until it has
// received the response.
type exchange struct {
	accessLine
	admitted   bool // whether the company's limits count the request
	largeBody  bool // whether the body may exceed maxSmallBody
	bodyUnread bool
}

// ServeHTTP writes the response to a request once, and logs the request.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := exchange{
		accessLine: accessLine{started: h.Now(), method: knownMethod(r.Method), route: "none"},
		bodyUnread: hasBody(r),
	}
	id := newRequestID(x.started, h.Random)
	ctx := WithLogAttrs(r.Context(), slog.String("request_id", id))
	defer func() {
		if x.admitted {
			h.Limits.leave(x.company, x.largeBody)
		}
	}()

	response := h.respond(ctx, w, r, &x)
	if x.bodyUnread && closesConnection(r) {
		w.Header().Set("Connection", "close") // or the client's next request would be lost
	}
	if err := response.write(w, r, id); err != nil {
		h.Log.DebugContext(ctx, "the response could not be sent", "cause", err.Error())
	}
	refused := x.keyID == "" || response.status == http.StatusTooManyRequests
	if !refused || h.Limits.logs(h.Log, h.Now()) {
		x.log(ctx, h.Log, response.status, h.Now())
	}
	if x.bodyUnread {
		drain(w, r)
	}
}

// respond returns the response to a request and writes nothing. A panic is a failure of the service.
func (h *handler) respond(ctx context.Context, w http.ResponseWriter, r *http.Request, x *exchange) (e encoded) {
	defer func() {
		if p := recover(); p != nil {
			h.Log.ErrorContext(ctx, "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			e = internalError()
		}
	}()
	response, err := h.serve(ctx, w, r, x)
	if err != nil {
		h.logFailure(ctx, r.Context(), err, &x.accessLine)
		response = errorResponse(err)
	}
	e, err = encode(response)
	if err != nil {
		h.logFailure(ctx, r.Context(), err, &x.accessLine)
		return internalError()
	}
	return e
}

// serve runs the checks that all endpoints have in common, in the order of the contract, and then the
// endpoint.
func (h *handler) serve(ctx context.Context, w http.ResponseWriter, r *http.Request, x *exchange) (response, error) {
	route, values, allowed := find(h.routes, r.Method, r.URL.EscapedPath())
	if route == nil {
		return noRoute(r.Method, allowed), nil
	}
	x.route = route.Path

	key, err := h.authenticate(ctx, r)
	if err != nil {
		return response{}, err
	}
	x.company, x.keyID = key.Company, key.ID
	x.largeBody = route.MaxBody > maxSmallBody && (r.ContentLength < 0 || r.ContentLength > maxSmallBody)
	if err := h.Limits.enter(key.Company, x.largeBody, x.started); err != nil {
		return response{}, err
	}
	x.admitted = true
	if h.Admitted != nil {
		h.Admitted(ctx)
	}
	if !key.Allows(route.Permission) {
		return response{}, webhook.Errorf(webhook.KindForbidden,
			"The API key does not have the %q permission.", route.Permission)
	}
	body, err := readBody(w, r, route.MaxBody)
	if err != nil {
		return response{}, err
	}
	x.bodyUnread = false
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	return route.serve(ctx, request{
		key:    key,
		vars:   values,
		query:  r.URL.RawQuery,
		header: r.Header,
		body:   body,
	})
}

func (h *handler) authenticate(ctx context.Context, r *http.Request) (access.Key, error) {
	ctx, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	return h.Keys.Authenticate(ctx, joinedHeader(r.Header, "Authorization"))
}
