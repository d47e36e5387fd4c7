package dynamo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"webhooks/shared/webhook"
)

// SubscriptionsTable returns the name of the table of webhooks, event types and API keys. With the prefix "<stack>-" it is
// the table of a deployed stack.
func SubscriptionsTable(prefix string) string { return prefix + "subscriptions" }

// DeliveriesTable returns the name of the table of events and deliveries, with a prefix as for [SubscriptionsTable].
func DeliveriesTable(prefix string) string { return prefix + "deliveries" }

// The shortest and the longest time between two checks of a table that is being created.
const (
	shortestLook = 100 * time.Millisecond
	longestLook  = 2 * time.Second
)

// CreateTables creates the table if it does not exist, with on-demand capacity and deletion protection, and waits until it
// is active, which takes about ten seconds on AWS. It then enables the expiry of items and, if the endpoint supports it,
// point-in-time recovery. It is safe to repeat. A table of that name with another key schema is an error.
func (s *Store) CreateTables(ctx context.Context) error { return s.create(ctx, nil) }

// CreateTables does for both tables what CreateTables of [Store] does for one.
func (d *Deliveries) CreateTables(ctx context.Context) error {
	return both(
		func() error { return d.subscriptions.create(ctx, nil) },
		func() error { return d.create(ctx, waitingIndex()) },
	)
}

// create creates the table, with an index if that is not nil.
func (t *table) create(ctx context.Context, index *types.GlobalSecondaryIndex) error {
	if err := t.createTable(ctx, index); err != nil {
		return t.failure(err)
	}
	if err := t.waitForTable(ctx, index); err != nil {
		return err
	}
	if err := t.enableExpiry(ctx); err != nil {
		return t.failure(err)
	}
	return t.failure(t.enableRecovery(ctx))
}

func (t *table) createTable(ctx context.Context, index *types.GlobalSecondaryIndex) error {
	in := &dynamodb.CreateTableInput{
		TableName:                 &t.name,
		KeySchema:                 schema(),
		BillingMode:               types.BillingModePayPerRequest,
		DeletionProtectionEnabled: pointer(true),
	}
	keys := in.KeySchema
	if index != nil {
		in.GlobalSecondaryIndexes = []types.GlobalSecondaryIndex{*index}
		keys = append(keys[:len(keys):len(keys)], index.KeySchema...)
	}
	for _, k := range keys {
		in.AttributeDefinitions = append(in.AttributeDefinitions,
			types.AttributeDefinition{AttributeName: k.AttributeName, AttributeType: types.ScalarAttributeTypeS})
	}
	_, err := t.client.CreateTable(ctx, in)
	if _, found := errors.AsType[*types.ResourceInUseException](err); found {
		return nil
	}
	return err
}

func (t *table) waitForTable(ctx context.Context, index *types.GlobalSecondaryIndex) error {
	for wait := shortestLook; ; wait = min(2*wait, longestLook) {
		out, err := t.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &t.name})
		_, unknown := errors.AsType[*types.ResourceNotFoundException](err) // a new table may take a moment to become visible
		switch {
		case err != nil && !unknown:
			return t.failure(err)
		case err == nil && out.Table.TableStatus == types.TableStatusActive:
			return t.checkSchema(out.Table, index)
		}
		if err := sleep(ctx, wait); err != nil {
			return webhook.Unavailable(fmt.Errorf("table %q is not ready yet: %w", t.name, err))
		}
	}
}

func (t *table) checkSchema(found *types.TableDescription, index *types.GlobalSecondaryIndex) error {
	got, want := found.KeySchema, schema()
	for i := range want {
		if len(got) != len(want) || *got[i].AttributeName != *want[i].AttributeName || got[i].KeyType != want[i].KeyType {
			return internal(fmt.Errorf("table %q has a key schema other than %s and %s: choose another table prefix", t.name, partitionKey, sortKey))
		}
	}
	if index != nil && !slices.ContainsFunc(found.GlobalSecondaryIndexes, func(i types.GlobalSecondaryIndexDescription) bool {
		return *i.IndexName == *index.IndexName
	}) {
		return internal(fmt.Errorf("table %q has no index %q: choose another table prefix", t.name, *index.IndexName))
	}
	return nil
}

func (t *table) enableExpiry(ctx context.Context) error {
	if enabled, err := t.expires(ctx); enabled || err != nil {
		return err
	}
	_, err := t.client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: &t.name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{
			AttributeName: pointer(ttlAttr),
			Enabled:       pointer(true),
		},
	})
	if err != nil {
		if enabled, _ := t.expires(ctx); enabled {
			return nil // enabled concurrently
		}
	}
	return err
}

// expires reports whether the expiry of items is enabled or being enabled.
func (t *table) expires(ctx context.Context) (bool, error) {
	out, err := t.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &t.name})
	if err != nil {
		return false, err
	}
	status := out.TimeToLiveDescription.TimeToLiveStatus
	return status == types.TimeToLiveStatusEnabled || status == types.TimeToLiveStatusEnabling, nil
}

func (t *table) enableRecovery(ctx context.Context) error {
	_, err := t.client.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
		TableName: &t.name,
		PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: pointer(true),
		},
	})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "UnknownOperationException" {
		return nil // DynamoDB Local does not support backups
	}
	return err
}
