package gateway_test

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"webhooks/shared/access"
)

// testContract runs the contract's tests, which know nothing but a URL and keys, against the
// functions.
func testContract(t *testing.T, s *stack) {
	server := s.serve(t, nil)
	keys := map[string]string{
		"WEBHOOKS_E2E_KEY":         s.key(t, "main", nil, access.Permissions()...),
		"WEBHOOKS_E2E_READ_KEY":    s.key(t, "main", nil, access.WebhooksRead),
		"WEBHOOKS_E2E_WRITE_KEY":   s.key(t, "main", nil, access.WebhooksWrite),
		"WEBHOOKS_E2E_OTHER_KEY":   s.key(t, "other", nil, access.Permissions()...),
		"WEBHOOKS_E2E_REVOKED_KEY": s.key(t, "main", func(k *access.Key) { k.RevokedAt = time.Now().Add(-time.Hour).UTC() }, access.Permissions()...),
		"WEBHOOKS_E2E_EXPIRED_KEY": s.key(t, "main", func(k *access.Key) { k.ExpiresAt = time.Now().Add(-time.Hour).UTC() }, access.Permissions()...),
	}
	suite := exec.CommandContext(t.Context(), "go", "test", "-count=1", "webhooks/infra/e2e")
	suite.Env = append(os.Environ(), "CI=true", "WEBHOOKS_E2E_URL="+server.URL, "WEBHOOKS_E2E_HOST=gateway",
		"WEBHOOKS_E2E_RECEIVER="+s.receiver, "WEBHOOKS_E2E_QUOTA="+strconv.Itoa(quota))
	for variable, key := range keys {
		suite.Env = append(suite.Env, variable+"="+key)
	}
	out, err := suite.CombinedOutput()
	if err != nil {
		t.Errorf("the contract's tests: %v\n%s", err, out)
	}
	log := server.log()
	for variable, key := range keys {
		if strings.Contains(log, key) {
			t.Errorf("the log has the key %s", variable)
		}
	}
	for _, secret := range []string{"whsec_", s.receiver} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %s", secret)
		}
	}
	checkLog(t, log)
}

// checkLog expects JSON lines that have Lambda's id as soon as there is a request, and nothing of
// level ERROR.
func checkLog(t *testing.T, log string) {
	t.Helper()
	request := regexp.MustCompile(`^\{"timestamp":"[^"]+","level":"(INFO|WARN)","message":"request",.*"request_id":"req_[0-9A-Z]{26}".*"lambda_request_id":"[0-9a-f-]{36}"`)
	requests := 0
	for line := range strings.Lines(log) {
		switch {
		case strings.Contains(line, `"level":"ERROR"`), !strings.HasPrefix(line, `{"timestamp":`):
			t.Errorf("log line %s", line)
		case strings.Contains(line, `"message":"request"`):
			requests++
			if !request.MatchString(line) {
				t.Errorf("log line %s", line)
			}
		}
	}
	if requests < 100 {
		t.Errorf("the log has %d requests", requests)
	}
}
