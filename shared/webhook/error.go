package webhook

import (
	"errors"
	"fmt"
	"time"
)

// Kind classifies errors. Every host maps it to its own terms; over HTTP, each kind is one status.
type Kind int

// The kinds of errors. The zero value is internal: an unclassified error is our own fault.
const (
	KindInternal        Kind = iota
	KindInvalid              // the request is malformed or exceeds a limit
	KindUnauthenticated      // no valid API key
	KindForbidden            // the key lacks the permission
	KindNotFound             // does not exist in this company
	KindConflict             // conflicts with what is stored
	KindTooLarge             // the body exceeds the limit
	KindUnprocessable        // well-formed, but not acceptable
	KindUnavailable          // a dependency is overloaded or unavailable; worth a retry
	KindTooSlow              // the client took too long to send the request
	KindTooMany              // the company sends more requests than it may; worth a retry
)

// Error is the error type of the whole service: a kind, a message for the client, and a cause for the log.
type Error struct {
	Kind Kind
	// Message is for the client, who must be able to act on it. It contains no secrets and no internal details.
	Message string
	// RetryAfter is how long a client should wait before a retry; zero means unspecified.
	RetryAfter time.Duration
	// Cause is only for the log; it may be nil.
	Cause error
}

// Error returns the message and the cause, for logs.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf returns an Error without a cause. The formatted text is the client's message.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Unavailable wraps the failure of a dependency that is likely to be temporary.
func Unavailable(cause error) *Error {
	return &Error{
		Kind:       KindUnavailable,
		Message:    "The service is busy. Try again later.",
		RetryAfter: time.Second,
		Cause:      cause,
	}
}

// KindOf returns the kind of the first [Error] in err's chain, or [KindInternal] if there is none.
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// ErrNotFound is returned by stores for a webhook, type or key that does not exist in the company. Endpoints replace its
// message with their own.
var ErrNotFound = &Error{Kind: KindNotFound, Message: "Not found."}

// QuotaReached returns the error for creating a webhook beyond the company's quota.
func QuotaReached(quota int) *Error {
	return Errorf(KindConflict, "The company already has the maximum of %d webhooks. Delete one first.", quota)
}

// WebhookExists returns the error for importing a webhook whose ID already exists.
func WebhookExists(id string) *Error {
	return Errorf(KindConflict, "Webhook %s already exists in this company.", id)
}

// TypeExists returns the error for importing an event type whose name already exists.
func TypeExists(name string) *Error {
	return Errorf(KindConflict, "Event type %s already exists.", name)
}
