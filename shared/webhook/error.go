package webhook

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong in words that every host can map to its own (HTTP: one status each).
type Kind int

// The kinds of errors. The zero value is internal: whatever nobody classified is our own fault.
const (
	KindInternal        Kind = iota
	KindInvalid              // the request is malformed or breaks a limit
	KindUnauthenticated      // no valid API key
	KindForbidden            // the key lacks the permission
	KindNotFound             // no such thing in this company
	KindConflict             // it contradicts what is stored
	KindTooLarge             // the body is over the limit
	KindUnprocessable        // well-formed, but not acceptable
	KindUnavailable          // a dependency is overloaded or away; worth a retry
)

// Error is the one error type of the service: a kind, a message for the client, and for the log
// what caused it.
type Error struct {
	Kind Kind
	// Message is for the client, who must be able to act on it. It holds no secret and no detail
	// of ours.
	Message string
	// RetryAfter is how long a client should wait before it tries again; zero says nothing.
	RetryAfter time.Duration
	// Cause is for the log alone; it may be nil.
	Cause error
}

// Error gives the message and the cause, for logs.
func (e *Error) Error() string {
	if e.Cause == nil {
		return e.Message
	}
	return e.Message + ": " + e.Cause.Error()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Cause }

// Errorf makes an Error of a kind without a cause; the formatted text is the client's message.
func Errorf(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Message: fmt.Sprintf(format, args...)}
}

// Unavailable wraps the failure of a dependency that is likely to pass.
func Unavailable(cause error) *Error {
	return &Error{
		Kind:       KindUnavailable,
		Message:    "The service is busy. Try again later.",
		RetryAfter: time.Second,
		Cause:      cause,
	}
}

// KindOf gives the kind of the first [Error] in err's chain; without one it is [KindInternal].
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// ErrNotFound is what stores answer for a webhook, type or key that does not exist in the company.
// Endpoints put their own message in its place.
var ErrNotFound = &Error{Kind: KindNotFound, Message: "Not found."}

// QuotaReached is the refusal of a webhook beyond the company's quota.
func QuotaReached(quota int) *Error {
	return Errorf(KindConflict, "The company has reached its quota of %d webhooks.", quota)
}

// WebhookExists is the refusal to import a webhook over one of the same id.
func WebhookExists(id string) *Error {
	return Errorf(KindConflict, "The company has a webhook %s already.", id)
}

// TypeExists is the refusal to import an event type over one of the same name.
func TypeExists(name string) *Error {
	return Errorf(KindConflict, "There is an event type %s already.", name)
}
