package dynamo

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// TestCreateTables creates a table from several goroutines, and once more after it is in use.
func TestCreateTables(t *testing.T) {
	s := New(NewClient(testConfig(dynamotest.Endpoint(t))), SubscriptionsTable("test-"+ulid.Make().String()+"-"))
	t.Cleanup(func() { dropTable(t, &s.table) })
	createTables := func() {
		if err := s.CreateTables(within(t, 20*time.Second)); err != nil {
			t.Errorf("CreateTables: %v", err)
		}
	}
	var done sync.WaitGroup
	for range 5 {
		done.Go(createTables)
	}
	done.Wait()
	create(t, s, testWebhook("acme"), nil)
	createTables()
	wantConsistent(t, s, "acme", 1)

	table, err := s.client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &s.name})
	if err != nil {
		t.Fatal(err)
	}
	if got := table.Table.BillingModeSummary.BillingMode; got != types.BillingModePayPerRequest {
		t.Errorf("the billing mode is %s, want %s", got, types.BillingModePayPerRequest)
	}
	if protected := table.Table.DeletionProtectionEnabled; protected == nil || !*protected {
		t.Error("the table has no deletion protection")
	}
	expiry, err := s.client.DescribeTimeToLive(t.Context(), &dynamodb.DescribeTimeToLiveInput{TableName: &s.name})
	if err != nil {
		t.Fatal(err)
	}
	if got := expiry.TimeToLiveDescription; got.TimeToLiveStatus != types.TimeToLiveStatusEnabled || *got.AttributeName != ttlAttr {
		t.Errorf("expiry %s, want it enabled on %s", got.TimeToLiveStatus, ttlAttr)
	}
}

// TestCreateDeliveryTables checks the index of the table Deliveries, and that a table without it is rejected.
func TestCreateDeliveryTables(t *testing.T) {
	s := newStores(t)
	if err := s.deliveries.CreateTables(within(t, 20*time.Second)); err != nil {
		t.Errorf("CreateTables: %v", err)
	}
	table, err := s.deliveries.client.DescribeTable(t.Context(), &dynamodb.DescribeTableInput{TableName: &s.deliveries.name})
	if err != nil {
		t.Fatal(err)
	}
	if protected := table.Table.DeletionProtectionEnabled; protected == nil || !*protected {
		t.Error("the table has no deletion protection")
	}
	if i := table.Table.GlobalSecondaryIndexes; len(i) != 1 || *i[0].IndexName != "waiting" || i[0].Projection.ProjectionType != types.ProjectionTypeKeysOnly {
		t.Errorf("the indexes are %+v, want waiting with only the keys", i)
	}
	if enabled, err := s.deliveries.expires(t.Context()); !enabled || err != nil {
		t.Errorf("expiry is %v, %v, want it enabled", enabled, err)
	}
	other := NewDeliveries(s.deliveries.client, s.subscriptions.name, s.subscriptions.name)
	err = other.CreateTables(within(t, 20*time.Second))
	if webhook.KindOf(err) != webhook.KindInternal || err == nil || !strings.Contains(err.Error(), `has no index "waiting"`) {
		t.Errorf("got error %v, want one about the index", err)
	}
}

// TestCreateTablesRecovery checks that point-in-time recovery is enabled, with retries until a new table is ready for it.
func TestCreateTablesRecovery(t *testing.T) {
	s, proxy := newFaultyStore(t)
	proxy.Next("UpdateContinuousBackups", dynamotest.Reject("ContinuousBackupsUnavailableException"), dynamotest.Respond(`{}`))
	if err := s.CreateTables(within(t, 10*time.Second)); err != nil {
		t.Errorf("CreateTables: %v", err)
	}
	if got := callsOf(proxy, "UpdateContinuousBackups"); got != 2 {
		t.Errorf("%d calls, want 2", got)
	}
	proxy.Next("UpdateContinuousBackups", dynamotest.Reject("AccessDeniedException"))
	if err := s.CreateTables(within(t, 10*time.Second)); webhook.KindOf(err) != webhook.KindInternal || err == nil {
		t.Errorf("CreateTables without the permission: got error %v, want one of KindInternal", err)
	}
}

// TestCreateTablesWaits checks that CreateTables waits for a table that does not exist yet or is not active.
func TestCreateTablesWaits(t *testing.T) {
	s, proxy := newFaultyStore(t)
	creating := dynamotest.Respond(`{"Table": {"TableStatus": "CREATING"}}`)
	proxy.Next("DescribeTable", dynamotest.Reject("ResourceNotFoundException"), creating, creating)
	if err := s.CreateTables(within(t, 10*time.Second)); err != nil {
		t.Errorf("CreateTables: %v", err)
	}
	if got := callsOf(proxy, "DescribeTable"); got != 4 {
		t.Errorf("%d calls, want 4", got)
	}
	proxy.Every(onlyTo("DescribeTable", creating))
	wantUnavailable(t, "CreateTables", s.CreateTables(within(t, 400*time.Millisecond)))
}

func TestCreateTablesOtherSchema(t *testing.T) {
	s := New(NewClient(testConfig(dynamotest.Endpoint(t))), "test-"+ulid.Make().String())
	_, err := s.client.CreateTable(t.Context(), &dynamodb.CreateTableInput{
		TableName:            &s.name,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: pointer("id"), AttributeType: types.ScalarAttributeTypeS}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: pointer("id"), KeyType: types.KeyTypeHash}},
		BillingMode:          types.BillingModePayPerRequest,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dropTable(t, &s.table) })
	err = s.CreateTables(within(t, 10*time.Second))
	if webhook.KindOf(err) != webhook.KindInternal || err == nil || !strings.Contains(err.Error(), "has a key schema other than pk and sk") {
		t.Errorf("got error %v, want one about the key schema", err)
	}
}
