package gateway_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"webhooks/infra/bootstrap"
	"webhooks/infra/gateway"
	"webhooks/shared/access"
	"webhooks/shared/dynamo"
	"webhooks/shared/webhook"
)

// TestBootstraps runs the functions as they are deployed, against DynamoDB Local.
func TestBootstraps(t *testing.T) {
	s := newStack(t)
	t.Run("Contract", func(t *testing.T) { testContract(t, s) })
	t.Run("Events", func(t *testing.T) { testEvents(t, s) })
	t.Run("Calls", func(t *testing.T) { testCalls(t, s) })
	t.Run("Misconfigured", func(t *testing.T) { testMisconfigured(t, s) })
	t.Run("Denied", func(t *testing.T) { testDenied(t, s) })
	t.Run("KMS", func(t *testing.T) { testKMS(t, s) })
	t.Run("Memory", func(t *testing.T) { testMemory(t, s) })
}

// quota makes a full company a list of more than one page of 100.
const quota = 105

// stack is what a deployment would have: built functions and an own table.
type stack struct {
	endpoint   string // of DynamoDB
	bootstraps map[string]string
	receiver   string // an https URL that a webhook may have
	table      string
	store      *dynamo.Store // on the table
	settings   map[string]string
}

func newStack(t *testing.T) *stack {
	t.Helper()
	endpoint := needed(t, "WEBHOOKS_TEST_DYNAMODB_ENDPOINT")
	receiver := httptest.NewTLSServer(nil)
	t.Cleanup(receiver.Close)
	s := &stack{
		endpoint:   endpoint,
		bootstraps: make(map[string]string),
		receiver:   receiver.URL + "/webhooks/billing",
		settings: map[string]string{
			"WEBHOOKS_DYNAMODB_ENDPOINT": endpoint,
			"WEBHOOKS_QUOTA":             strconv.Itoa(quota),
			"WEBHOOKS_TOKEN_KEY":         base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
			"WEBHOOKS_KMS_KEY":           "TokenKey", // as SAM passes what it cannot resolve
			"WEBHOOKS_TLS_CHECK":         "",
			"WEBHOOKS_CA_PEM":            string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw})),
			"WEBHOOKS_ALLOW_NETWORKS":    "127.0.0.0/8",
		},
	}
	s.build(t)
	return s.empty(t)
}

// empty gives the stack with another table, in which there are event types alone.
func (s *stack) empty(t *testing.T) *stack {
	t.Helper()
	other := *s
	other.table = "gateway-" + rand.Text()[:10]
	other.settings = maps.Clone(s.settings)
	other.settings["WEBHOOKS_SUBSCRIPTIONS_TABLE"] = other.table
	other.store = dynamo.New(dynamo.NewClient(dynamo.Config{
		Endpoint: s.endpoint, Region: "eu-west-1", Credentials: dummyCredentials(),
	}), other.table)
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

// dummyCredentials are taken by DynamoDB Local and moto.
func dummyCredentials() aws.CredentialsProvider {
	return credentials.NewStaticCredentialsProvider("ASIADUMMY", "dummy", "dummy")
}

func (s *stack) build(t *testing.T) {
	t.Helper()
	names, err := bootstrap.Functions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if s.bootstraps[name], err = bootstrap.Build(t.Context(), name, bootstrap.Native(), t.TempDir()); err != nil {
			t.Fatal(err)
		}
	}
}

// needed gives what `make test` sets when it has started a service.
func needed(t *testing.T, variable string) string {
	t.Helper()
	value := os.Getenv(variable)
	switch {
	case value == "" && os.Getenv("CI") != "":
		t.Fatalf("%s is not set: `make test` sets it", variable)
	case value == "":
		t.Skipf("%s is not set: `make test` sets it", variable)
	}
	return value
}

// function is one of the functions, with what it prints.
type function struct {
	*gateway.Function
	output *syncBuffer
}

// log gives what the function's processes printed since it was called last. They end first: what a
// process has written may still be on its way when its answer is there, and with its end all has
// arrived.
func (f function) log() string {
	f.Stop()
	return f.output.take()
}

// function makes one function, with changes to its settings.
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

// serve starts all functions behind a gateway.
func (s *stack) serve(t *testing.T, changes map[string]string) service {
	t.Helper()
	functions := make(map[string]function)
	invokers := make(map[string]gateway.Invoker)
	for name := range s.bootstraps {
		functions[name] = s.function(t, name, changes)
		invokers[name] = functions[name]
	}
	server := httptest.NewServer(gateway.New(invokers, time.Now))
	t.Cleanup(server.Close)
	return service{server, functions}
}

// log gives what all functions printed since it was called last. It ends their processes.
func (s service) log() string {
	var log strings.Builder
	for _, f := range s.functions {
		log.WriteString(f.log())
	}
	return log.String()
}

// key makes an API key that is stored, and gives its secret.
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
	key := access.Key{
		ID:      access.NewKeyID(company, newULID()),
		Company: company, Permissions: permissions, Hash: hash, CreatedAt: time.Now().UTC(),
	}
	if change != nil {
		change(&key)
	}
	if err := s.store.CreateKey(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	return secret
}

// syncBuffer is what several processes print into.
type syncBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *syncBuffer) Write(data []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(data)
}

// take gives what was printed since it was called last.
func (b *syncBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.buffer.String()
	b.buffer.Reset()
	return text
}

func invoke(t *testing.T, f function, payload []byte) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := f.Invoke(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
