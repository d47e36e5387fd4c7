package stack

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/oklog/ulid/v2"

	"webhooks/infra/bootstrap"
	"webhooks/infra/gateway"
	keys "webhooks/shared/access"
	"webhooks/shared/dynamo"
	"webhooks/shared/webhook"
)

// world is all functions behind a gateway. Each runs with the template's environment, and has its own
// enforcer in front of DynamoDB Local and of moto's KMS.
type world struct {
	url       string
	key       string // of the company acme
	functions map[string]*gateway.Function
	enforcers map[string]*enforcer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	s := resolved(t)
	services := map[string]string{
		"DynamoDB_20120810": required(t, "WEBHOOKS_TEST_DYNAMODB_ENDPOINT"),
		"TrentService":      required(t, "WEBHOOKS_TEST_MOTO_ENDPOINT"), // KMS
	}
	table := dynamo.SubscriptionsTable("test-" + ulid.Make().String() + "-")
	tokenKey := newTokenKey(t, services["TrentService"])
	w := &world{functions: make(map[string]*gateway.Function), enforcers: make(map[string]*enforcer)}
	w.key = newCompany(t, newTable(t, services["DynamoDB_20120810"], table))
	invokers := make(map[string]gateway.Invoker)
	for _, name := range functions() {
		e := newEnforcer(t, roleOf(t, s, name), services, map[string]string{table: "SubscriptionsTable.Arn", tokenKey: "TokenKey.Arn"})
		local := map[string]string{
			"WEBHOOKS_SUBSCRIPTIONS_TABLE": table, "WEBHOOKS_DYNAMODB_ENDPOINT": e.URL,
			"WEBHOOKS_KMS_KEY": tokenKey, "WEBHOOKS_KMS_ENDPOINT": e.URL, "WEBHOOKS_TLS_CHECK": "off",
		}
		var environment struct{ Variables map[string]any }
		decode(t, s.Resources[logicalID(name)+"Function"].Properties["Environment"], &environment)
		settings := make(map[string]string)
		for variable, value := range environment.Variables {
			settings[variable] = fmt.Sprint(value)
			if replacement, ok := local[variable]; ok {
				settings[variable] = replacement
			}
		}
		program, err := bootstrap.Build(t.Context(), name, bootstrap.Native(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		f := gateway.NewFunction(gateway.Config{
			Name: name, Bootstrap: program, Settings: settings, Timeout: 15 * time.Second, Concurrency: 1, Output: io.Discard,
		})
		t.Cleanup(f.Stop)
		w.enforcers[name], w.functions[name], invokers[name] = e, f, f
	}
	server := httptest.NewServer(gateway.New(invokers, time.Now))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// newTable creates a table that is deleted after the test.
func newTable(t *testing.T, endpoint, table string) *dynamo.Store {
	t.Helper()
	client := dynamo.NewClient(dynamo.Config{
		Endpoint: endpoint, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	store := dynamo.New(client, table)
	if err := store.CreateTables(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, off := context.WithoutCancel(t.Context()), false
		_, err := client.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &table, DeletionProtectionEnabled: &off})
		if err == nil {
			_, err = client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table})
		}
		if err != nil {
			t.Errorf("deleting the table: %v", err)
		}
	})
	return store
}

func newTokenKey(t *testing.T, endpoint string) (arn string) {
	t.Helper()
	client := kms.New(kms.Options{
		Region: "eu-west-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	created, err := client.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	return *created.KeyMetadata.Arn
}

// newCompany stores an API key of acme, which it returns, and the event types a and aacme.
func newCompany(t *testing.T, store *dynamo.Store) string {
	t.Helper()
	secret, err := keys.NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := keys.HashSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	err = store.CreateKey(t.Context(), keys.Key{
		ID: keys.NewKeyID("acme", ulid.Make().String()), Company: "acme", Permissions: keys.Permissions(), Hash: hash, CreatedAt: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, company := range []string{"", "acme"} {
		if err := store.AddEventType(t.Context(), webhook.EventType{Name: "a" + company, Company: company, AddedAt: now}); err != nil {
			t.Fatal(err)
		}
	}
	return secret
}

// useEverything calls every route in every way that makes a difference to the store.
func (w *world) useEverything(t *testing.T) {
	t.Helper()
	const creation = `{"webhook":{"name":"n","url":"https://example.com/","events":["a","aacme"]}}`
	create := func(header ...string) string {
		return w.call(t, http.StatusCreated, "POST", "/webhooks", creation, header...)
	}
	byQuery := func(location string) string { return "?webhookId=" + strings.TrimPrefix(location, "/webhooks/") }
	w.call(t, http.StatusOK, "GET", "/webhooks/types", "")
	first := create("Idempotency-Key", "first")
	if again := create("Idempotency-Key", "first"); again != first {
		t.Errorf("a repeated creation returned %s after %s", again, first)
	}
	second, third := create(), create()
	w.call(t, http.StatusOK, "GET", "/webhooks", "")
	w.call(t, http.StatusOK, "GET", "/webhooks?size=1&page=3", "")
	w.call(t, http.StatusOK, "GET", first, "")
	w.call(t, http.StatusOK, "GET", "/webhook"+byQuery(second), "")
	w.call(t, http.StatusOK, "DELETE", third, "")
	w.call(t, http.StatusNotFound, "DELETE", "/webhook"+byQuery(third), "")
	w.call(t, http.StatusOK, "DELETE", "/webhooks"+byQuery(second), "")
	// A new process finds the data key that the first one created.
	w.functions["create-webhook"].Stop()
	create("Idempotency-Key", "first")
}

// call sends a request, and returns the Location in the response.
func (w *world) call(t *testing.T, want int, method, path, body string, header ...string) (location string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.key)
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		t.Fatalf("%s %s: %d %s, error %v, want %d; denied: %s", method, path, response.StatusCode, got, err, want, w.denied())
	}
	return response.Header.Get("Location")
}
