package lambdahost

import (
	"fmt"
	"maps"
	"net/http"
)

// responseWriter stands between a handler and the adapter's writer, which takes the last status for
// the first, headers that are set too late, bodies where there are none, and silence for an error.
// Here the rules are those of net/http's server.
type responseWriter struct {
	adapted http.ResponseWriter
	method  string
	header  http.Header
	status  int // zero until it is written
}

func newResponseWriter(adapted http.ResponseWriter, method string) *responseWriter {
	return &responseWriter{adapted: adapted, method: method, header: make(http.Header)}
}

// Header gives the header as the handler sees it. Changes count until the status is written.
func (w *responseWriter) Header() http.Header { return w.header }

// WriteHeader takes the status and the header as they are now; later calls change nothing.
func (w *responseWriter) WriteHeader(status int) {
	if status < 100 || status > 999 {
		panic(fmt.Sprintf("invalid WriteHeader code %d", status)) // as net/http does
	}
	informational := status < 200 && status != http.StatusSwitchingProtocols
	if w.status != 0 || informational {
		return
	}
	w.status = status
	maps.Copy(w.adapted.Header(), w.header.Clone())
	w.adapted.WriteHeader(status)
}

// Write writes a part of the body, after the status (200 where the handler gave none).
func (w *responseWriter) Write(data []byte) (int, error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.status < 200 || w.status == http.StatusNoContent || w.status == http.StatusNotModified:
		return 0, http.ErrBodyNotAllowed
	case w.method == http.MethodHead || len(data) == 0:
		return len(data), nil
	}
	return w.adapted.Write(data)
}

// Flush sends nothing: a response of Lambda is sent as a whole.
func (w *responseWriter) Flush() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
}

// finish answers 200 for a handler that wrote nothing.
func (w *responseWriter) finish() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
}
