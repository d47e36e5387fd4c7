package gateway_test

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"webhooks/shared/access"
)

// testMisconfigured starts every function in ways that it cannot work in: it says why, once, when
// it starts, answers 500 and lives on.
func testMisconfigured(t *testing.T, s *stack) {
	denying := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.0")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"com.amazon.coral.service#AccessDeniedException","Message":"not authorized to perform dynamodb:GetItem"}`)
	}))
	defer denying.Close()
	key := s.key(t, "misconfigured", nil, access.Permissions()...)
	tests := []struct {
		name    string
		changes map[string]string
		cause   string
		only    string // the function that it is about; empty for all
	}{
		{"no table named", map[string]string{"WEBHOOKS_SUBSCRIPTIONS_TABLE": ""}, "WEBHOOKS_SUBSCRIPTIONS_TABLE is not set", ""},
		{"no such table", map[string]string{"WEBHOOKS_SUBSCRIPTIONS_TABLE": "nothing"}, `there is no table "nothing"`, ""},
		{"no permission", map[string]string{"WEBHOOKS_DYNAMODB_ENDPOINT": denying.URL}, "not authorized to perform dynamodb:GetItem", ""},
		{"no credentials", map[string]string{"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID is not set", ""},
		{"no key for tokens", map[string]string{"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_KEY": ""}, "WEBHOOKS_KMS_KEY is not set", "create-webhook"},
		{"no number", map[string]string{"WEBHOOKS_QUOTA": "many"}, `WEBHOOKS_QUOTA is "many"`, "create-webhook"},
	}
	for _, test := range tests {
		for name := range s.bootstraps {
			if test.only != "" && test.only != name {
				continue
			}
			t.Run(test.name+"/"+name, func(t *testing.T) {
				output := new(syncBuffer)
				f := s.function(t, name, output, withoutTLSCheck(test.changes))
				event := eventWith(t, name, key)
				first := invoke(t, f, event)
				second := invoke(t, f, event)
				checkInternalError(t, first)
				checkInternalError(t, second)
				checkStartLine(t, output.take(), test.cause)
			})
		}
	}
}

// withoutTLSCheck adds that no host is looked for: the events have one that does not exist here.
func withoutTLSCheck(changes map[string]string) map[string]string {
	changes = maps.Clone(changes)
	changes["WEBHOOKS_TLS_CHECK"] = "off"
	return changes
}

// checkStartLine expects one line of the log, and so one start, that says what is misconfigured.
func checkStartLine(t *testing.T, log, cause string) {
	t.Helper()
	found := 0
	for line := range strings.Lines(log) {
		var fields struct{ Level, Message, Cause string }
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("line %q: %v", line, err)
		}
		if !strings.HasPrefix(fields.Message, "the function is misconfigured") {
			continue
		}
		found++
		if fields.Level != "ERROR" || !strings.Contains(fields.Cause, cause) {
			t.Errorf("line %s, want the cause %q", line, cause)
		}
	}
	if found != 1 || strings.Contains(log, `"message":"panic"`) {
		t.Errorf("%d lines say that the function is misconfigured, want 1:\n%s", found, log)
	}
}

func checkInternalError(t *testing.T, out []byte) {
	t.Helper()
	var response struct {
		StatusCode int
		Headers    map[string]string
		Body       string
	}
	if err := json.Unmarshal(out, &response); err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusInternalServerError || response.Body != `{"error":"Internal error"}` {
		t.Errorf("got %+v", response)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		if response.Headers[name] != want {
			t.Errorf("%s is %q", name, response.Headers[name])
		}
	}
	if response.Headers["X-Request-Id"] == "" {
		t.Error("no X-Request-Id")
	}
}
