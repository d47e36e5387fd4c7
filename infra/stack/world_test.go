package stack

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
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

// world is all functions, those of endpoints behind a gateway. Each runs with the template's environment, and has
// its own enforcer in front of DynamoDB Local, moto's KMS, and the queues.
type world struct {
	url        string
	store      *dynamo.Store
	deliveries *dynamo.Deliveries
	queues     *queues
	receiver   *receiver
	functions  map[string]*gateway.Function
	enforcers  map[string]*enforcer
}

// anyCredentials are for DynamoDB Local and moto, which accept all.
var anyCredentials = credentials.NewStaticCredentialsProvider("test", "test", "")

const region = "eu-west-1"

func newWorld(t *testing.T) *world {
	t.Helper()
	s := resolved(t)
	w := &world{
		queues: &queues{messages: make(map[string][]string)}, functions: make(map[string]*gateway.Function), enforcers: make(map[string]*enforcer),
	}
	queues := httptest.NewServer(w.queues)
	t.Cleanup(queues.Close)
	services := map[string]string{
		"DynamoDB_20120810": required(t, "WEBHOOKS_TEST_DYNAMODB_ENDPOINT"), "TrentService": required(t, "WEBHOOKS_TEST_MOTO_ENDPOINT"), // KMS
		"AmazonSQS": queues.URL,
	}
	names := w.prepare(t, services)
	w.receiver = startReceiver(t)
	arns := make(map[string]string)
	for reference, physical := range names {
		arns[physical] = strings.TrimSuffix(reference, ".Arn") + ".Arn"
	}
	for _, id := range s.idsOf("AWS::SQS::Queue") { // the template's Ref of a queue, which is its URL, is its ID here
		arns[id] = id + ".Arn"
	}
	invokers := make(map[string]gateway.Invoker)
	for _, name := range functions() {
		e := newEnforcer(t, name, roleOf(t, s, name), services, arns)
		local := map[string]string{
			"WEBHOOKS_DYNAMODB_ENDPOINT": e.URL, "WEBHOOKS_KMS_ENDPOINT": e.URL, "WEBHOOKS_SQS_ENDPOINT": e.URL, "WEBHOOKS_TLS_CHECK": "off",
			"WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8", "WEBHOOKS_CA_PEM": w.receiver.certificate,
		}
		properties := decode[struct {
			Timeout     int
			Environment struct{ Variables map[string]any }
		}](t, map[string]any{"Timeout": s.Resources[logicalID(name)+"Function"].Properties["Timeout"],
			"Environment": s.Resources[logicalID(name)+"Function"].Properties["Environment"]})
		settings := make(map[string]string)
		for variable, value := range properties.Environment.Variables {
			settings[variable] = cmp.Or(local[variable], names[fmt.Sprint(value)], fmt.Sprint(value))
		}
		program, err := bootstrap.Build(t.Context(), name, bootstrap.Native(), t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		f := gateway.NewFunction(gateway.Config{
			Name: name, Bootstrap: program, Settings: settings, Timeout: time.Duration(properties.Timeout) * time.Second, Concurrency: 1,
			Output: io.Discard,
		})
		t.Cleanup(f.Stop)
		w.enforcers[name], w.functions[name], invokers[name] = e, f, f
	}
	server := httptest.NewServer(gateway.New(invokers, time.Now))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

// prepare creates the tables, with the event types a, aacme, b and unused, and the KMS key, and returns their names by what refers to
// them in the template.
func (w *world) prepare(t *testing.T, services map[string]string) (names map[string]string) {
	t.Helper()
	prefix := "test-" + strings.ToLower(ulid.Make().String()) + "-"
	names = map[string]string{"SubscriptionsTable": dynamo.SubscriptionsTable(prefix), "DeliveriesTable": dynamo.DeliveriesTable(prefix)}
	client := dynamo.NewClient(dynamo.Config{Endpoint: services["DynamoDB_20120810"], Region: region, Credentials: anyCredentials})
	w.store = dynamo.New(client, names["SubscriptionsTable"])
	w.deliveries = dynamo.NewDeliveries(client, names["SubscriptionsTable"], names["DeliveriesTable"])
	kmsClient := kms.New(kms.Options{Region: region, BaseEndpoint: new(services["TrentService"]), Credentials: anyCredentials})
	created, keyErr := kmsClient.CreateKey(t.Context(), &kms.CreateKeyInput{})
	now := time.Now().UTC().Truncate(time.Millisecond)
	err := errors.Join(keyErr,
		w.store.CreateTables(t.Context()), w.deliveries.CreateTables(t.Context()),
		w.store.AddEventType(t.Context(), webhook.EventType{Name: "a", AddedAt: now}),
		w.store.AddEventType(t.Context(), webhook.EventType{Name: "aacme", Company: "acme", AddedAt: now}),
		w.store.AddEventType(t.Context(), webhook.EventType{Name: "b", AddedAt: now}),
		w.store.AddEventType(t.Context(), webhook.EventType{Name: "unused", AddedAt: now}),
		w.subscribeMany(t, client, names["SubscriptionsTable"]),
	)
	if err != nil {
		t.Fatal(err)
	}
	names["TokenKey.Arn"] = *created.KeyMetadata.Arn
	return names
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
