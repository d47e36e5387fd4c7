package server

import (
	"net/http"

	"github.com/rs/cors"
)

// AllowOrigins lets the pages of some origins, such as https://console.example.com, call handler from a browser (CORS). The
// settings are those of API Gateway in template.yaml. Without origins, handler is returned unchanged.
func AllowOrigins(handler http.Handler, origins []string) http.Handler {
	if len(origins) == 0 { // the library would allow all of them
		return handler
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodPost, http.MethodDelete},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Idempotency-Key"},
		ExposedHeaders: []string{"X-Request-Id", "Location", "Retry-After", "Idempotent-Replayed"},
		MaxAge:         3600,
	}).Handler(handler)
}
