// Package bench measures the Lambda functions. There is no code in it but benchmarks, and in minimal
// the program that they compare with.
package bench

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/dynamo"
	"webhooks/shared/webhook"
)

const (
	company   = "bench"
	eventType = "RecurringPayments.charge.paid"
	webhooks  = 100 // a page of the list
)

// stack is an own table with one company in it.
type stack struct {
	config    dynamo.Config
	table     string
	store     *dynamo.Store
	settings  map[string]string
	key       string
	webhookID string // the first one
}

func newStack(b *testing.B) *stack {
	b.Helper()
	endpoint := os.Getenv("WEBHOOKS_TEST_DYNAMODB_ENDPOINT")
	if endpoint == "" {
		b.Skip("WEBHOOKS_TEST_DYNAMODB_ENDPOINT is not set: `make bench` sets it")
	}
	s := &stack{table: "bench-" + rand.Text()[:10], config: dynamo.Config{
		Endpoint: endpoint, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("ASIADUMMY", "dummy", "dummy"),
	}}
	s.store = dynamo.New(dynamo.NewClient(s.config), s.table)
	if err := s.store.CreateTables(b.Context()); err != nil {
		b.Fatal(err)
	}
	s.settings = map[string]string{
		"WEBHOOKS_SUBSCRIPTIONS_TABLE": s.table,
		"WEBHOOKS_DYNAMODB_ENDPOINT":   endpoint,
		"WEBHOOKS_QUOTA":               "100000",
		"WEBHOOKS_TOKEN_KEY":           base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
		"WEBHOOKS_TLS_CHECK":           "off",
	}
	if err := s.store.AddEventType(b.Context(), webhook.EventType{Name: eventType, AddedAt: time.Now()}); err != nil {
		b.Fatal(err)
	}
	s.addKey(b)
	for range webhooks {
		id := s.addWebhook(b)
		if s.webhookID == "" {
			s.webhookID = id
		}
	}
	return s
}

// withKMS gives the settings of a function that has its token key under a new KMS key, nil where there
// is no KMS.
func (s *stack) withKMS(b *testing.B) map[string]string {
	b.Helper()
	endpoint := os.Getenv("WEBHOOKS_TEST_MOTO_ENDPOINT")
	if endpoint == "" {
		return nil
	}
	client := kms.New(kms.Options{Region: s.config.Region, BaseEndpoint: &endpoint, Credentials: s.config.Credentials})
	made, err := client.CreateKey(b.Context(), &kms.CreateKeyInput{})
	if err != nil {
		b.Fatal(err)
	}
	settings := maps.Clone(s.settings)
	delete(settings, "WEBHOOKS_TOKEN_KEY")
	settings["WEBHOOKS_KMS_KEY"], settings["WEBHOOKS_KMS_ENDPOINT"] = *made.KeyMetadata.Arn, endpoint
	return settings
}

// bareClient is the SDK's client as it comes.
func (s *stack) bareClient() *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{Region: s.config.Region, BaseEndpoint: &s.config.Endpoint, Credentials: s.config.Credentials})
}

func (s *stack) addKey(b *testing.B) {
	b.Helper()
	var err error
	if s.key, err = access.NewSecret(rand.Reader); err != nil {
		b.Fatal(err)
	}
	hash, err := access.HashSecret(s.key)
	if err != nil {
		b.Fatal(err)
	}
	err = s.store.CreateKey(b.Context(), access.Key{
		ID: access.NewKeyID(company, ulid.Make().String()), Company: company, Hash: hash, Permissions: access.Permissions(), CreatedAt: time.Now().UTC(),
	})
	if err != nil {
		b.Fatal(err)
	}
}

func (s *stack) addWebhook(b *testing.B) string {
	b.Helper()
	id := webhook.NewID(ulid.Make().String())
	_, err := s.store.CreateWebhook(b.Context(), webhook.Creation{Quota: 1 << 30, Webhook: webhook.Webhook{
		ID: id, Company: company, Name: "Billing Events", Description: "Receive invoice and payment updates",
		URL: "https://example.com/webhooks/billing", Events: []string{eventType}, SealedToken: bytes.Repeat([]byte{1}, 80),
		Version: 1, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}})
	if err != nil {
		b.Fatal(err)
	}
	return id
}

// event makes the event of a function's first route. The webhook that is deleted is a new one.
func (s *stack) event(b *testing.B, function string) []byte {
	b.Helper()
	id, query, body := s.webhookID, "", ""
	switch function {
	case "list-webhooks":
		query = "size=10&page=1"
	case "delete-webhook":
		id = s.addWebhook(b)
	case "create-webhook":
		body = `{"webhook":{"name":"Billing Events","url":"https://example.com/webhooks/billing","events":["` + eventType + `"]}}`
	}
	for _, route := range api.Routes() {
		if route.Function != function {
			continue
		}
		path := strings.ReplaceAll(route.Path, "{webhookId}", id)
		event, err := json.Marshal(map[string]any{
			"version": "2.0", "routeKey": route.Method + " " + route.Path, "rawPath": path, "rawQueryString": query, "body": body,
			"headers":        map[string]string{"authorization": "Bearer " + s.key, "host": "api.example.com", "content-length": fmt.Sprint(len(body))},
			"pathParameters": map[string]string{"webhookId": id},
			"requestContext": map[string]any{"http": map[string]any{"method": route.Method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7"}},
		})
		if err != nil {
			b.Fatal(err)
		}
		return event
	}
	b.Fatalf("no route leads to %s", function)
	return nil
}
