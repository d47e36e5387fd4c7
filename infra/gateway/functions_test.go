package gateway_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/api"
)

// requests has a request for each function and the calls to AWS that it costs once the function is warm and the
// caller's API key cached.
var requests = []struct{ name, function, method, path, warm string }{
	{"list", "list-webhooks", "GET", "/webhooks", "GetItem Query"},
	{"list page 3", "list-webhooks", "GET", "/webhooks?size=1&page=3", "GetItem Query Query"},
	{"create", "create-webhook", "POST", "/webhooks", "BatchGetItem TransactWriteItems"},
	{"types", "list-webhook-types", "GET", "/webhooks/types", "Query Query"},
	{"get", "get-webhook", "GET", "/webhooks/{id}", "GetItem"},
	{"get unknown", "get-webhook", "GET", "/webhooks/wh_01JDD9XV8Q4ZJ0T6Q5Y1Q2W3E4", "GetItem"},
	{"delete", "delete-webhook", "DELETE", "/webhooks/{id}", "GetItem TransactWriteItems"},
}

// coldStart is what a function calls before the calls of its first request: to check at startup that it can read the
// table, and to find the caller's key.
const coldStart = "GetItem GetItem "

// TestFunctions runs the functions as they are deployed, on DynamoDB Local and moto's KMS.
func TestFunctions(t *testing.T) {
	s := newStack(t)
	t.Run("contract", func(t *testing.T) { testContract(t, s) })
	t.Run("events", func(t *testing.T) { testEvents(t, s) })
	t.Run("calls", func(t *testing.T) { testCalls(t, s) })
	t.Run("misconfigured", func(t *testing.T) { testMisconfigured(t, s) })
	t.Run("access denied", func(t *testing.T) { testDenied(t, s) })
	t.Run("memory", func(t *testing.T) { testMemory(t, s) })
}

// testContract runs the contract tests of infra/e2e, and then checks the log: JSON lines with the IDs of the request,
// no errors and no secrets.
func testContract(t *testing.T, s *stack) {
	server := s.serve(t, nil)
	past := time.Now().Add(-time.Hour).UTC()
	keys := map[string]string{
		"WEBHOOKS_E2E_KEY":         s.key(t, "main", nil, access.Permissions()...),
		"WEBHOOKS_E2E_READ_KEY":    s.key(t, "main", nil, access.WebhooksRead),
		"WEBHOOKS_E2E_WRITE_KEY":   s.key(t, "main", nil, access.WebhooksWrite),
		"WEBHOOKS_E2E_OTHER_KEY":   s.key(t, "other", nil, access.Permissions()...),
		"WEBHOOKS_E2E_REVOKED_KEY": s.key(t, "main", func(k *access.Key) { k.RevokedAt = past }, access.Permissions()...),
		"WEBHOOKS_E2E_EXPIRED_KEY": s.key(t, "main", func(k *access.Key) { k.ExpiresAt = past }, access.Permissions()...),
	}
	suite := exec.CommandContext(t.Context(), "go", "test", "-count=1", "webhooks/infra/e2e")
	suite.Env = append(os.Environ(), "CI=true", "WEBHOOKS_E2E_URL="+server.URL, "WEBHOOKS_E2E_HOST=gateway",
		"WEBHOOKS_E2E_RECEIVER="+s.receiver, "WEBHOOKS_E2E_QUOTA="+strconv.Itoa(quota))
	for variable, key := range keys {
		suite.Env = append(suite.Env, variable+"="+key)
	}
	if out, err := suite.CombinedOutput(); err != nil {
		t.Errorf("contract tests: %v\n%s", err, out)
	}
	log := server.log()
	for _, secret := range append(slices.Collect(maps.Values(keys)), "whsec_", s.receiver) {
		if strings.Contains(log, secret) {
			t.Errorf("the log contains %s", secret)
		}
	}
	request := regexp.MustCompile(`^\{"timestamp":"[^"]+","level":"(INFO|WARN)","message":"request",.*"request_id":"req_[0-9A-Z]{26}".*"lambda_request_id":"[0-9a-f-]{36}"`)
	count := 0
	for line := range strings.Lines(log) {
		isRequest := strings.Contains(line, `"message":"request"`)
		if isRequest {
			count++
		}
		if strings.Contains(line, `"level":"ERROR"`) || !strings.HasPrefix(line, `{"timestamp":`) || isRequest && !request.MatchString(line) {
			t.Errorf("log line %s", line)
		}
	}
	if count < 100 {
		t.Errorf("the log has %d requests", count)
	}
}

// testEvents invokes every function with the sample event in its directory, after replacing the sample key and webhook
// ID.
func testEvents(t *testing.T, s *stack) {
	key := s.key(t, "events", nil, access.Permissions()...)
	for name := range s.bootstraps {
		t.Run(name, func(t *testing.T) {
			event, err := os.ReadFile(filepath.Join("..", "..", "functions", name, "event.json"))
			if err != nil {
				t.Fatal(err)
			}
			var e struct {
				RouteKey       string
				RequestContext struct{ RouteKey string }
			}
			if err := json.Unmarshal(event, &e); err != nil {
				t.Fatal(err)
			}
			isRoute := func(r api.Route) bool { return r.Function == name && r.Method+" "+r.Path == e.RouteKey }
			if !slices.ContainsFunc(api.Routes(), isRoute) || e.RequestContext.RouteKey != e.RouteKey {
				t.Errorf("event %+v", e)
			}
			sampleKey := regexp.MustCompile(`whk_[a-z2-7]{58}`)
			if _, err := access.HashSecret(string(sampleKey.Find(event))); err != nil {
				t.Errorf("the sample API key: %v", err)
			}
			event = sampleKey.ReplaceAll(event, []byte(key))
			event = regexp.MustCompile(`wh_[0-9A-Z]{26}`).ReplaceAll(event, []byte(s.webhook(t, "events")))
			f := s.function(t, name, map[string]string{"WEBHOOKS_TLS_CHECK": "off"})
			if out, err := f.Invoke(t.Context(), event); err != nil || !strings.Contains(string(out), `"statusCode":20`) {
				t.Errorf("got %s, error %v", out, err)
			}
		})
	}
}

// testCalls counts the calls to DynamoDB and KMS.
func testCalls(t *testing.T, s *stack) {
	check := func(t *testing.T, s *stack, settings map[string]string, method, path, cold, warm string) {
		t.Helper()
		aws := newProxy(t, s.endpoint, settings, "")
		server := s.serve(t, aws.settings)
		c := s.caller(t, "calls-"+newULID())
		for range 3 {
			s.webhook(t, c.company)
		}
		for _, want := range []string{cold, warm} {
			if status, _, body := server.send(t, s, c, method, path); status >= 500 {
				t.Fatalf("%d %s", status, body)
			}
			if got := aws.take(); got != sorted(want) {
				t.Errorf("calls %s, want %s", got, sorted(want))
			}
		}
	}
	for _, r := range requests {
		t.Run(r.name, func(t *testing.T) { check(t, s, nil, r.method, r.path, coldStart+r.warm, r.warm) })
	}
	t.Run("create with KMS", func(t *testing.T) {
		const warm = "BatchGetItem TransactWriteItems"
		s, settings := s.empty(t), kmsSettings(t)
		// The first process creates the data key. Every later one decrypts it.
		check(t, s, settings, "POST", "/webhooks", coldStart+"Query GenerateDataKey PutItem "+warm, warm)
		check(t, s, settings, "POST", "/webhooks", coldStart+"Query Decrypt "+warm, warm)
	})
}

// testMisconfigured starts the functions with settings that cannot work. Each says why when it starts, returns 500, and
// keeps running.
func testMisconfigured(t *testing.T, s *stack) {
	tests := []struct {
		name     string
		settings map[string]string
		cause    string
		only     string // the function that reads the setting; empty for all
	}{
		{"table not set", map[string]string{"WEBHOOKS_SUBSCRIPTIONS_TABLE": ""}, "WEBHOOKS_SUBSCRIPTIONS_TABLE is not set", ""},
		{"unknown table", map[string]string{"WEBHOOKS_SUBSCRIPTIONS_TABLE": "nothing"}, `"nothing"`, ""},
		{"no credentials", map[string]string{"AWS_ACCESS_KEY_ID": ""}, "AWS_ACCESS_KEY_ID is not set", ""},
		{"no token key", map[string]string{"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_KEY": ""}, "WEBHOOKS_KMS_KEY is not set", "create-webhook"},
		{"KMS endpoint", map[string]string{"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_ENDPOINT": "nonsense"}, "WEBHOOKS_KMS_ENDPOINT", "create-webhook"},
		{"quota", map[string]string{"WEBHOOKS_QUOTA": "many"}, `WEBHOOKS_QUOTA is "many"`, "create-webhook"},
	}
	for _, test := range tests {
		for _, r := range requests {
			if test.only == "" || test.only == r.function {
				t.Run(test.name+"/"+r.name, func(t *testing.T) {
					s.checkFailure(t, r.function, r.method, r.path, test.settings, true, test.cause)
				})
			}
		}
	}
	t.Run("unknown KMS key", func(t *testing.T) {
		settings := kmsSettings(t)
		settings["WEBHOOKS_KMS_KEY"] = "00000000-0000-0000-0000-000000000000"
		s.empty(t).checkFailure(t, "create-webhook", "POST", "/webhooks", settings, true, "operation error KMS: ")
	})
}

// testDenied denies each call that a function makes, one at a time. The function says so at startup if it makes the call
// there, and for each request.
func testDenied(t *testing.T, s *stack) {
	deny := func(t *testing.T, s *stack, settings map[string]string, function, method, path, startup, later string) {
		t.Helper()
		for _, operation := range strings.Fields(startup + later) {
			t.Run(operation, func(t *testing.T) {
				aws := newProxy(t, s.endpoint, settings, operation)
				s.checkFailure(t, function, method, path, aws.settings, strings.Contains(startup, operation), "operation error ", ":"+operation)
			})
		}
	}
	for _, r := range requests {
		later := strings.ReplaceAll(r.warm, "GetItem", "")
		if r.function == "create-webhook" {
			later = r.warm
		}
		t.Run(r.name, func(t *testing.T) { deny(t, s, nil, r.function, r.method, r.path, "GetItem ", later) })
	}
	t.Run("create with KMS", func(t *testing.T) {
		s, settings := s.empty(t), kmsSettings(t)
		deny(t, s, settings, "create-webhook", "POST", "/webhooks", "Query GenerateDataKey PutItem ", "")
		server := s.serve(t, settings)
		if status, _, body := server.send(t, s, s.caller(t, "kms"), "POST", "/webhooks"); status != http.StatusCreated || !strings.Contains(body, "whsec_") {
			t.Fatalf("%d %s", status, body)
		}
		deny(t, s, settings, "create-webhook", "POST", "/webhooks", "Decrypt ", "")
	})
}

// checkFailure sends two requests to a function. Both must fail with 500, and the log must say why: once at startup if
// atStartup, and for each request.
func (s *stack) checkFailure(t *testing.T, function, method, path string, settings map[string]string, atStartup bool, causes ...string) {
	t.Helper()
	server, c := s.serve(t, settings), s.caller(t, "failing")
	var ids []string
	for range 2 {
		status, header, body := server.send(t, s, c, method, path)
		if status != http.StatusInternalServerError || body != `{"error":"Internal error"}` || header.Get("Cache-Control") != "no-store" {
			t.Errorf("got %d %s %v", status, body, header)
		}
		ids = append(ids, header.Get("X-Request-Id"))
	}
	log := server.functions[function].log()
	var startups int
	for text := range strings.Lines(log) {
		var line struct {
			Level, Message, Cause string
			RequestID             string `json:"request_id"`
		}
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("log line %q: %v", text, err)
		}
		failure := line.Message == "request failed"
		if startup := strings.HasPrefix(line.Message, "the function is misconfigured"); startup {
			startups++
		} else if !failure {
			continue
		}
		missing := func(cause string) bool { return !strings.Contains(line.Cause, cause) }
		if line.Level != "ERROR" || slices.ContainsFunc(causes, missing) || failure && (len(ids) == 0 || line.RequestID != ids[0]) {
			t.Errorf("log line %s, want the causes %q and the ID of %v", text, causes, ids)
		} else if failure {
			ids = ids[1:]
		}
	}
	if len(ids) > 0 || startups == 1 != atStartup {
		t.Errorf("the log has %d startup errors and lacks requests %v:\n%s", startups, ids, log)
	}
}

// testMemory checks that no function has more than 20 MiB resident after its first response.
func testMemory(t *testing.T, s *stack) {
	if runtime.GOOS != "linux" {
		t.Skip("the memory of a process can only be read on Linux")
	}
	s, settings := s.empty(t), kmsSettings(t)
	settings["GOMAXPROCS"] = "1" // as in template.yaml
	server, c := s.serve(t, settings), s.caller(t, "memory")
	for _, r := range requests {
		if status, _, body := server.send(t, s, c, r.method, r.path); status >= 500 {
			t.Fatalf("%d %s", status, body)
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", server.functions[r.function].PID()))
		if err != nil {
			t.Fatal(err)
		}
		size := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(text)
		if kib, err := strconv.Atoi(string(size[1])); err != nil || kib > 20<<10 {
			t.Errorf("%s: %d KiB resident, want at most 20 MiB", r.function, kib)
		}
	}
}
