package gateway_test

import (
	"bytes"
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
	"webhooks/infra/webhookctl/sandbox"
	"webhooks/shared/access"
	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/seal"
	"webhooks/shared/sqs"
	"webhooks/shared/webhook"
)

// quota makes a full company's list longer than one page of 100.
const quota = 105

var dummyCredentials = credentials.NewStaticCredentialsProvider("ASIADUMMY", "dummy", "dummy")

// stack is what a deployment has: built functions, their settings, tables and queues.
type stack struct {
	bootstraps map[string]string // by function
	receiver   string            // an https URL for webhooks
	authority  string            // file of a certificate authority that the functions trust, and its key
	store      *dynamo.Store
	deliveries *dynamo.Deliveries
	sqs        *awssqs.Client
	queues     sqs.URLs
	settings   map[string]string
}

// tokenKey encrypts the webhooks' tokens.
var tokenKey = bytes.Repeat([]byte{7}, seal.KeySize)

func newStack(t *testing.T) *stack {
	t.Helper()
	receiver := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(receiver.Close)
	dir := t.TempDir()
	authority, err := sandbox.LoadOrCreateAuthority(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var trusted string
	for _, certificate := range [][]byte{receiver.Certificate().Raw, authority.Certificate().Raw} {
		trusted += string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}))
	}
	moto := dynamotest.Service(t, "WEBHOOKS_TEST_MOTO_ENDPOINT")
	s := &stack{
		bootstraps: make(map[string]string),
		receiver:   receiver.URL + "/webhooks/billing",
		authority:  filepath.Join(dir, "ca-key.pem"),
		sqs:        sqs.NewClient(sqs.Config{Endpoint: moto, Region: "eu-west-1", Credentials: dummyCredentials}),
		settings: map[string]string{
			"WEBHOOKS_QUOTA":             strconv.Itoa(quota),
			"WEBHOOKS_TOKEN_KEY":         base64.StdEncoding.EncodeToString(tokenKey),
			"WEBHOOKS_KMS_KEY":           "TokenKey", // SAM passes names that it cannot resolve
			"WEBHOOKS_CA_PEM":            trusted,
			"WEBHOOKS_STACK":             "test",
			"WEBHOOKS_SQS_ENDPOINT":      moto,
			"WEBHOOKS_ALLOW_NETWORKS":    "127.0.0.0/8",
			"GOMAXPROCS":                 "1", // as in template.yaml
			"WEBHOOKS_DYNAMODB_ENDPOINT": dynamotest.Endpoint(t),
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
	table := "gateway-" + rand.Text()[:10]
	other.settings = maps.Clone(s.settings)
	other.settings["WEBHOOKS_SUBSCRIPTIONS_TABLE"], other.settings["WEBHOOKS_DELIVERIES_TABLE"] = table, table+"-deliveries"
	config := dynamo.Config{Endpoint: s.settings["WEBHOOKS_DYNAMODB_ENDPOINT"], Region: "eu-west-1", Credentials: dummyCredentials}
	other.deliveries = dynamo.NewDeliveries(dynamo.NewClient(config), table, table+"-deliveries")
	other.store = other.deliveries.Subscriptions()
	queues, err := sqs.Create(t.Context(), s.sqs, table+"-")
	other.queues = queues
	err = errors.Join(err, other.store.CreateTables(t.Context()), other.deliveries.CreateTables(t.Context()))
	for _, name := range []string{"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"} {
		err = errors.Join(err, other.store.AddEventType(t.Context(), webhook.EventType{Name: name, AddedAt: time.Now()}))
	}
	if err != nil {
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
	settings := maps.Clone(s.settings)
	maps.Copy(settings, gateway.QueueSettings(s.queues, name))
	maps.Copy(settings, changes)
	output, err := os.Create(filepath.Join(t.TempDir(), name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = output.Close() })
	f := gateway.NewFunction(gateway.Config{
		Name: name, Bootstrap: s.bootstraps[name], Settings: settings, Timeout: 30 * time.Second, Concurrency: 4, Output: output,
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

// pump invokes the functions of queues and the schedule until the function that it returns is called.
func (s service) pump(t *testing.T) (stop func()) {
	t.Helper()
	invokers := make(map[string]gateway.Invoker)
	for name, f := range s.functions {
		invokers[name] = f
	}
	p := gateway.Pump{
		SQS: s.stack.sqs, Queues: s.stack.queues, Functions: invokers, Concurrency: 2, Every: time.Second,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

// send sends a request and returns the response's status and body. The bodies of other requests than POST are ignored.
func (s service) send(t *testing.T, r request) (status int, body string) {
	t.Helper()
	body = fmt.Sprintf(`{"webhook":{"name":"n","url":%q,"events":"RecurringPayments.charge.paid"}}`, s.stack.receiver)
	if r.path == "/events" {
		body = `{"event":{"type":"RecurringPayments.charge.paid","data":{}}}`
	}
	d := s.stack.delivery(t)
	path := strings.NewReplacer("{id}", d.WebhookID, "{event}", d.EventID, "{delivery}", d.DeliveryID()).Replace(r.path)
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
	key, keyErr := seal.NewKey(tokenKey)
	token, tokenErr := webhook.NewToken(rand.Reader)
	sealed, sealErr := seal.Sealer{Keys: seal.KeyRing{key}, Random: rand.Reader}.Seal(t.Context(), company, id, token)
	_, err := s.store.CreateWebhook(t.Context(), webhook.Creation{Quota: 100_000, Webhook: webhook.Webhook{
		ID: id, Company: company, Name: "Billing Events", URL: s.receiver,
		Events: []string{"RecurringPayments.charge.paid"}, SealedToken: sealed, Version: 1,
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}})
	if err := errors.Join(keyErr, tokenErr, sealErr, err); err != nil {
		t.Fatal(err)
	}
	return id
}

// accepted stores a new webhook and an event for it.
func (s *stack) accepted(t *testing.T) webhook.Ref {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	r := webhook.Ref{Company: company, WebhookID: s.webhook(t), EventID: webhook.NewEventID(newULID()), AcceptedAt: now}
	_, err := s.deliveries.AcceptEvents(t.Context(), []webhook.NewEvent{{Event: webhook.Event{
		ID: r.EventID, Company: company, Type: "RecurringPayments.charge.paid", Timestamp: now, AcceptedAt: now, Body: []byte(`{"data":{}}`),
	}}})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// delivery stores a new webhook and an event with one failed attempt to deliver it there.
func (s *stack) delivery(t *testing.T) webhook.Ref {
	t.Helper()
	r := s.accepted(t)
	_, err := s.deliveries.Record(t.Context(), webhook.Outcome{
		Ref: r, EventType: "RecurringPayments.charge.paid", Status: webhook.StatusPending, Step: 1, Due: r.AcceptedAt.Add(time.Hour), WebhookVersion: 1,
		Attempt: webhook.Attempt{Number: 1, At: r.AcceptedAt, URL: s.receiver, StatusCode: 500, Error: webhook.ErrorStatus},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newULID() string { return ulid.MustNew(ulid.Now(), rand.Reader).String() }

// proxied puts proxies in front of DynamoDB, KMS and SQS, which reject the first ten calls of the denied operation, if it is not empty. It returns the
// settings that lead to them, and a function that returns the calls since it was last called, sorted, because some are
// concurrent.
func (s *stack) proxied(t *testing.T, denied string) (settings map[string]string, takeCalls func() []string) {
	t.Helper()
	settings = make(map[string]string)
	var proxies []*dynamotest.Proxy
	for _, variable := range []string{"WEBHOOKS_DYNAMODB_ENDPOINT", "WEBHOOKS_KMS_ENDPOINT", "WEBHOOKS_SQS_ENDPOINT"} {
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
