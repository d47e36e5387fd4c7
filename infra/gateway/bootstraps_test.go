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
	"sync"
	"testing"
	"time"

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
	t.Run("KMS", func(t *testing.T) { testKMS(t, s) })
}

// quota makes a full company a list of more than one page of 100.
const quota = 105

// stack is what a deployment would have: built functions and an own table.
type stack struct {
	endpoint, table string
	store           *dynamo.Store
	bootstraps      map[string]string
	receiver        string // an https URL that a webhook may have
	settings        map[string]string
}

func newStack(t *testing.T) *stack {
	t.Helper()
	endpoint := needed(t, "WEBHOOKS_TEST_DYNAMODB_ENDPOINT")
	receiver := httptest.NewTLSServer(nil)
	t.Cleanup(receiver.Close)
	s := &stack{
		endpoint:   endpoint,
		table:      "gateway-" + rand.Text()[:10],
		bootstraps: make(map[string]string),
		receiver:   receiver.URL + "/webhooks/billing",
	}
	s.store = dynamo.New(dynamo.NewClient(dynamo.Config{
		Endpoint: endpoint, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("ASIADUMMY", "dummy", "dummy"),
	}), s.table)
	if err := s.store.CreateTables(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.settings = map[string]string{
		"WEBHOOKS_SUBSCRIPTIONS_TABLE": s.table,
		"WEBHOOKS_DYNAMODB_ENDPOINT":   endpoint,
		"WEBHOOKS_QUOTA":               strconv.Itoa(quota),
		"WEBHOOKS_TOKEN_KEY":           base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
		"WEBHOOKS_KMS_KEY":             "TokenKey", // as SAM passes what it cannot resolve
		"WEBHOOKS_TLS_CHECK":           "",
		"WEBHOOKS_CA_PEM":              string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw})),
		"WEBHOOKS_ALLOW_NETWORKS":      "127.0.0.0/8",
	}
	for _, name := range []string{"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"} {
		if err := s.store.AddEventType(t.Context(), webhook.EventType{Name: name, AddedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
	}
	s.build(t)
	return s
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

// function starts one function, with changes to its settings.
func (s *stack) function(t *testing.T, name string, output *syncBuffer, changes map[string]string) *gateway.Function {
	t.Helper()
	settings := maps.Clone(s.settings)
	maps.Copy(settings, changes)
	f := gateway.NewFunction(gateway.Config{
		Name: name, Bootstrap: s.bootstraps[name], Settings: settings, Timeout: 15 * time.Second, Concurrency: 2, Output: output,
	})
	t.Cleanup(f.Stop)
	return f
}

// serve starts all functions behind a gateway.
func (s *stack) serve(t *testing.T, output *syncBuffer, changes map[string]string) *httptest.Server {
	t.Helper()
	functions := make(map[string]gateway.Invoker)
	for name := range s.bootstraps {
		functions[name] = s.function(t, name, output, changes)
	}
	server := httptest.NewServer(gateway.New(functions, time.Now))
	t.Cleanup(server.Close)
	return server
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

func invoke(t *testing.T, f *gateway.Function, payload []byte) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	out, err := f.Invoke(ctx, payload)
	if err != nil {
		t.Fatal(err)
	}
	return out
}
