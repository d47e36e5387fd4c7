package api

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// request is an authenticated and authorized request, as endpoints see it.
type request struct {
	key    access.Key
	vars   map[string]string // path variables, unescaped, none empty
	query  string            // as sent
	header http.Header
	body   []byte
}

// readBody reads the whole body, of at most limit bytes, even on routes that need none. It does not read a body whose
// declared length exceeds the limit.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if !hasBody(r) {
		return nil, nil
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge(limit)
	}
	if err != nil {
		return nil, unreadable(err)
	}
	return body, nil
}

func hasBody(r *http.Request) bool { return r.Body != nil && r.Body != http.NoBody }

// unreadable returns the error for a body that did not arrive. Its cause does not contain the text of err, in which
// net/http quotes what the client sent, such as a malformed trailer.
func unreadable(err error) error {
	e := &webhook.Error{Kind: webhook.KindInvalid, Message: "The request body could not be read."}
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Kind, e.Message = webhook.KindTooSlow, "The request body did not arrive in time."
	case errors.Is(err, io.ErrUnexpectedEOF):
		e.Cause = errors.New("the body ended early")
	default:
		e.Cause = errors.New("the body is malformed, or the connection was closed")
	}
	return e
}

// How much of a body is read after the response was sent, and for how long.
const (
	drainLimit   = 1 << 20
	drainTimeout = time.Second
)

// drain sends the response and then reads what is left of the body. If the server closed the connection with unread
// data, the client's system would discard the response. If not all of the body arrives, drain closes the connection by
// panicking with [http.ErrAbortHandler], or net/http would read the rest of the body as the next request.
func drain(w http.ResponseWriter, r *http.Request) {
	control := http.NewResponseController(w)
	deadline := time.Now().Add(drainTimeout) //nolint:forbidigo // compared with the system's clock
	if control.Flush() != nil || control.SetReadDeadline(deadline) != nil {
		return // not a connection
	}
	_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, drainLimit))
	if _, over := errors.AsType[*http.MaxBytesError](err); err != nil && !over { // beyond the limit, the reader closes it
		panic(http.ErrAbortHandler)
	}
}

// closesConnection reports whether drain will close the connection of a request, if it has one.
func closesConnection(r *http.Request) bool {
	return r.ContentLength > drainLimit && r.Context().Value(http.ServerContextKey) != nil
}

func tooLarge(limit int64) error {
	return webhook.Errorf(webhook.KindTooLarge, "The request body must not exceed %d bytes.", limit)
}

// joinedHeader returns the values of a header joined by commas, as API Gateway joins them.
func joinedHeader(header http.Header, name string) string {
	return strings.Join(header.Values(name), ",")
}

// newRequestID returns "req_" and a ULID. If random fails, only the ULID's time is set, which is still
// enough to find the request in the log.
func newRequestID(now time.Time, random io.Reader) string {
	id, _ := ulid.New(ulid.Timestamp(now), random)
	return "req_" + id.String()
}
