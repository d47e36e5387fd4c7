package api

import (
	"bytes"
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
