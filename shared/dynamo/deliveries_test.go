package dynamo

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook/webhooktest"
)

// deliveries is an alias because a field of that name would hide the method.
type deliveries = Deliveries

// deliveryStore is a store of everything.
type deliveryStore struct {
	*Store
	*deliveries
}

// prefix returns the prefix of the names of the tables.
func (s deliveryStore) prefix() string {
	return strings.TrimSuffix(s.subscriptions.name, SubscriptionsTable(""))
}

func newDeliveryStore(cfg Config, prefix string) deliveryStore {
	client, subscriptions := NewClient(cfg), SubscriptionsTable(prefix)
	return deliveryStore{New(client, subscriptions), NewDeliveries(client, subscriptions, DeliveriesTable(prefix))}
}

// newStores returns a store on its own tables, which are deleted at the end of the test.
func newStores(t testing.TB) deliveryStore {
	t.Helper()
	s := newDeliveryStore(testConfig(dynamotest.Endpoint(t)), "test-"+ulid.Make().String()+"-")
	t.Cleanup(func() {
		dropTable(t, &s.subscriptions)
		dropTable(t, &s.deliveries.table)
	})
	if err := s.deliveries.CreateTables(within(t, 20*time.Second)); err != nil {
		t.Fatalf("CreateTables: %v", err)
	}
	return s
}

// storesOn returns a store on the same tables at another endpoint.
func storesOn(endpoint string, s deliveryStore) deliveryStore {
	return newDeliveryStore(testConfig(endpoint), s.prefix())
}

// newFaultyStores does what [newFaultyStore] does, with both tables.
func newFaultyStores(t testing.TB) (deliveryStore, *dynamotest.Proxy) {
	t.Helper()
	s := newStores(t)
	proxy := dynamotest.NewProxy(t, dynamotest.Endpoint(t))
	return newDeliveryStore(faultyConfig(t, proxy), s.prefix()), proxy
}

// faultyConfig returns a configuration for a proxy.
func faultyConfig(t testing.TB, proxy *dynamotest.Proxy) Config {
	transport := &http.Transport{MaxIdleConnsPerHost: maxIdleConns}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := testConfig(proxy.URL)
	cfg.HTTPClient = &http.Client{Transport: transport, Timeout: testAttemptTimeout}
	return cfg
}

func TestDeliveryStore(t *testing.T) {
	s := newStores(t)
	webhooktest.RunDeliveries(t, func(*testing.T) webhooktest.DeliveryTestStore { return s })
}

func TestQueueStore(t *testing.T) {
	s := newStores(t)
	webhooktest.RunQueueStore(t, func(*testing.T) webhooktest.QueueTestStore { return s })
}
