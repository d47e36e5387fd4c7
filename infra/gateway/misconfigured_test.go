package gateway_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"

	"webhooks/shared/access"
)

// testMisconfigured starts every function in ways that it cannot work in: it says why, once, when
// it starts, answers 500 and lives on.
func testMisconfigured(t *testing.T, s *stack) {
	key := s.key(t, "misconfigured", nil, access.Permissions()...)
	tests := []struct {
		name    string
		changes map[string]string
		cause   string
		only    string // the function that it is about; empty for all
	}{
		{"no table named", map[string]string{"WEBHOOKS_SUBSCRIPTIONS_TABLE": ""}, "WEBHOOKS_SUBSCRIPTIONS_TABLE is not set", ""},
		{"no such table", map[string]string{"WEBHOOKS_SUBSCRIPTIONS_TABLE": "nothing"}, `there is no table "nothing"`, ""},
		{"no credentials", map[string]string{"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID is not set", ""},
		{"no key for tokens", map[string]string{"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_KEY": ""}, "WEBHOOKS_KMS_KEY is not set", "create-webhook"},
		{"no URL of KMS", map[string]string{"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_ENDPOINT": "nonsense"}, "WEBHOOKS_KMS_ENDPOINT must be a URL", "create-webhook"},
		{"no number", map[string]string{"WEBHOOKS_QUOTA": "many"}, `WEBHOOKS_QUOTA is "many"`, "create-webhook"},
	}
	for _, test := range tests {
		for name := range s.bootstraps {
			if test.only != "" && test.only != name {
				continue
			}
			t.Run(test.name+"/"+name, func(t *testing.T) {
				f := s.function(t, name, withoutTLSCheck(test.changes))
				event := eventWith(t, name, key)
				first := checkInternalError(t, invoke(t, f, event))
				second := checkInternalError(t, invoke(t, f, event))
				log := f.log()
				checkStartLine(t, log, test.cause)
				checkFailures(t, log, test.cause, first, second)
			})
		}
	}
}

// withoutTLSCheck adds that no host is looked for: the events have one that does not exist here.
func withoutTLSCheck(changes map[string]string) map[string]string {
	changed := map[string]string{"WEBHOOKS_TLS_CHECK": "off"}
	maps.Copy(changed, changes)
	return changed
}

// logLine is what the tests look at of a line of the log.
type logLine struct {
	Level, Message, Cause string
	RequestID             string `json:"request_id"`
}

// linesOf gives the log's lines whose message is the one given, or goes on after it.
func linesOf(t *testing.T, log, message string) []logLine {
	t.Helper()
	var found []logLine
	for text := range strings.Lines(log) {
		var line logLine
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("line %q: %v", text, err)
		}
		if line.Message == message || strings.HasPrefix(line.Message, message+" and ") {
			found = append(found, line)
		}
	}
	return found
}

const misconfigured = "the function is misconfigured"

// checkStartLine expects one line of the log, and so one start, that says what is misconfigured.
func checkStartLine(t *testing.T, log, cause string) {
	t.Helper()
	lines := linesOf(t, log, misconfigured)
	if len(lines) != 1 || strings.Contains(log, `"message":"panic"`) {
		t.Fatalf("%d lines say that the function is misconfigured, want 1:\n%s", len(lines), log)
	}
	if lines[0].Level != "ERROR" || !strings.Contains(lines[0].Cause, cause) {
		t.Errorf("line %+v, want the cause %q", lines[0], cause)
	}
}

// checkFailures expects a line of the log for each answer of 500, by its id, that says why.
func checkFailures(t *testing.T, log, cause string, ids ...string) {
	t.Helper()
	lines := linesOf(t, log, "request failed")
	if len(lines) != len(ids) {
		t.Fatalf("%d lines tell of failed requests, want %d:\n%s", len(lines), len(ids), log)
	}
	for i, line := range lines {
		if line.Level != "ERROR" || !strings.Contains(line.Cause, cause) || line.RequestID != ids[i] {
			t.Errorf("line %+v, want the id %s and the cause %q", line, ids[i], cause)
		}
	}
}

// checkInternalError expects an answer of 500, and gives its id.
func checkInternalError(t *testing.T, out []byte) (requestID string) {
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
	return response.Headers["X-Request-Id"]
}
