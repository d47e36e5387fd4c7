package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// response is what an endpoint returns.
type response struct {
	status int
	header map[string]string // in addition to the headers of every response; nil for none
	body   any               // to be encoded as JSON
}

// encoded is a response with its body encoded.
type encoded struct {
	status int
	header map[string]string
	body   []byte
}

// encode encodes a response's body as JSON, without escaping characters that are special in HTML.
func encode(r response) (encoded, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r.body); err != nil {
		return encoded{}, fmt.Errorf("encoding a response: %w", err)
	}
	return encoded{status: r.status, header: r.header, body: bytes.TrimSuffix(body.Bytes(), []byte("\n"))}, nil
}

// internalError is the response if no other can be sent.
func internalError() encoded {
	return encoded{status: http.StatusInternalServerError, body: []byte(`{"error":"` + internalMessage + `"}`)}
}

// writeTimeout is how long a client may take to receive a response.
const writeTimeout = 10 * time.Second

// write sends the response, without its body if the method is HEAD. All responses of the service are
// written here. It does not wait for a request body that was not read.
func (r encoded) write(w http.ResponseWriter, request *http.Request, requestID string) error {
	control := http.NewResponseController(w)
	_ = control.EnableFullDuplex()                             // like the next line, fails if w is not a connection, as on Lambda
	_ = control.SetWriteDeadline(time.Now().Add(writeTimeout)) //nolint:forbidigo // compared with the system's clock
	header := w.Header()
	if len(request.TransferEncoding) > 0 {
		// The request may have had a Content-Length, too, which net/http removes (RFC 9112, section 6.1).
		header.Set("Connection", "close")
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(r.body)))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Request-Id", requestID)
	for name, value := range r.header {
		header.Set(name, value)
	}
	w.WriteHeader(r.status)
	if request.Method == http.MethodHead {
		return nil
	}
	_, err := w.Write(r.body)
	return err
}

// Public returns a handler for one path that needs no API key. It serves GET and HEAD, with the
// headers, request ID and error bodies of all other responses. respond returns a status and a value to
// encode as JSON. The handler ignores the request body and logs nothing.
func (s Service) Public(respond func(ctx context.Context) (status int, body any)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response := noRoute(r.Method, []string{http.MethodGet})
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			response.header = nil
			response.status, response.body = respond(r.Context())
		}
		encoded, err := encode(response)
		if err != nil {
			encoded = internalError()
		}
		_ = encoded.write(w, r, newRequestID(s.Now(), s.Random)) // the client may be gone
		if hasBody(r) {
			drain(w, r)
		}
	})
}
