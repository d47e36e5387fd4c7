package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// response is what an endpoint answers.
type response struct {
	status int
	header map[string]string // beyond those that every answer has; nil for none
	body   any               // becomes JSON
}

// answer is a response ready to be sent.
type answer struct {
	status int
	header map[string]string
	body   []byte
}

// encode makes an answer of a response. Text is written as it is, without HTML's escapes.
func encode(r response) (answer, error) {
	var body bytes.Buffer
	encoder := json.NewEncoder(&body)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r.body); err != nil {
		return answer{}, fmt.Errorf("encoding an answer: %w", err)
	}
	return answer{status: r.status, header: r.header, body: bytes.TrimSuffix(body.Bytes(), []byte("\n"))}, nil
}

// write sends the answer; one to HEAD is the same without its body.
func (a answer) write(w http.ResponseWriter, method, requestID string) error {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Request-Id", requestID)
	for name, value := range a.header {
		header.Set(name, value)
	}
	w.WriteHeader(a.status)
	if method == http.MethodHead {
		return nil
	}
	_, err := w.Write(a.body)
	return err
}

// Public serves GET and HEAD on a path of its own, without an API key: its responses have the
// headers, the request ID and the error bodies of every other response. respond returns a status and
// a value to encode as JSON. The request's body is not read, and nothing is logged.
func (s Service) Public(respond func(ctx context.Context) (status int, body any)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		response := noRoute([]string{http.MethodGet})
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			response.header = nil
			response.status, response.body = respond(r.Context())
		}
		a, err := encode(response)
		if err != nil {
			a = internalError()
		}
		_ = a.write(w, r.Method, newRequestID(s.Now(), s.Random)) // the client may be gone
	})
}
