// Package gateway runs the Lambda functions outside of AWS, as the programs that are deployed: it
// turns HTTP requests into the events that an API Gateway HTTP API makes of them (payload format
// 2.0), and hands these to built bootstraps over a Runtime API on loopback. It is for tests, which
// can so send the same requests to the functions that they send to webhookctl serve.
//
// What is known of how AWS does these things is done alike; where it is not known, the comment of
// the code says what is assumed.
package gateway

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"webhooks/shared/api"
)

const (
	// maxBody is the largest request that the gateway takes, 10 MB.
	maxBody = 10 << 20
	// traceID stands in for the one of each request.
	traceID = "Root=1-00000000-000000000000000000000000"
)

func decimal(n int) string { return strconv.Itoa(n) }

// Invoker runs a function once: a [Function].
type Invoker interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

// Gateway is an HTTP API: an http.Handler in front of functions.
type Gateway struct {
	functions map[string]Invoker
	routes    []api.Route
	now       func() time.Time
}

// New makes a Gateway that leads the routes of the API to functions, which are named as their
// folders are.
func New(functions map[string]Invoker, now func() time.Time) *Gateway {
	return &Gateway{functions: functions, routes: api.Routes(), now: now}
}

// ServeHTTP answers with what the function answers. What the gateway says by itself is, as at AWS,
// {"message":"…"}.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	once, twice, ok := decodedPath(r.URL.EscapedPath())
	if !ok {
		refuse(w, http.StatusBadRequest, "Bad Request")
		return
	}
	found, ok := findRoute(g.routes, r.Method, once, twice)
	function := g.functions[found.function]
	if !ok || function == nil {
		refuse(w, http.StatusNotFound, "Not Found")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		refuse(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	now := g.now()
	payload, err := newEvent(r, body, found, newID(), now)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	out, err := function.Invoke(r.Context(), payload)
	switch {
	case errors.Is(err, ErrTimedOut):
		refuse(w, http.StatusServiceUnavailable, "Service Unavailable")
	case err != nil:
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
	default:
		answer(w, out)
	}
}

// refuse writes an answer of the gateway's own.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// functionResponse is what a function answers, in payload format 2.0.
type functionResponse struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// answer writes a function's answer. One that makes no sense is the function's failure.
func answer(w http.ResponseWriter, out []byte) {
	var response functionResponse
	err := json.Unmarshal(out, &response)
	body := []byte(response.Body)
	if err == nil && response.IsBase64Encoded {
		body, err = base64.StdEncoding.DecodeString(response.Body)
	}
	if err != nil || response.StatusCode < 200 || response.StatusCode > 599 {
		refuse(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range response.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.Header().Set("Content-Length", decimal(len(body)))
	w.WriteHeader(response.StatusCode)
	_, _ = w.Write(body)
}
