// Package gateway emulates the parts of AWS around the Lambda functions, so that tests can send the functions, as built for
// deployment, the same requests that they send to "webhookctl serve". [Gateway] is an API Gateway HTTP API (payload format
// 2.0), [Pump] the event source mappings and the schedule, [Function] a Lambda function, and [RuntimeAPI] the Lambda
// Runtime API that its processes talk to over loopback. "make sam-local" uses the Pump, too, with a [Remote] for each
// function in a container.
//
// Comments say where the behavior of AWS is assumed and not known.
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

// region is the AWS region that functions run in.
const region = "eu-west-1"

// maxBody is the size limit of a request body at an HTTP API: 10 MB.
const maxBody = 10 << 20

// Invoker runs a function once. [Function] and [Remote] implement it.
type Invoker interface {
	Invoke(ctx context.Context, payload []byte) ([]byte, error)
}

// Gateway is an HTTP API: an http.Handler in front of functions.
type Gateway struct {
	functions map[string]Invoker
	routes    []api.Route
	now       func() time.Time
}

// New returns a Gateway that routes requests as the API's route table says. The functions are named after their directories.
func New(functions map[string]Invoker, now func() time.Time) *Gateway {
	return &Gateway{functions: functions, routes: api.Routes(), now: now}
}

// ServeHTTP invokes the function of the matching route and writes its response. Errors of the gateway itself have the
// body that AWS sends, {"message":"…"}.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, ok := decodePath(r.URL.EscapedPath())
	if !ok {
		writeError(w, http.StatusBadRequest, "Bad Request")
		return
	}
	found, ok := findRoute(g.routes, r.Method, path)
	function := g.functions[found.function]
	if !ok || function == nil {
		writeError(w, http.StatusNotFound, "Not Found")
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		writeError(w, http.StatusRequestEntityTooLarge, "Request Entity Too Large")
		return
	}
	payload, err := json.Marshal(newEvent(r, body, found, newID(), g.now()))
	if err != nil {
		writeError(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	out, err := function.Invoke(r.Context(), payload)
	switch {
	case errors.Is(err, ErrTimedOut):
		writeError(w, http.StatusServiceUnavailable, "Service Unavailable")
	case err != nil:
		writeError(w, http.StatusInternalServerError, "Internal Server Error")
	default:
		writeResponse(w, out)
	}
}

func writeError(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"message": message})
}

// writeResponse writes what a function returned. Output that is not a valid response counts as a failed function.
func writeResponse(w http.ResponseWriter, out []byte) {
	var response struct {
		StatusCode      int
		Headers         map[string]string
		Cookies         []string
		Body            string
		IsBase64Encoded bool
	}
	err := json.Unmarshal(out, &response)
	body := []byte(response.Body)
	if err == nil && response.IsBase64Encoded {
		body, err = base64.StdEncoding.DecodeString(response.Body)
	}
	if err != nil || response.StatusCode < 200 || response.StatusCode > 599 {
		writeError(w, http.StatusInternalServerError, "Internal Server Error")
		return
	}
	for name, value := range response.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range response.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(response.StatusCode)
	_, _ = w.Write(body)
}
