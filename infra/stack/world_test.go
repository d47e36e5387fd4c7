package stack

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
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
	store     *dynamo.Store
	functions map[string]*gateway.Function
	enforcers map[string]*enforcer
}

// anyCredentials are for DynamoDB Local and moto, which accept all.
var anyCredentials = credentials.NewStaticCredentialsProvider("test", "test", "")

func newWorld(t *testing.T) *world {
	t.Helper()
	s := resolved(t)
	services := map[string]string{
		"DynamoDB_20120810": required(t, "WEBHOOKS_TEST_DYNAMODB_ENDPOINT"),
		"TrentService":      required(t, "WEBHOOKS_TEST_MOTO_ENDPOINT"), // KMS
	}
	kmsClient := kms.New(kms.Options{Region: "eu-west-1", BaseEndpoint: new(services["TrentService"]), Credentials: anyCredentials})
	created, err := kmsClient.CreateKey(t.Context(), &kms.CreateKeyInput{})
	if err != nil {
		t.Fatal(err)
	}
	tokenKey, table := *created.KeyMetadata.Arn, dynamo.SubscriptionsTable("test-"+ulid.Make().String()+"-")
	w := &world{functions: make(map[string]*gateway.Function), enforcers: make(map[string]*enforcer)}
	w.store = prepare(t, services["DynamoDB_20120810"], table)
	invokers := make(map[string]gateway.Invoker)
	for _, name := range functions() {
		e := newEnforcer(t, name, roleOf(t, s, name), services, map[string]string{table: "SubscriptionsTable.Arn", tokenKey: "TokenKey.Arn"})
		settings := make(map[string]string)
		environment := decode[struct{ Variables map[string]any }](t, s.Resources[logicalID(name)+"Function"].Properties["Environment"])
		for variable, value := range environment.Variables {
			settings[variable] = fmt.Sprint(value)
		}
		maps.Copy(settings, map[string]string{
			"WEBHOOKS_SUBSCRIPTIONS_TABLE": table, "WEBHOOKS_DYNAMODB_ENDPOINT": e.URL,
			"WEBHOOKS_KMS_KEY": tokenKey, "WEBHOOKS_KMS_ENDPOINT": e.URL, "WEBHOOKS_TLS_CHECK": "off",
		})
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

// prepare creates the table with the event types a and aacme.
func prepare(t *testing.T, endpoint, table string) *dynamo.Store {
	t.Helper()
	store := dynamo.New(dynamo.NewClient(dynamo.Config{Endpoint: endpoint, Region: "eu-west-1", Credentials: anyCredentials}), table)
	now := time.Now().UTC().Truncate(time.Millisecond)
	err := errors.Join(
		store.CreateTables(t.Context()),
		store.AddEventType(t.Context(), webhook.EventType{Name: "a", AddedAt: now}),
		store.AddEventType(t.Context(), webhook.EventType{Name: "aacme", Company: "acme", AddedAt: now}),
	)
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// newKey stores an API key of acme and returns its secret.
func (w *world) newKey(t *testing.T) string {
	t.Helper()
	secret, err := keys.NewSecret(rand.Reader)
	hash, hashErr := keys.HashSecret(secret)
	err = errors.Join(err, hashErr, w.store.CreateKey(t.Context(), keys.Key{
		ID: keys.NewKeyID("acme", ulid.Make().String()), Company: "acme", Permissions: keys.Permissions(), Hash: hash, CreatedAt: time.Now(),
	}))
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// useEverything calls every route in every way that makes a difference to the store.
func (w *world) useEverything(t *testing.T) {
	t.Helper()
	const creation = `{"webhook":{"name":"n","url":"https://example.com/","events":["a","aacme"]}}`
	create := func(key string) string { return w.call(t, http.StatusCreated, "POST", "/webhooks", creation, key) }
	read := func(path string) { w.call(t, http.StatusOK, "GET", path, "", "") }
	byQuery := func(location string) string { return "?webhookId=" + strings.TrimPrefix(location, "/webhooks/") }
	read("/webhooks/types")
	first := create("first")
	if again := create("first"); again != first {
		t.Errorf("a repeated creation returned %s after %s", again, first)
	}
	second, third := create(""), create("")
	read("/webhooks")
	read("/webhooks?size=1&page=3")
	read(first)
	read("/webhook" + byQuery(second))
	w.call(t, http.StatusOK, "DELETE", third, "", "")
	w.call(t, http.StatusNotFound, "DELETE", "/webhook"+byQuery(third), "", "")
	w.call(t, http.StatusOK, "DELETE", "/webhooks"+byQuery(second), "", "")
	// A new process finds the data key that the first one created.
	w.functions["create-webhook"].Stop()
	create("first")
}

// call sends a request with a new API key, whose use the function records, and returns the Location in the response.
func (w *world) call(t *testing.T, want int, method, path, body, idempotencyKey string) (location string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+w.newKey(t))
	if idempotencyKey != "" {
		request.Header.Set("Idempotency-Key", idempotencyKey)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != want {
		t.Fatalf("%s %s: %d %s, error %v, want %d", method, path, response.StatusCode, got, err, want)
	}
	return response.Header.Get("Location")
}
