package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"
)

// check holds an answer to what the contract says of all of them, and to the description. What
// a creation made is deleted when the test ends.
func (s *suite) check(t *testing.T, r response) {
	t.Helper()
	s.deleteAfterwards(t, r)
	s.checkHeader(t, r)
	if r.request.method != http.MethodHead {
		s.checkBody(t, r)
		s.checkSecrets(t, r)
	}
	for _, d := range s.descriptions {
		if err := d.check(t.Context(), s, r); err != nil {
			t.Errorf("%s, which is not as the description (%s) says: %v", r, d.source, err)
		}
	}
}

func (s *suite) checkHeader(t *testing.T, r response) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Type":           "application/json",
		"X-Content-Type-Options": "nosniff",
		"Cache-Control":          "no-store",
	} {
		if got := r.header.Values(name); len(got) != 1 || got[0] != want {
			t.Errorf("%s with %s %q, want %q", r, name, got, want)
		}
	}
	if got, want := r.header.Get("WWW-Authenticate"), "Bearer"; (r.status == http.StatusUnauthorized) != (got == want) {
		t.Errorf("%s with WWW-Authenticate %q, want %q at 401 and none elsewhere", r, got, want)
	}
	ids := r.header.Values("X-Request-Id")
	if len(ids) != 1 || ids[0] == "" {
		t.Errorf("%s with X-Request-Id %q, want one", r, ids)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.requestIDs[ids[0]] {
		t.Errorf("%s with the X-Request-Id %q, which an earlier answer had", r, ids[0])
	}
	s.requestIDs[ids[0]] = true
}

// checkBody checks that a body is JSON in UTF-8, and an error's one string and no more.
func (s *suite) checkBody(t *testing.T, r response) {
	t.Helper()
	if !utf8.Valid(r.body) || !json.Valid(r.body) {
		t.Errorf("%s, which is no JSON in UTF-8", r)
		return
	}
	if r.status < 400 {
		return
	}
	var fields map[string]any
	if json.Unmarshal(r.body, &fields) != nil || len(fields) != 1 || r.message() == "" {
		t.Errorf(`%s, want {"error":"<message>"}`, r)
	}
}

// message gives the message of an error, or "".
func (r response) message() string {
	var fields map[string]any
	if json.Unmarshal(r.body, &fields) != nil {
		return ""
	}
	message, _ := fields["error"].(string)
	return message
}

// checkSecrets checks that no body shows an API key, and none a token but that of a creation.
func (s *suite) checkSecrets(t *testing.T, r response) {
	t.Helper()
	for _, key := range s.keys.all() {
		if bytes.Contains(r.body, []byte(key)) {
			t.Errorf("the answer to %s shows an API key", r.request)
		}
	}
	if r.status != http.StatusCreated && bytes.Contains(r.body, []byte("whsec_")) {
		t.Errorf("the answer to %s shows a token", r.request)
	}
}

// deleteAfterwards notes what a creation made and has it deleted when the test ends that made it.
func (s *suite) deleteAfterwards(t *testing.T, r response) {
	t.Helper()
	var made webhook
	if r.status != http.StatusCreated || json.Unmarshal(r.body, &made) != nil || made.ID == "" {
		return
	}
	s.mu.Lock()
	_, repeated := s.tokens[made.ID]
	s.tokens[made.ID] = made.Token
	s.mu.Unlock()
	if repeated {
		return
	}
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		resp, err := s.send(ctx, request{method: http.MethodDelete, path: "/webhooks/" + made.ID, key: r.request.key})
		if err != nil || resp.status != http.StatusOK && resp.status != http.StatusNotFound {
			t.Errorf("a webhook of the suite is left behind: %v %v", resp, err)
		}
	})
}

// quote writes a string as JSON, with no more escapes than JSON asks for.
func quote(text string) string {
	var out strings.Builder
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(text); err != nil {
		return err.Error() // a string always encodes
	}
	return strings.TrimSuffix(out.String(), "\n")
}
