package client

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// roundTripper responds without a network.
type roundTripper func(r *http.Request) (status int, header, body string)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	status, retryAfter, body := f(r)
	w.Header().Set("Retry-After", retryAfter)
	w.WriteHeader(status)
	_, _ = w.WriteString(body)
	return w.Result(), nil
}

func TestResponses(t *testing.T) {
	const noService = "the server at http://127.0.0.1:3000 is not this service, it returned status %d: check --url"
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   string // the error, or the body
	}{
		{"success", 202, `{"id":"evt_1"}`, `{"id":"evt_1"}`},
		{"an error of the service", 404, `{"error":"Event not found."}`, "Event not found."},
		{"a success without JSON", 200, "<html>", fmt.Sprintf(noService, 200)},
		{"an error without JSON", 404, "404 page not found", fmt.Sprintf(noService, 404)},
		{"an error of another service", 403, `{"message":"Forbidden"}`, fmt.Sprintf(noService, 403)},
		{"a redirect", 302, "", fmt.Sprintf(noService, 302)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := New("http://127.0.0.1:3000", "whk_key")
			c.http.Transport = roundTripper(func(r *http.Request) (int, string, string) {
				got := fmt.Sprint(r.Method, " ", r.URL, " ", r.Header.Get("Authorization"))
				if want := "GET http://127.0.0.1:3000/events/evt_1?company=acme Bearer whk_key"; got != want {
					t.Errorf("got the request %s, want %s", got, want)
				}
				return tt.status, "", tt.body
			})
			response, err := c.Get(t.Context(), "/events/evt_1", url.Values{"company": {"acme"}})
			got := string(response.Body)
			if err != nil {
				got = err.Error()
			}
			e, isError := errors.AsType[*Error](err)
			if got != tt.want || isError && e.Status != tt.status {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	_, err := New("http://127.0.0.1:1", "whk_key").Get(t.Context(), "/events/evt_1", nil)
	const want = "the service at http://127.0.0.1:1 does not respond: check that it is running, and --url: dial tcp 127.0.0.1:1: "
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestLimits checks how long a request waits whose company has reached its limits.
func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		rejected int // requests
		wait     time.Duration
		status   int // of the error
	}{
		{0, 0, 0},
		{3, 6 * time.Second, 0},
		{maxWaits, maxWaits * 2 * time.Second, 0},
		{maxWaits + 1, maxWaits * 2 * time.Second, 429},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, requests, began := New("http://127.0.0.1:3000", "whk_key"), 0, time.Now()
			c.http.Transport = roundTripper(func(*http.Request) (int, string, string) {
				if requests++; requests <= tt.rejected {
					return 429, "2", `{"error":"Too many requests."}`
				}
				return 202, "", `{}`
			})
			_, err := c.Post(t.Context(), "/events", map[string]string{})
			status := 0
			if e, ok := errors.AsType[*Error](err); ok {
				status = e.Status
			}
			if waited := time.Since(began); waited != tt.wait || status != tt.status {
				t.Errorf("%d rejected: got %v after %v, want status %d after %v", tt.rejected, err, waited, tt.status, tt.wait)
			}
		})
	}
}
