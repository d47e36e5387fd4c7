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
	"github.com/awslabs/aws-lambda-go-api-proxy/httpadapter"

	"webhooks/shared/api"
)

// answerMargin is how long before Lambda ends an invocation the request's context ends, so that the
// handler can still answer, and say in the log why.
const answerMargin = 500 * time.Millisecond

// Host answers API Gateway's events with an http.Handler. Lambda invokes it one event at a time,
// but it may be used from many goroutines.
type Host struct {
	handler http.Handler
	log     *slog.Logger
	broken  error // why there is no handler; nil where there is one
}

// New makes a Host of a handler.
func New(handler http.Handler, log *slog.Logger) *Host {
	return &Host{handler: handler, log: log}
}

// Invoke takes an event (an HTTP API's, payload format 2.0) and gives the response to it, both as
// JSON. It fails only for an event that is not of that form.
func (h *Host) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var event events.APIGatewayV2HTTPRequest
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, fmt.Errorf("this is no event of an API Gateway HTTP API with payload format 2.0: %w", err)
	}
	// Lambda's own lines and traces have this ID.
	ctx = api.WithLogAttrs(ctx, slog.String("lambda_request_id", lambdaRequestID(ctx)))
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-answerMargin))
		defer cancel()
	}
	return encode(h.respond(ctx, event))
}

func encode(response events.APIGatewayV2HTTPResponse) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(response)
	return out.Bytes(), err
}

// respond gives the response to an event, whatever happens.
func (h *Host) respond(ctx context.Context, event events.APIGatewayV2HTTPRequest) events.APIGatewayV2HTTPResponse {
	if h.broken != nil {
		return h.failure(ctx, "the function is misconfigured: "+h.broken.Error())
	}
	request, err := newRequest(ctx, event)
	if err != nil {
		return h.failure(ctx, err.Error())
	}
	finished, id := false, lambdaRequestID(ctx)
	adapter := httpadapter.NewV2(http.HandlerFunc(func(adapted http.ResponseWriter, _ *http.Request) {
		w := newResponseWriter(adapted, request.Method)
		finished = h.serve(w, request)
		id = requestID(ctx, w)
	}))
	// The adapter's own request is not used, so what it is made of is left out, and cannot fail.
	response, err := adapter.ProxyWithContext(ctx, events.APIGatewayV2HTTPRequest{})
	if err != nil || !finished {
		return internalError(id)
	}
	return response
}

// serve runs the handler, and reports whether it came to an end by itself.
func (h *Host) serve(w *responseWriter, request *http.Request) (finished bool) {
	ctx := request.Context()
	defer func() {
		if p := recover(); p != nil {
			h.log.ErrorContext(ctx, "panic", "request_id", requestID(ctx, w), "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			w.adapted.WriteHeader(http.StatusInternalServerError) // without a status the adapter prints a line of its own
		}
	}()
	h.handler.ServeHTTP(w, request)
	w.finish()
	return true
}

// failure logs why a request did not get as far as the handler, and gives the answer to it.
func (h *Host) failure(ctx context.Context, cause string) events.APIGatewayV2HTTPResponse {
	id := lambdaRequestID(ctx)
	h.log.ErrorContext(ctx, "request failed", "request_id", id, "cause", cause)
	return internalError(id)
}

// internalError is the API's answer to a failure of our own, for when the API cannot give it.
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

// requestIDHeader is where every answer has the id that the log's lines of the request have.
const requestIDHeader = "X-Request-Id"

// requestID is the id that the handler gave the request, which lines of the log may have already, or
// Lambda's where it gave none.
func requestID(ctx context.Context, w *responseWriter) string {
	return cmp.Or(w.header.Get(requestIDHeader), lambdaRequestID(ctx))
}

// lambdaRequestID is the id that Lambda gave the invocation.
func lambdaRequestID(ctx context.Context) string {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		return lc.AwsRequestID
	}
	return ""
}
