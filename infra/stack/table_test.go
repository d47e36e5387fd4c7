package stack

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"webhooks/shared/dynamo"
)

// tableMaker answers as DynamoDB does while a table is made, and keeps the requests by their
// operations.
type tableMaker map[string]map[string]any

func (m tableMaker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	var request map[string]any
	_ = json.Unmarshal(body, &request)
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	m[operation] = request
	answers := map[string]any{
		"DescribeTable":      map[string]any{"Table": map[string]any{"TableStatus": "ACTIVE", "KeySchema": m["CreateTable"]["KeySchema"]}},
		"DescribeTimeToLive": map[string]any{"TimeToLiveDescription": map[string]any{"TimeToLiveStatus": "DISABLED"}},
	}
	answer, ok := answers[operation]
	if !ok {
		answer = map[string]any{}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_ = json.NewEncoder(w).Encode(answer)
}

// The table that the code makes (webhookctl tables create) is the template's.
func TestTable(t *testing.T) {
	requests := tableMaker{}
	server := httptest.NewServer(requests)
	defer server.Close()
	client := dynamo.NewClient(dynamo.Config{
		Endpoint: server.URL, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	})
	if err := dynamo.New(client, dynamo.SubscriptionsTable("test-")).CreateTables(t.Context()); err != nil {
		t.Fatal(err)
	}
	table := deploy(t, source(t), nil).properties("SubscriptionsTable")
	for _, property := range []string{"TableName", "KeySchema", "AttributeDefinitions", "GlobalSecondaryIndexes", "BillingMode", "DeletionProtectionEnabled"} {
		if got, want := requests["CreateTable"][property], table[property]; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v in the code and %v in the template", property, got, want)
		}
	}
	if got, want := requests["UpdateTimeToLive"]["TimeToLiveSpecification"], table["TimeToLiveSpecification"]; !reflect.DeepEqual(got, want) {
		t.Errorf("items expire by %v in the code and by %v in the template", got, want)
	}
	if got, want := requests["UpdateContinuousBackups"]["PointInTimeRecoverySpecification"], table["PointInTimeRecoverySpecification"]; !reflect.DeepEqual(got, want) {
		t.Errorf("recovery is %v in the code and %v in the template", got, want)
	}
}
