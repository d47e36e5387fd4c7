package api

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"webhooks/shared/webhook"
)

// statusOf is the table of errors: the HTTP status of each kind. Any other kind is a failure of the
// service.
func statusOf(kind webhook.Kind) int {
	switch kind {
	case webhook.KindInvalid:
		return http.StatusBadRequest
	case webhook.KindUnauthenticated:
		return http.StatusUnauthorized
	case webhook.KindForbidden:
		return http.StatusForbidden
	case webhook.KindNotFound:
		return http.StatusNotFound
	case webhook.KindConflict:
		return http.StatusConflict
	case webhook.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case webhook.KindUnprocessable:
		return http.StatusUnprocessableEntity
	case webhook.KindUnavailable:
		return http.StatusServiceUnavailable
	case webhook.KindTooSlow:
		return http.StatusRequestTimeout
	case webhook.KindTooMany:
		return http.StatusTooManyRequests
	default:
		return http.StatusInternalServerError
	}
}

// errorBody is the body of every error.
type errorBody struct {
	Error string `json:"error"`
}

const internalMessage = "Internal error"

// errorResponse returns the response to an error. It does not show the client an error that is not a
// [webhook.Error], or an internal one.
func errorResponse(err error) response {
	e := classified(err)
	r := response{status: statusOf(e.Kind), body: errorBody{e.Message}}
	switch {
	case r.status == http.StatusInternalServerError:
		r.body = errorBody{internalMessage}
	case r.status == http.StatusUnauthorized:
		r.header = map[string]string{"WWW-Authenticate": "Bearer"}
	case e.RetryAfter > 0:
		r.header = map[string]string{"Retry-After": wholeSeconds(e.RetryAfter)}
	}
	return r
}

// classified returns the [webhook.Error] in err's chain. An unclassified deadline error means that the
// request timed out waiting for a dependency.
func classified(err error) *webhook.Error {
	if e, ok := errors.AsType[*webhook.Error](err); ok {
		return e
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return webhook.Unavailable(err)
	}
	return &webhook.Error{Cause: err}
}

// wholeSeconds rounds up, so that no client retries too early.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// noRoute returns the response for a path that does not exist, or that allows only other methods.
func noRoute(method string, allowed []string) response {
	if len(allowed) == 0 {
		return response{status: http.StatusNotFound, body: errorBody{"Path not found."}}
	}
	if get := slices.Index(allowed, http.MethodGet); get >= 0 {
		allowed = slices.Insert(allowed, get+1, http.MethodHead)
	}
	allow := strings.Join(allowed, ", ")
	message := "Method not allowed. This path allows: " + allow + "."
	if slices.Contains(allowed, strings.ToUpper(method)) {
		message = "Method not allowed. Methods must be in upper case. This path allows: " + allow + "."
	}
	return response{
		status: http.StatusMethodNotAllowed,
		header: map[string]string{"Allow": allow},
		body:   errorBody{message},
	}
}
