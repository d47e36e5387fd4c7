package main

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/oklog/ulid/v2"
)

// system answers what serve alone has, without an API key, and passes everything else to the API.
type system struct {
	health      *health
	description []byte // the OpenAPI description as JSON
	api         http.Handler
	now         func() time.Time
	random      io.Reader
}

// ServeHTTP takes paths as they are written, as the API does: none is redirected.
func (s *system) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.EscapedPath() {
	case "/healthz":
		s.get(w, r, s.health.answer)
	case "/openapi.json":
		s.get(w, r, func(context.Context) (int, []byte) { return http.StatusOK, s.description })
	default:
		s.api.ServeHTTP(w, r)
	}
}

// get answers GET and HEAD, and refuses other methods as the API does. It reads no body.
func (s *system) get(w http.ResponseWriter, r *http.Request, answer func(ctx context.Context) (status int, body []byte)) {
	var status int
	var body []byte
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		status, body = answer(r.Context())
	default:
		w.Header().Set("Allow", "GET, HEAD")
		status, body = http.StatusMethodNotAllowed, []byte(`{"error":"This path has other methods: GET, HEAD."}`)
	}
	s.write(w, r, status, body)
}

func (s *system) write(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	id, _ := ulid.New(ulid.Timestamp(s.now()), s.random) // should random fail, its time is left
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Request-Id", "req_"+id.String())
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // a client that is gone needs no answer
	}
}
