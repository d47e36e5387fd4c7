package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/webhook"
)

// maxBody is how many bytes a request's body may have, on every route.
const maxBody = 64 << 10

// request is what an endpoint learns of a request: it has been authenticated, and its key has the
// permission.
type request struct {
	company string
	vars    map[string]string // of the path, unescaped, none empty
	query   string            // as sent
	header  http.Header
	body    []byte
}

// readBody reads the whole body, which also routes without one have to do: the limit is the same
// for all of them, and a declared length over it is refused without reading.
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
		return nil, &webhook.Error{Kind: webhook.KindInvalid, Message: "The body could not be read.", Cause: err}
	}
	return body, nil
}

func tooLarge() error {
	return webhook.Errorf(webhook.KindTooLarge, "The body must have at most %d bytes.", maxBody)
}

// joinedHeader gives a header that may have been sent several times as the one value that API
// Gateway makes of it.
func joinedHeader(header http.Header, name string) string {
	return strings.Join(header.Values(name), ",")
}

type requestIDKey struct{}

// newRequestID makes "req_" and a ULID. Should random fail, its time is left, which still finds the
// lines of the log.
func newRequestID(now time.Time, random io.Reader) string {
	id, _ := ulid.New(ulid.Timestamp(now), random)
	return "req_" + id.String()
}

func withRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID gives the id of the request that ctx belongs to, or an empty string outside of one.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
