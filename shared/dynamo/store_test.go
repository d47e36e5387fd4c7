package dynamo

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/access/accesstest"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

// testConfig returns a configuration for an endpoint. DynamoDB Local accepts any region and credentials.
func testConfig(endpoint string) Config {
	return Config{
		Endpoint:    endpoint,
		Region:      "eu-west-1",
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
}

// newStore returns a store on its own table, which is deleted at the end of the test.
func newStore(t testing.TB) *Store {
	t.Helper()
	s := New(NewClient(testConfig(dynamotest.Endpoint(t))), SubscriptionsTable("test-"+ulid.Make().String()+"-"))
	t.Cleanup(func() { dropTable(t, &s.table) })
	if err := s.CreateTables(within(t, 20*time.Second)); err != nil {
		t.Fatalf("CreateTables: %v", err)
	}
	return s
}

// testAttemptTimeout limits an attempt of a store from newFaultyStore.
const testAttemptTimeout = 200 * time.Millisecond

// newFaultyStore returns a store behind a proxy that injects faults.
func newFaultyStore(t testing.TB) (*Store, *dynamotest.Proxy) {
	t.Helper()
	s := newStore(t)
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	return New(NewClient(faultyConfig(t, proxy)), s.name), proxy
}

func dropTable(t testing.TB, s *table) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	_, err := s.client.UpdateTable(ctx, &dynamodb.UpdateTableInput{TableName: &s.name, DeletionProtectionEnabled: pointer(false)})
	if err != nil {
		t.Errorf("disabling the deletion protection: %v", err)
	}
	if _, err := s.client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &s.name}); err != nil {
		t.Errorf("DeleteTable: %v", err)
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// errOf drops the result of a call.
func errOf[T any](_ T, err error) error { return err }

func TestWebhookStore(t *testing.T) {
	s := newStore(t)
	webhooktest.Run(t, func(*testing.T) webhook.Store { return s })
}

// TestWithoutTokens checks that such a store reads everything but the token, one webhook as well as a list, and can delete.
func TestWithoutTokens(t *testing.T) {
	s := newStore(t)
	w := testWebhook("acme")
	create(t, s, w, nil)
	w.SealedToken = nil
	got, err := s.WithoutTokens().Webhook(t.Context(), "acme", w.ID)
	list, listErr := s.WithoutTokens().ListWebhooks(t.Context(), "acme", webhook.Page{Size: 1, Number: 1})
	if want := []webhook.Webhook{w}; err != nil || listErr != nil || !reflect.DeepEqual(got, w) || !reflect.DeepEqual(list.Webhooks, want) {
		t.Errorf("got %+v, error %v, and the list %+v, error %v, want %+v", got, err, list.Webhooks, listErr, w)
	}
	if err := s.WithoutTokens().DeleteWebhook(t.Context(), "acme", w.ID); err != nil {
		t.Errorf("DeleteWebhook: %v", err)
	}
}

func TestKeyStore(t *testing.T) {
	s := newStore(t)
	accesstest.Run(t, func(*testing.T) access.KeyStore { return s })
}

// storedEdges returns the keys of all of a company's edges, sorted. It scans, which the store never does.
func storedEdges(t testing.TB, s *Store, company string) []string {
	t.Helper()
	var edges []string
	pages := dynamodb.NewScanPaginator(s.client, &dynamodb.ScanInput{TableName: &s.name, ConsistentRead: pointer(true)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range page.Items {
			if k := keyOf(it); strings.HasPrefix(k.partition, companyPartition(company)+"#E#") {
				edges = append(edges, fmt.Sprint(k))
			}
		}
	}
	slices.Sort(edges)
	return edges
}
