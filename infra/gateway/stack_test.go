package gateway_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/oklog/ulid/v2"

	"webhooks/infra/bootstrap"
	"webhooks/infra/gateway"
	"webhooks/shared/access"
	"webhooks/shared/dynamo"
	"webhooks/shared/webhook"
)

// quota makes a full company's list longer than one page of 100.
const quota = 105

var dummyCredentials = credentials.NewStaticCredentialsProvider("ASIADUMMY", "dummy", "dummy")

// stack is what a deployment has: built functions, their settings, and a table.
type stack struct {
	endpoint   string            // of DynamoDB
	bootstraps map[string]string // by function
	receiver   string            // an https URL for webhooks
	store      *dynamo.Store
	settings   map[string]string
}

func newStack(t *testing.T) *stack {
	t.Helper()
	receiver := httptest.NewTLSServer(nil)
	t.Cleanup(receiver.Close)
	s := &stack{
		endpoint:   endpoint(t, "WEBHOOKS_TEST_DYNAMODB_ENDPOINT"),
		bootstraps: make(map[string]string),
		receiver:   receiver.URL + "/webhooks/billing",
		settings: map[string]string{
			"WEBHOOKS_QUOTA":          strconv.Itoa(quota),
			"WEBHOOKS_TOKEN_KEY":      base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
			"WEBHOOKS_KMS_KEY":        "TokenKey", // SAM passes names that it cannot resolve
			"WEBHOOKS_CA_PEM":         string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw})),
			"WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8",
		},
	}
	s.settings["WEBHOOKS_DYNAMODB_ENDPOINT"] = s.endpoint
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

// endpoint returns the URL of a service that the tests need.
func endpoint(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	switch {
	case value == "" && os.Getenv("CI") != "":
		t.Fatalf("%s is not set: run make test", variable)
	case value == "":
		t.Skipf("%s is not set: run make test", variable)
	}
	return value
}

// empty returns the stack with another table, which contains only event types.
func (s *stack) empty(t *testing.T) *stack {
	t.Helper()
	other := *s
	table := "gateway-" + rand.Text()[:10]
	other.settings = maps.Clone(s.settings)
	other.settings["WEBHOOKS_SUBSCRIPTIONS_TABLE"] = table
	other.store = dynamo.New(dynamo.NewClient(dynamo.Config{Endpoint: s.endpoint, Region: "eu-west-1", Credentials: dummyCredentials}), table)
	if err := other.store.CreateTables(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"} {
		if err := other.store.AddEventType(t.Context(), webhook.EventType{Name: name, AddedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	return &other
}

// kmsSettings creates a KMS key and returns the settings that seal tokens with it, as in a deployment.
func kmsSettings(t *testing.T) map[string]string {
	t.Helper()
	url := endpoint(t, "WEBHOOKS_TEST_MOTO_ENDPOINT")
	client := kms.New(kms.Options{Region: "eu-west-1", BaseEndpoint: &url, Credentials: dummyCredentials})
	key, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"WEBHOOKS_TOKEN_KEY": "", "WEBHOOKS_KMS_KEY": *key.KeyMetadata.Arn, "WEBHOOKS_KMS_ENDPOINT": url}
}

// function is one of the functions and what it prints.
type function struct {
	*gateway.Function
	output *syncBuffer
}

// log stops the function's processes, so that all output has arrived, and returns it.
func (f function) log() string {
	f.Stop()
	f.output.mu.Lock()
	defer f.output.mu.Unlock()
	return f.output.text.String()
}

// syncBuffer collects the output of several processes.
type syncBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *syncBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(data)
}

// function returns one function, with changes to its settings.
func (s *stack) function(t *testing.T, name string, changes map[string]string) function {
	t.Helper()
	settings := maps.Clone(s.settings)
	maps.Copy(settings, changes)
	output := new(syncBuffer)
	f := gateway.NewFunction(gateway.Config{
		Name: name, Bootstrap: s.bootstraps[name], Settings: settings, Timeout: 15 * time.Second, Concurrency: 2, Output: output,
	})
	t.Cleanup(f.Stop)
	return function{f, output}
}

// service is all functions behind a gateway.
type service struct {
	*httptest.Server
	functions map[string]function
}

func (s *stack) serve(t *testing.T, changes map[string]string) service {
	t.Helper()
	functions, invokers := make(map[string]function), make(map[string]gateway.Invoker)
	for name := range s.bootstraps {
		functions[name] = s.function(t, name, changes)
		invokers[name] = functions[name]
	}
	server := httptest.NewServer(gateway.New(invokers, time.Now))
	t.Cleanup(server.Close)
	return service{server, functions}
}

// log stops all functions and returns what they printed.
func (s service) log() string {
	var log strings.Builder
	for _, f := range s.functions {
		log.WriteString(f.log())
	}
	return log.String()
}

// caller is a company and one of its API keys.
type caller struct{ company, key string }

func (s *stack) caller(t *testing.T, company string) caller {
	t.Helper()
	return caller{company, s.key(t, company, nil, access.Permissions()...)}
}

// send sends a request. In the path, {id} stands for a webhook of the company.
func (s service) send(t *testing.T, stack *stack, c caller, method, path string) (status int, header http.Header, body string) {
	t.Helper()
	var sent io.Reader
	if method == http.MethodPost {
		sent = strings.NewReader(fmt.Sprintf(`{"webhook":{"name":"n","url":%q,"events":"RecurringPayments.charge.paid"}}`, stack.receiver))
	}
	path = strings.ReplaceAll(path, "{id}", stack.webhook(t, c.company))
	r, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, sent)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+c.key)
	response, err := s.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header, string(text)
}

// key stores an API key and returns its secret.
func (s *stack) key(t *testing.T, company string, change func(*access.Key), permissions ...access.Permission) string {
	t.Helper()
	secret, err := access.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := access.HashSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	key := access.Key{ID: access.NewKeyID(company, newULID()), Company: company, Permissions: permissions, Hash: hash, CreatedAt: time.Now().UTC()}
	if change != nil {
		change(&key)
	}
	if err := s.store.CreateKey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	return secret
}

// webhook stores a webhook and returns its ID.
func (s *stack) webhook(t *testing.T, company string) string {
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

func newULID() string { return ulid.MustNew(ulid.Now(), rand.Reader).String() }

// proxy stands between the functions and DynamoDB and KMS, records which calls are made, and denies one operation.
type proxy struct {
	settings map[string]string // that lead the functions to the proxy
	mu       sync.Mutex
	calls    []string
}

func newProxy(t *testing.T, dynamoEndpoint string, settings map[string]string, denied string) *proxy {
	t.Helper()
	p := &proxy{settings: maps.Clone(settings)}
	dynamoDB, kms := proxyTo(t, dynamoEndpoint), proxyTo(t, settings["WEBHOOKS_KMS_ENDPOINT"])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		service, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
		name, next := "dynamodb", dynamoDB
		if service == "TrentService" {
			name, next = "kms", kms
		}
		p.mu.Lock()
		p.calls = append(p.calls, operation)
		p.mu.Unlock()
		if operation == denied {
			w.Header().Set("Content-Type", "application/x-amz-json-1.0")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"__type":"com.amazon.coral.service#AccessDeniedException","message":"not authorized to perform: %s:%s"}`, name, operation)
			return
		}
		next.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	if p.settings == nil {
		p.settings = make(map[string]string)
	}
	p.settings["WEBHOOKS_DYNAMODB_ENDPOINT"], p.settings["WEBHOOKS_KMS_ENDPOINT"] = server.URL, server.URL
	return p
}

func proxyTo(t *testing.T, endpoint string) http.Handler {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return httputil.NewSingleHostReverseProxy(target)
}

// take returns the calls since it was last called, sorted, because some are concurrent.
func (p *proxy) take() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls := sorted(strings.Join(p.calls, " "))
	p.calls = nil
	return calls
}

func sorted(words string) string {
	fields := strings.Fields(words)
	slices.Sort(fields)
	return strings.Join(fields, " ")
}
