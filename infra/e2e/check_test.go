package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"unicode/utf8"
)

// check checks what is true of every response, and validates it against the OpenAPI descriptions. A webhook that the response
// created is deleted when the test ends.
func (s *suite) check(t *testing.T, r response) {
	t.Helper()
	s.deleteLater(t, r)
	s.checkHeader(t, r)
	if r.request.method == http.MethodHead {
		return // neither body nor description
	}
	s.checkBody(t, r)
	for _, d := range s.descriptions {
		if err := d.validate(t.Context(), s, r); err != nil {
			t.Errorf("%s, which %s does not allow: %v", r, d.source, err)
		}
	}
}

func (s *suite) checkHeader(t *testing.T, r response) {
	t.Helper()
	want := map[string]string{"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
	if r.status == http.StatusUnauthorized {
		want["WWW-Authenticate"] = "Bearer"
	} else if r.header.Get("WWW-Authenticate") != "" {
		t.Errorf("%s with a WWW-Authenticate header", r)
	}
	for name, value := range want {
		if got := r.header.Values(name); len(got) != 1 || got[0] != value {
			t.Errorf("%s with %s %q, want %q", r, name, got, value)
		}
	}
	ids := r.header.Values("X-Request-Id")
	if len(ids) != 1 || ids[0] == "" {
		t.Errorf("%s with X-Request-Id %q, want one", r, ids)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requestIDs[ids[0]] {
		t.Errorf("%s with X-Request-Id %q of an earlier response", r, ids[0])
	}
	s.requestIDs[ids[0]] = true
}

// checkBody checks that the body is JSON in UTF-8 and contains no secret, and the form of an error.
func (s *suite) checkBody(t *testing.T, r response) {
	t.Helper()
	if !utf8.Valid(r.body) || !json.Valid(r.body) {
		t.Errorf("%s, which is not JSON in UTF-8", r)
	}
	if r.status >= 400 && r.message() == "" {
		t.Errorf(`%s, want {"error":"<message>"}`, r)
	}
	for _, key := range s.keys.all() {
		if bytes.Contains(r.body, []byte(key)) {
			t.Errorf("the response to %s contains an API key", r.request)
		}
	}
	if r.status != http.StatusCreated && bytes.Contains(r.body, []byte("whsec_")) {
		t.Errorf("the response to %s contains a token", r.request)
	}
}

// deleteLater deletes the webhook that a response created when the test ends.
func (s *suite) deleteLater(t *testing.T, r response) {
	t.Helper()
	var w webhook
	if r.status != http.StatusCreated || json.Unmarshal(r.body, &w) != nil || w.ID == "" {
		return
	}
	s.mu.Lock()
	_, repeated := s.tokens[w.ID]
	s.tokens[w.ID] = w.Token
	s.mu.Unlock()
	if repeated {
		return
	}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		deleted, err := s.send(ctx, s.delete("/webhooks/"+w.ID).as(r.request.key))
		if err != nil || deleted.status != http.StatusOK && deleted.status != http.StatusNotFound {
			t.Errorf("the tests leave a webhook behind: %v %v", deleted, err)
		}
	})
}
