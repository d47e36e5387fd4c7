package gateway_test

import (
	"cmp"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
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

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"webhooks/infra/gateway"
	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

// request is a request for a function. In the path, {id}, {event} and {delivery} stand for new ones that belong together.
type request struct{ function, method, path string }

var createWebhook = request{"create-webhook", "POST", "/webhooks"}

// warmCalls has a request for each function and the calls to AWS that it costs once the function is warm and the caller's
// API key cached.
var warmCalls = map[request]string{
	createWebhook:                                                            "BatchGetItem TransactWriteItems",
	{"list-webhooks", "GET", "/webhooks"}:                                    "GetItem Query",
	{"list-webhook-types", "GET", "/webhooks/types"}:                         "Query Query",
	{"get-webhook", "GET", "/webhooks/{id}"}:                                 "GetItem",
	{"delete-webhook", "DELETE", "/webhooks/{id}"}:                           "GetItem TransactWriteItems",
	{"publish-event", "POST", "/events"}:                                     "Query PutItem SendMessageBatch",
	{"get-event", "GET", "/events/{event}"}:                                  "GetItem GetItem BatchGetItem",
	{"list-deliveries", "GET", "/webhooks/{id}/deliveries"}:                  "Query BatchGetItem",
	{"get-delivery", "GET", "/webhooks/{id}/deliveries/{delivery}"}:          "BatchGetItem",
	{"retry-delivery", "POST", "/webhooks/{id}/deliveries/{delivery}/retry"}: "BatchGetItem UpdateItem SendMessageBatch",
	{"get-webhook-status", "GET", "/webhooks/{id}/status"}:                   "Query BatchGetItem BatchGetItem",
}

// coldStart is what a function calls before the calls of its first request: to check at startup that it can read the
// table, to find the caller's key, and to record the day on which the key was last used.
const coldStart = "GetItem GetItem UpdateItem "

// TestFunctions runs the functions as they are deployed, on DynamoDB Local and moto's SQS and KMS.
func TestFunctions(t *testing.T) {
	s := newStack(t)
	t.Run("contract", func(t *testing.T) { testContract(t, s) })
	t.Run("events", func(t *testing.T) { testEvents(t, s) })
	t.Run("ingest", func(t *testing.T) { testIngest(t, s.empty(t)) })
	t.Run("calls", func(t *testing.T) { testCalls(t, s) })
	t.Run("misconfigured", func(t *testing.T) { testMisconfigured(t, s) })
	t.Run("unusable KMS", func(t *testing.T) { testUnusableKMS(t, s) })
}

// testContract runs the contract tests of infra/e2e, and then checks the log: JSON lines with the IDs of the request,
// no errors and no secrets.
func testContract(t *testing.T, s *stack) {
	server := s.serve(t, nil)
	server.pump(t)
	const main, other = "e2e-main", "e2e-other"
	past, all := time.Now().Add(-time.Hour).UTC(), access.Permissions()
	only := func(permissions ...access.Permission) access.Key {
		return access.Key{Company: main, Permissions: permissions}
	}
	keys := map[string]string{
		"WEBHOOKS_E2E_KEY":          s.key(t, only(all...)),
		"WEBHOOKS_E2E_READ_KEY":     s.key(t, only(access.WebhooksRead)),
		"WEBHOOKS_E2E_WRITE_KEY":    s.key(t, only(access.WebhooksWrite)),
		"WEBHOOKS_E2E_PUBLISH_KEY":  s.key(t, only(access.EventsWrite)),
		"WEBHOOKS_E2E_EVENTS_KEY":   s.key(t, only(access.EventsRead)),
		"WEBHOOKS_E2E_PLATFORM_KEY": s.key(t, access.Key{Permissions: []access.Permission{access.EventsRead, access.EventsWrite}}),
		"WEBHOOKS_E2E_OTHER_KEY":    s.key(t, access.Key{Company: other, Permissions: all}),
		"WEBHOOKS_E2E_REVOKED_KEY":  s.key(t, access.Key{Company: main, Permissions: all, RevokedAt: past}),
		"WEBHOOKS_E2E_EXPIRED_KEY":  s.key(t, access.Key{Company: main, Permissions: all, ExpiresAt: past}),
	}
	receiver := fmt.Sprintf("https://127.0.0.1:%d/webhooks/billing", freePort(t))
	suite := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run=^TestContract$", "webhooks/infra/e2e")
	suite.Env = append(os.Environ(), "CI=true", "WEBHOOKS_E2E_URL="+server.URL, "WEBHOOKS_E2E_HOST=gateway",
		"WEBHOOKS_E2E_RECEIVER="+receiver, "WEBHOOKS_E2E_AUTHORITY="+s.authority(t), "WEBHOOKS_E2E_QUOTA="+strconv.Itoa(quota))
	for variable, key := range keys {
		suite.Env = append(suite.Env, variable+"="+key)
	}
	if out, err := suite.CombinedOutput(); err != nil {
		t.Errorf("contract tests: %v\n%s", err, out)
	}
	var log string
	for _, f := range server.functions {
		log += logOf(t, f)
	}
	for _, secret := range append(slices.Collect(maps.Values(keys)), "whsec_", receiver) {
		if strings.Contains(log, secret) {
			t.Errorf("the log contains %s", secret)
		}
	}
	withIDs := regexp.MustCompile(`(?m)^\{"timestamp":.*"message":"request",.*"request_id":"req_[0-9A-Z]{26}".*"lambda_request_id":"[0-9a-f-]{36}"`)
	complete, count := len(withIDs.FindAllString(log, -1)), strings.Count(log, `"message":"request"`)
	if complete != count || count < 100 {
		t.Errorf("%d of %d requests in the log have both IDs, want all of at least 100", complete, count)
	}
	for line := range strings.Lines(log) {
		if isMetric := strings.HasPrefix(line, `{"Stack":"test","_aws":`); !isMetric && !strings.HasPrefix(line, `{"timestamp":`) || strings.Contains(line, `"level":"ERROR"`) {
			t.Errorf("log line %s", line)
		}
	}
}

// freePort returns a port below those that Linux and macOS choose for outgoing connections.
func freePort(t *testing.T) int {
	t.Helper()
	for port := 30000; port < 32768; port++ {
		if listener, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			listener.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// authority returns a file with the certificate authority that the functions trust, and its key.
func (s *stack) authority(t *testing.T) string {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(s.receiver.TLS.Certificates[0].PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "authority.pem")
	content := append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), s.settings["WEBHOOKS_CA_PEM"]...)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// testEvents invokes every function with the sample event in its directory, after replacing the sample key and IDs.
func testEvents(t *testing.T, s *stack) {
	key := s.key(t, access.Key{Company: company, Permissions: access.Permissions()})
	for name := range s.bootstraps {
		t.Run(name, func(t *testing.T) {
			event, err := os.ReadFile(filepath.Join("..", "..", "functions", name, "event.json"))
			if err != nil {
				t.Fatal(err)
			}
			isRoute := func(r api.Route) bool {
				return r.Function == name && strings.Count(string(event), fmt.Sprintf(`"routeKey": "%s %s"`, r.Method, r.Path)) == 2
			}
			want := map[string]string{
				"ingest-event": `{"batchItemFailures":[]}`, "fan-out-event": `{"batchItemFailures":[]}`, "deliver-webhook": `{"batchItemFailures":[]}`,
				"requeue-due-deliveries": `{}`,
			}[name]
			if want == "" && !slices.ContainsFunc(api.Routes(), isRoute) {
				t.Errorf("the event does not have a route of the function twice: %s", event)
			}
			webhook, stored, delivery := s.delivered(t)
			for sample, value := range map[string]string{
				"whk_[a-z2-7]{58}": key, "wh_[0-9A-Z]{26}": webhook, "evt_[0-9A-Z]{26}": stored, "dlv_[0-9A-Z]{26}": delivery,
			} {
				event = regexp.MustCompile(sample).ReplaceAll(event, []byte(value))
			}
			f := s.function(t, name, map[string]string{"WEBHOOKS_TLS_CHECK": "off"})
			if out, err := f.Invoke(t.Context(), event); err != nil || !strings.HasPrefix(string(out), cmp.Or(want, `{"statusCode":20`)) {
				t.Errorf("got %s, error %v", out, err)
			}
		})
	}
}

// testIngest hands ingest-event an event for a webhook, and one that cannot be accepted.
func testIngest(t *testing.T, s *stack) {
	s.webhook(t)
	const accepted = `{"id":"1","detail-type":"RecurringPayments.charge.paid","detail":{"company":"` + company + `","key":"4711","data":{}}}`
	event, err := json.Marshal(map[string]any{"Records": []any{
		map[string]any{"messageId": "1", "eventSource": "aws:sqs", "body": "nonsense"},
		map[string]any{"messageId": "2", "eventSource": "aws:sqs", "body": accepted},
	}})
	if err != nil {
		t.Fatal(err)
	}
	f := s.function(t, "ingest-event", nil)
	if out, err := f.Invoke(t.Context(), event); err != nil || string(out) != `{"batchItemFailures":[]}` {
		t.Errorf("got %s, error %v", out, err)
	}
	if stored, err := s.deliveries.Event(t.Context(), company, webhook.KeyedEventID(company, "4711")); err != nil || stored.Key != "4711" {
		t.Errorf("got %+v, error %v", stored, err)
	}
	for url, want := range map[string]string{s.queues.Deliveries: `"kind":"delivery"`, s.queues.DeadIngest: "nonsense The request body must be a single JSON object."} {
		out, err := s.sqs.ReceiveMessage(t.Context(), &awssqs.ReceiveMessageInput{QueueUrl: &url, MessageAttributeNames: []string{"reason"}, MaxNumberOfMessages: 10})
		if err != nil || len(out.Messages) != 1 {
			t.Fatalf("%s: got %+v, error %v, want one message", url, out, err)
		}
		text := *out.Messages[0].Body
		if reason, ok := out.Messages[0].MessageAttributes["reason"]; ok {
			text += " " + *reason.StringValue
		}
		if !strings.Contains(text, want) {
			t.Errorf("%s: got %s, want %s", url, text, want)
		}
	}
	for _, want := range []string{`"webhooks_events_accepted_total":[1]`, `"webhooks_messages_rejected_total":[1]`} {
		if log := logOf(t, f); !strings.Contains(log, want) {
			t.Errorf("the log does not have %s:\n%s", want, log)
		}
	}
}

// testCalls counts the calls to DynamoDB and KMS, and measures the memory.
func testCalls(t *testing.T, s *stack) {
	check := func(t *testing.T, s *stack, r request, cold, warm string) {
		t.Helper()
		settings, takeCalls := s.proxied(t, "")
		server := s.serve(t, settings)
		for _, want := range []string{cold, warm} {
			if status, body := server.send(t, r); status >= 300 {
				t.Fatalf("%d %s", status, body)
			}
			if got, want := takeCalls(), slices.Sorted(strings.FieldsSeq(want)); !slices.Equal(got, want) {
				t.Errorf("calls %s, want %s", got, want)
			}
		}
		wantSmall(t, server.functions[r.function])
	}
	for r, warm := range warmCalls {
		// Every webhook gets every event, and with many webhooks there are more calls.
		t.Run(r.function, func(t *testing.T) { check(t, s.empty(t), r, coldStart+warm, warm) })
	}
	t.Run("deliver-webhook", func(t *testing.T) { testDeliveryCalls(t, s.empty(t)) })
	t.Run("create-webhook with KMS", func(t *testing.T) {
		s, warm := s.withKMS(t), warmCalls[createWebhook]
		// The first process creates the data key. Every later one decrypts it.
		check(t, s, createWebhook, coldStart+"Query GenerateDataKey PutItem "+warm, warm)
		check(t, s, createWebhook, coldStart+"Query Decrypt "+warm, warm)
	})
}

// testDeliveryCalls counts the calls for an event with 100 webhooks, and for its deliveries, which come in batches of ten, to a receiver
// that acknowledges them: they are the same for the first batch and for a later one.
func testDeliveryCalls(t *testing.T, s *stack) {
	const webhooks, batch = 100, 10
	const created = webhooks/2 - 1 // each call of send creates another webhook
	settings, takeCalls := s.proxied(t, "")
	check := func(want ...string) {
		t.Helper()
		if got := takeCalls(); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("calls %s, want %s", got, want)
		}
	}
	publish := request{"publish-event", "POST", "/events"}
	server := s.serve(t, settings)
	if status, body := server.send(t, publish); status != http.StatusAccepted { // so that the function is warm
		t.Fatalf("%d %s", status, body)
	}
	ids := make([]string, created)
	for i := range ids {
		_, body := server.send(t, createWebhook)
		ids[i] = regexp.MustCompile("wh_[0-9A-Z]{26}").FindString(body)
	}
	takeCalls()
	_, body := server.send(t, publish)
	check(append(slices.Repeat([]string{"SendMessageBatch"}, webhooks/batch), "Query", "PutItem")...)
	stored, err := s.deliveries.Event(t.Context(), company, regexp.MustCompile("evt_[0-9A-Z]{26}").FindString(body))
	if err != nil {
		t.Fatal(err)
	}
	f := s.function(t, "deliver-webhook", settings)
	for _, some := range [][]string{ids[:batch], ids[batch : 2*batch], ids[2*batch : 2*batch+1]} {
		var records []any
		for _, id := range some {
			m := webhook.Message{Kind: webhook.MessageDelivery, Ref: webhook.Ref{Company: company, WebhookID: id, EventID: stored.ID, AcceptedAt: stored.AcceptedAt}}
			records = append(records, map[string]any{"messageId": id, "eventSource": "aws:sqs", "body": m.Text()})
		}
		event, err := json.Marshal(map[string]any{"Records": records})
		if err != nil {
			t.Fatal(err)
		}
		if out, err := f.Invoke(t.Context(), event); err != nil || string(out) != `{"batchItemFailures":[]}` {
			t.Errorf("got %s, error %v", out, err)
		}
		check(append(slices.Repeat([]string{"UpdateItem"}, len(some)), "BatchGetItem")...)
		// Whenever a message is repeated, there is nothing left to do.
		if out, err := f.Invoke(t.Context(), event); err != nil || string(out) != `{"batchItemFailures":[]}` {
			t.Errorf("repeated: got %s, error %v", out, err)
		}
		check("BatchGetItem")
	}
	wantSmall(t, f)
	if log := logOf(t, f); strings.Count(log, `"webhooks_attempts_total":[10]`) != 2 || strings.Count(log, `"webhooks_attempts_total":[1]`) != 1 {
		t.Errorf("the log does not count 10, 10 and 1 attempts:\n%s", log)
	}
}

// wantSmall checks that a function has never had more than 20 MiB resident.
func wantSmall(t *testing.T, f *gateway.Function) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return // the memory of a process can only be read on Linux
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", f.PID()))
	if err != nil {
		t.Fatal(err)
	}
	size := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	if kib, err := strconv.Atoi(string(size[1])); err != nil || kib > 20<<10 {
		t.Errorf("%d KiB resident, want at most 20 MiB", kib)
	}
}

// testMisconfigured starts the functions with settings that cannot work. Each says why when it starts, returns 500, and
// keeps running.
func testMisconfigured(t *testing.T, s *stack) {
	for cause, settings := range map[string]map[string]string{
		"WEBHOOKS_SUBSCRIPTIONS_TABLE is not set": {"WEBHOOKS_SUBSCRIPTIONS_TABLE": ""},
		`table "nothing" does not exist`:          {"WEBHOOKS_SUBSCRIPTIONS_TABLE": "nothing"},
	} {
		for r := range warmCalls {
			t.Run(r.function+": "+cause, func(t *testing.T) { s.checkFailure(t, r, settings, cause) })
		}
	}
	for cause, settings := range map[string]map[string]string{
		"WEBHOOKS_KMS_KEY is not set": {"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_KEY": ""},
		"WEBHOOKS_KMS_ENDPOINT":       {"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_ENDPOINT": "nonsense"},
		`WEBHOOKS_QUOTA is "many"`:    {"WEBHOOKS_QUOTA": "many"},
	} {
		t.Run(cause, func(t *testing.T) { s.checkFailure(t, createWebhook, settings, cause) })
	}
}

// testUnusableKMS runs create-webhook with a KMS key that does not exist, and denies it each call with which it gets its data
// key, one at a time.
func testUnusableKMS(t *testing.T, s *stack) {
	s = s.withKMS(t)
	unknown := map[string]string{"WEBHOOKS_KMS_KEY": "00000000-0000-0000-0000-000000000000"}
	t.Run("unknown key", func(t *testing.T) { s.checkFailure(t, createWebhook, unknown, "operation error KMS: ") })
	for _, operation := range []string{"Query", "GenerateDataKey", "PutItem", "Decrypt"} {
		if operation == "Decrypt" { // which takes a data key
			if status, body := s.serve(t, nil).send(t, createWebhook); status != http.StatusCreated || !strings.Contains(body, "whsec_") {
				t.Fatalf("%d %s", status, body)
			}
		}
		t.Run(operation, func(t *testing.T) {
			denied, _ := s.proxied(t, operation)
			s.checkFailure(t, createWebhook, denied, ": "+operation+", ")
		})
	}
}

// checkFailure sends two requests to a function. Both must fail with 500, and the log must have the cause at startup and for
// each request.
func (s *stack) checkFailure(t *testing.T, r request, settings map[string]string, cause string) {
	t.Helper()
	server := s.serve(t, settings)
	for range 2 {
		if status, body := server.send(t, r); status != http.StatusInternalServerError || body != `{"error":"Internal error"}` {
			t.Errorf("got %d %s", status, body)
		}
	}
	log := logOf(t, server.functions[r.function])
	var messages []string
	for text := range strings.Lines(log) {
		var line struct{ Level, Message, Cause string }
		if err := json.Unmarshal([]byte(text), &line); err != nil {
			t.Fatalf("log line %q: %v", text, err)
		}
		if line.Level == "ERROR" && strings.Contains(line.Cause, cause) {
			messages = append(messages, line.Message)
		}
	}
	want := []string{"request failed", "request failed"}
	if len(messages) == 0 || !strings.HasPrefix(messages[0], "the function is misconfigured") || !slices.Equal(messages[1:], want) {
		t.Errorf("the log does not have the cause %q once at startup and for both requests:\n%s", cause, log)
	}
}
