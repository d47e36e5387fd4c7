package dynamo

import (
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

// newDeliveries returns a store on its own tables, which are deleted at the end of the test.
func newDeliveries(t testing.TB) deliveryStore {
	t.Helper()
	client, prefix := NewClient(testConfig(dynamotest.Endpoint(t))), "test-"+ulid.Make().String()+"-"
	s := deliveryStore{
		New(client, SubscriptionsTable(prefix)),
		NewDeliveries(client, SubscriptionsTable(prefix), DeliveriesTable(prefix)),
	}
	t.Cleanup(func() {
		dropTable(t, &s.subscriptions)
		dropTable(t, &s.deliveries.table)
	})
	if err := s.deliveries.CreateTables(within(t, 20*time.Second)); err != nil {
		t.Fatalf("CreateTables: %v", err)
	}
	return s
}

func TestDeliveryStore(t *testing.T) {
	s := newDeliveries(t)
	webhooktest.RunDeliveries(t, func(*testing.T) webhooktest.DeliveryTestStore { return s })
}
