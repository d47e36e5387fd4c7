package gateway_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/oklog/ulid/v2"

	"webhooks/infra/bootstrap"
	"webhooks/infra/gateway"
	"webhooks/shared/access"
	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/sqs"
	"webhooks/shared/webhook"
)

// quota makes a full company's list longer than one page of 100.
const quota = 105

var dummyCredentials = credentials.NewStaticCredentialsProvider("ASIADUMMY", "dummy", "dummy")

// stack is what a deployment has: built functions, their settings, tables and queues.
type stack struct {
	bootstraps map[string]string // by function
	receiver   *httptest.Server  // for webhooks
	deliveries *dynamo.Deliveries
	store      *dynamo.Store
	sqs        *awssqs.Client
	queues     sqs.URLs
	settings   map[string]string
}

// timeouts are those of template.yaml that are not the default.
var timeouts = map[string]time.Duration{
	"deliver-webhook": 30 * time.Second, "ingest-event": 30 * time.Second, "fan-out-event": time.Minute, "requeue-due-deliveries": 55 * time.Second,
}

func newStack(t *testing.T) *stack {
	t.Helper()
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	s := &stack{
		bootstraps: make(map[string]string),
		receiver:   receiver,
		settings: map[string]string{
			"WEBHOOKS_QUOTA":             strconv.Itoa(quota),
			"WEBHOOKS_TOKEN_KEY":         base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
			"WEBHOOKS_KMS_KEY":           "TokenKey", // SAM passes names that it cannot resolve
			"WEBHOOKS_CA_PEM":            string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw})),
			"WEBHOOKS_ALLOW_NETWORKS":    "127.0.0.0/8",
			"WEBHOOKS_STACK":             "test",
			"GOMAXPROCS":                 "1", // as in template.yaml
			"WEBHOOKS_DYNAMODB_ENDPOINT": dynamotest.Endpoint(t),
			"WEBHOOKS_SQS_ENDPOINT":      dynamotest.Service(t, "WEBHOOKS_TEST_MOTO_ENDPOINT"),
		},
	}
	names, err := bootstrap.Functions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if s.bootstraps[name], err = bootstrap.Build(t.Context(), name, bootstrap.Native(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
	return s.empty(t)
}

// empty returns the stack with other tables, which contain only event types, and other queues.
func (s *stack) empty(t *testing.T) *stack {
	t.Helper()
	other := *s
	prefix := "gateway-" + rand.Text()[:10] + "-"
	subscriptions, deliveries := dynamo.SubscriptionsTable(prefix), dynamo.DeliveriesTable(prefix)
	other.settings = maps.Clone(s.settings)
	other.settings["WEBHOOKS_SUBSCRIPTIONS_TABLE"], other.settings["WEBHOOKS_DELIVERIES_TABLE"] = subscriptions, deliveries
	const region = "eu-west-1"
	config := dynamo.Config{Endpoint: s.settings["WEBHOOKS_DYNAMODB_ENDPOINT"], Region: region, Credentials: dummyCredentials}
	other.deliveries = dynamo.NewDeliveries(dynamo.NewClient(config), subscriptions, deliveries)
	other.store = other.deliveries.Subscriptions()
	err := other.deliveries.CreateTables(t.Context())
	for _, name := range []string{"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"} {
		err = errors.Join(err, other.store.AddEventType(t.Context(), webhook.EventType{Name: name, AddedAt: time.Now()}))
	}
	other.sqs = sqs.NewClient(sqs.Config{Endpoint: s.settings["WEBHOOKS_SQS_ENDPOINT"], Region: region, Credentials: dummyCredentials})
	var queuesErr error
	other.queues, queuesErr = sqs.Create(t.Context(), other.sqs, prefix)
	if err := errors.Join(err, queuesErr); err != nil {
		t.Fatal(err)
	}
	return &other
}

// withKMS returns the stack with another table and a new KMS key that seals tokens, as in a deployment.
func (s *stack) withKMS(t *testing.T) *stack {
	t.Helper()
	url := dynamotest.Service(t, "WEBHOOKS_TEST_MOTO_ENDPOINT")
	client := kms.New(kms.Options{Region: "eu-west-1", BaseEndpoint: &url, Credentials: dummyCredentials})
	key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	other := s.empty(t)
	maps.Copy(other.settings, map[string]string{"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_KEY": *key.KeyMetadata.Arn, "WEBHOOKS_KMS_ENDPOINT": url})
	return other
}

// logOf stops a function's processes, so that all output has arrived, and returns it.
func logOf(t *testing.T, f *gateway.Function) string {
	t.Helper()
	f.Stop()
	log, err := os.ReadFile(f.Output.(*os.File).Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

// function returns one function, with changes to its settings. Its output goes to a file.
func (s *stack) function(t *testing.T, name string, changes map[string]string) *gateway.Function {
	t.Helper()
	settings := gateway.QueueSettings(s.queues, name)
	maps.Copy(settings, s.settings)
	maps.Copy(settings, changes)
	output, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = output.Close() })
	f := gateway.NewFunction(gateway.Config{
		Name: name, Bootstrap: s.bootstraps[name], Settings: settings, Timeout: cmp.Or(timeouts[name], 15*time.Second), Concurrency: 2, Output: output,
	})
	t.Cleanup(f.Stop)
	return f
}

// service is all functions behind a gateway, and a company's API key.
type service struct {
	*httptest.Server
	stack     *stack
	functions map[string]*gateway.Function
	key       string
}

// company owns the webhooks and keys of all tests but the contract tests.
const company = "acme"

func (s *stack) serve(t *testing.T, changes map[string]string) service {
	t.Helper()
	functions, invokers := make(map[string]*gateway.Function), make(map[string]gateway.Invoker)
	for name := range s.bootstraps {
		functions[name] = s.function(t, name, changes)
		invokers[name] = functions[name]
	}
	server := httptest.NewServer(gateway.New(invokers, time.Now))
	t.Cleanup(server.Close)
	return service{server, s, functions, s.key(t, access.Key{Company: company, Permissions: access.Permissions()})}
}

// pump starts a pump for the functions, which stops at the end of the test.
func (s service) pump(t *testing.T) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	functions := make(map[string]gateway.Invoker)
	for name, f := range s.functions {
		functions[name] = f
	}
	// Two requests of moto's clients for messages at the same time can get the same ones.
	pump := gateway.Pump{SQS: s.stack.sqs, Queues: s.stack.queues, Functions: functions, Concurrency: 1, Every: 5 * time.Second, Log: slog.Default()}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		pump.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-stopped
	})
}

// send sends a request and returns the response's status and body. The bodies of other requests than POST are ignored.
func (s service) send(t *testing.T, r request) (status int, body string) {
	t.Helper()
	body = `{"event":{"type":"RecurringPayments.charge.paid","data":{}}}`
	if r == createWebhook {
		body = fmt.Sprintf(`{"webhook":{"name":"n","url":"%s/webhooks/billing","events":"RecurringPayments.charge.paid"}}`, s.stack.receiver.URL)
	}
	webhook, event, delivery := s.stack.delivered(t)
	path := strings.NewReplacer("{id}", webhook, "{event}", event, "{delivery}", delivery).Replace(r.path)
	sent, response := httptest.NewRequestWithContext(t.Context(), r.method, path, strings.NewReader(body)), httptest.NewRecorder()
	sent.Header.Set("Authorization", "Bearer "+s.key)
	s.Config.Handler.ServeHTTP(response, sent)
	return response.Code, response.Body.String()
}

// key stores an API key, which only needs a company and permissions, and returns its secret.
func (s *stack) key(t *testing.T, key access.Key) string {
	t.Helper()
	secret, err := access.NewSecret(rand.Reader)
	hash, hashErr := access.HashSecret(secret)
	key.ID, key.Hash, key.CreatedAt = access.NewKeyID(key.Company, newULID()), hash, time.Now().UTC()
	if err := errors.Join(err, hashErr, s.store.CreateKey(t.Context(), key)); err != nil {
		t.Fatal(err)
	}
	return secret
}

// webhook stores a new webhook and returns its ID.
func (s *stack) webhook(t *testing.T) string {
	t.Helper()
	id := webhook.NewID(newULID())
	_, err := s.store.CreateWebhook(t.Context(), webhook.Creation{Quota: 100_000, Webhook: webhook.Webhook{
		ID: id, Company: company, Name: "Billing Events", URL: "https://example.com/webhooks/billing",
		Events: []string{"RecurringPayments.charge.paid"}, SealedToken: []byte("sealed"), Version: 1,
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// delivered stores an event and its delivery to a new webhook, and returns the IDs of all three.
func (s *stack) delivered(t *testing.T) (webhookID, eventID, deliveryID string) {
	t.Helper()
	webhookID, eventID = s.webhook(t), webhook.NewEventID(newULID())
	now := time.Now().UTC().Truncate(time.Millisecond)
	event := webhook.Event{Company: company, ID: eventID, Type: "RecurringPayments.charge.paid", Timestamp: now, AcceptedAt: now, Body: []byte(`{"type":"RecurringPayments.charge.paid","timestamp":"2026-01-02T03:04:05.678Z","data":{}}`)}
	_, err := s.deliveries.AcceptEvents(t.Context(), []webhook.NewEvent{{Event: event}})
	ref := webhook.Ref{Company: company, WebhookID: webhookID, EventID: eventID, AcceptedAt: now}
	_, recordErr := s.deliveries.Record(t.Context(), webhook.Outcome{
		Ref: ref, EventType: event.Type, Status: webhook.StatusDelivered, WebhookVersion: 1, Attempt: webhook.Attempt{Number: 1, At: now, StatusCode: 200},
	})
	if err := errors.Join(err, recordErr); err != nil {
		t.Fatal(err)
	}
	return webhookID, eventID, ref.DeliveryID()
}

func newULID() string { return ulid.MustNew(ulid.Now(), rand.Reader).String() }

// proxied puts proxies in front of DynamoDB, SQS and KMS, which reject the first ten calls of the denied operation, if it is not empty. It returns the
// settings that lead to them, and a function that returns the calls since it was last called, sorted, because some are
// concurrent.
func (s *stack) proxied(t *testing.T, denied string) (settings map[string]string, takeCalls func() []string) {
	t.Helper()
	settings = make(map[string]string)
	var proxies []*dynamotest.Proxy
	for _, variable := range []string{"WEBHOOKS_DYNAMODB_ENDPOINT", "WEBHOOKS_SQS_ENDPOINT", "WEBHOOKS_KMS_ENDPOINT"} {
		p := dynamotest.NewProxy(t, s.settings[variable])
		p.Next(denied, slices.Repeat([]dynamotest.Fault{dynamotest.Reject("AccessDeniedException")}, 10)...)
		settings[variable], proxies = p.URL, append(proxies, p)
	}
	return settings, func() []string {
		var calls []string
		for _, p := range proxies {
			for _, c := range p.Calls() {
				calls = append(calls, c.Operation)
			}
		}
		return slices.Sorted(slices.Values(calls))
	}
}
