package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
)

// place is a store of its own for one test: a folder to run in, and the flags that lead to it.
type place struct {
	dir   string
	flags []string
	env   []string // more of it, for servers
}

// eachStore runs a test on SQLite and on DynamoDB Local.
func eachStore(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("sqlite", func(t *testing.T) { test(t, place{dir: t.TempDir()}) })
	t.Run("dynamodb", func(t *testing.T) { test(t, onDynamoDB(t, dynamotest.Endpoint(t))) })
}

// onDynamoDB makes a place on an endpoint, which may be a proxy of DynamoDB Local. The table, if the
// test makes it, goes with the test.
func onDynamoDB(t *testing.T, endpoint string) place {
	t.Helper()
	prefix := "ctl-" + strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())) + "-" +
		time.Now().Format("150405.000000") + "-"
	t.Cleanup(func() { dropTable(t, dynamotest.Endpoint(t), dynamo.SubscriptionsTable(prefix)) })
	return place{
		dir:   t.TempDir(),
		flags: []string{"--store", "dynamodb", "--dynamodb-endpoint", endpoint, "--table-prefix", prefix},
	}
}

func dropTable(t *testing.T, endpoint, table string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	client := dynamo.NewClient(dynamo.Config{
		Endpoint:    endpoint,
		Region:      "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	unprotected := false
	update := &dynamodb.UpdateTableInput{TableName: &table, DeletionProtectionEnabled: &unprotected}
	if _, err := client.UpdateTable(ctx, update); err != nil {
		t.Errorf("unprotecting %s: %v", table, err)
	}
	if _, err := client.DeleteTable(ctx, &dynamodb.DeleteTableInput{TableName: &table}); err != nil {
		t.Errorf("deleting %s: %v", table, err)
	}
}

// args gives a command with the flags of the place.
func (p place) args(command ...string) []string { return append(command, p.flags...) }
