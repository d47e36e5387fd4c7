package lambdahost

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/awslabs/aws-lambda-go-api-proxy/core"

	"webhooks/shared/api"
)

// responseMargin is how long before the end of an invocation its context ends, which leaves time to respond and to log why.
const responseMargin = 500 * time.Millisecond

// requestIDHeader is the header of every response with the ID that the request's log lines have.
const requestIDHeader = "X-Request-Id"

// Host responds to API Gateway events with an http.Handler. Lambda invokes it with one event at a time, but it is safe
// for concurrent use by multiple goroutines.
type Host struct {
	handler http.Handler
	log     *slog.Logger
	broken  error // why there is no handler; nil if there is one
	// printMetrics prints metrics after a request.
	printMetrics func()
}

// New returns a Host for a handler that writes its status once, after its headers, as the API's handler does.
func New(handler http.Handler, log *slog.Logger) *Host {
	return &Host{handler: handler, log: log, printMetrics: func() {}}
}

// Invoke handles an event of an HTTP API (payload format 2.0) and returns the response; both are JSON. The response to any
// other event is 500. Invoke returns an error only if the payload is not an event at all.
func (h *Host) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var event events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, fmt.Errorf("not an event of an API Gateway HTTP API with payload format 2.0: %w", err)
	}
	ctx, cancel := invocation(ctx)
	defer cancel()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(h.respond(ctx, event))
	return out.Bytes(), err
}

// invocation returns the context for the code that an invocation calls: its log lines have the invocation's ID, and it ends early
// enough for the result to reach Lambda.
func invocation(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx = api.WithLogAttrs(ctx, slog.String("lambda_request_id", lambdaRequestID(ctx)))
	if deadline, ok := ctx.Deadline(); ok {
		return context.WithDeadline(ctx, deadline.Add(-responseMargin))
	}
	return ctx, func() {}
}

// respond returns the response to an event, whatever happens. A panic costs one request and not the process.
func (h *Host) respond(ctx context.Context, event events.APIGatewayV2HTTPRequest) (response events.APIGatewayV2HTTPResponse) {
	if h.broken != nil {
		return h.failure(ctx, "the function is misconfigured: "+h.broken.Error())
	}
	if event.Version != "2.0" || event.RequestContext.HTTP.Method == "" {
		return h.failure(ctx, fmt.Sprintf("the event has the payload format %q and is not from an HTTP API with format 2.0: "+
			"invoke the function through the API of template.yaml, or set the integration's payload format to 2.0", event.Version))
	}
	request, err := newRequest(ctx, event)
	if err != nil {
		return h.failure(ctx, err.Error())
	}
	w := core.NewProxyResponseWriterV2()
	defer func() {
		if p := recover(); p != nil {
			id := cmp.Or(w.Header().Get(requestIDHeader), lambdaRequestID(ctx))
			h.log.ErrorContext(ctx, "panic", "request_id", id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			response = internalError(id)
		}
	}()
	defer h.printMetrics()
	h.handler.ServeHTTP(w, request)
	response, err = w.GetProxyResponse()
	if err != nil {
		return h.failure(ctx, "the handler wrote no response: "+err.Error())
	}
	return response
}

// failure logs why a request did not get a response from the handler, and returns the response to it.
func (h *Host) failure(ctx context.Context, cause string) events.APIGatewayV2HTTPResponse {
	id := lambdaRequestID(ctx)
	h.log.ErrorContext(ctx, "request failed", "request_id", id, "cause", cause)
	return internalError(id)
}

// internalError is the API's response to an internal failure, for when the API itself cannot send it.
func internalError(requestID string) events.APIGatewayV2HTTPResponse {
	return events.APIGatewayV2HTTPResponse{
		StatusCode: http.StatusInternalServerError,
		Headers: map[string]string{
			"Content-Type":           "application/json",
			"X-Content-Type-Options": "nosniff",
			"Cache-Control":          "no-store",
			requestIDHeader:          requestID,
		},
		Body: `{"error":"Internal error"}`,
	}
}

// lambdaRequestID returns the ID that Lambda gave the invocation, or "" outside of one.
func lambdaRequestID(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return ""
}
