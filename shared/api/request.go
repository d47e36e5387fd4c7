package api

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/webhook"
)

// maxBody is the maximum size of a request body in bytes, on every route.
const maxBody = 64 << 10

// request is an authenticated and authorized request, as endpoints see it.
type request struct {
	company string
	vars    map[string]string // path variables, unescaped, none empty
	query   string            // as sent
	header  http.Header
	body    []byte
}

// readBody reads the whole body, even on routes that need none, because the limit is the same for all
// of them. It does not read a body whose declared length exceeds the limit.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > maxBody {
		return nil, tooLarge()
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, over := errors.AsType[*http.MaxBytesError](err); over {
		return nil, tooLarge()
	}
	if err != nil {
		return nil, &webhook.Error{Kind: webhook.KindInvalid, Message: "The request body could not be read.", Cause: err}
	}
	return body, nil
}

func tooLarge() error {
	return webhook.Errorf(webhook.KindTooLarge, "The request body must not exceed %d bytes.", maxBody)
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
