package main

import "net/http"

// system adds to the API what only serve has: endpoints that need no API key.
type system struct {
	health      http.Handler // GET /healthz
	description http.Handler // GET /openapi.json
	api         http.Handler // everything else
}

// ServeHTTP matches paths exactly as they were sent, as the API does: it never redirects.
func (s *system) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.EscapedPath() {
	case "/healthz":
		s.health.ServeHTTP(w, r)
	case "/openapi.json":
		s.description.ServeHTTP(w, r)
	default:
		s.api.ServeHTTP(w, r)
	}
}
