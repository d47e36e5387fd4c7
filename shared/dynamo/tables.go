package dynamo

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"

	"webhooks/shared/webhook"
)

// SubscriptionsTable returns the name of the table of webhooks, event types and API keys. With the prefix "<stack>-" it is
// the table of a deployed stack.
func SubscriptionsTable(prefix string) string { return prefix + "subscriptions" }

// The shortest and the longest time between two checks of a table that is being created.
const (
	shortestLook = 100 * time.Millisecond
	longestLook  = 2 * time.Second
)

// CreateTables creates the table if it does not exist, with on-demand capacity and deletion protection, and waits until it
// is active, which takes about ten seconds on AWS. It then enables the expiry of idempotency records and, if the endpoint
// supports it, point-in-time recovery. It is safe to repeat. A table of that name with another key schema is an error.
func (s *Store) CreateTables(ctx context.Context) error {
	if err := s.createTable(ctx); err != nil {
		return s.failure(err)
	}
	if err := s.waitForTable(ctx); err != nil {
		return err
	}
	if err := s.enableExpiry(ctx); err != nil {
		return s.failure(err)
	}
	return s.failure(s.enableRecovery(ctx))
}

func (s *Store) createTable(ctx context.Context) error {
	_, err := s.client.CreateTable(ctx, &dynamodb.CreateTableInput{
		TableName: &s.name,
		AttributeDefinitions: []types.AttributeDefinition{
			{AttributeName: pointer(partitionKey), AttributeType: types.ScalarAttributeTypeS},
			{AttributeName: pointer(sortKey), AttributeType: types.ScalarAttributeTypeS},
		},
		KeySchema:                 schema(),
		BillingMode:               types.BillingModePayPerRequest,
		DeletionProtectionEnabled: pointer(true),
	})
	if _, found := errors.AsType[*types.ResourceInUseException](err); found {
		return nil
	}
	return err
}

func (s *Store) waitForTable(ctx context.Context) error {
	for wait := shortestLook; ; wait = min(2*wait, longestLook) {
		out, err := s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &s.name})
		_, unknown := errors.AsType[*types.ResourceNotFoundException](err) // a new table may take a moment to become visible
		switch {
		case err != nil && !unknown:
			return s.failure(err)
		case err == nil && out.Table.TableStatus == types.TableStatusActive:
			return s.checkSchema(out.Table.KeySchema)
		}
		if err := sleep(ctx, wait); err != nil {
			return webhook.Unavailable(fmt.Errorf("table %q is not ready yet: %w", s.name, err))
		}
	}
}

func (s *Store) checkSchema(got []types.KeySchemaElement) error {
	want := schema()
	for i := range want {
		if len(got) != len(want) || *got[i].AttributeName != *want[i].AttributeName || got[i].KeyType != want[i].KeyType {
			return internal(fmt.Errorf("table %q has a key schema other than %s and %s: choose another table prefix", s.name, partitionKey, sortKey))
		}
	}
	return nil
}

func (s *Store) enableExpiry(ctx context.Context) error {
	if enabled, err := s.expires(ctx); enabled || err != nil {
		return err
	}
	_, err := s.client.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
		TableName: &s.name,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{
			AttributeName: pointer(ttlAttr),
			Enabled:       pointer(true),
		},
	})
	if err != nil {
		if enabled, _ := s.expires(ctx); enabled {
			return nil // enabled concurrently
		}
	}
	return err
}

// expires reports whether the expiry of items is enabled or being enabled.
func (s *Store) expires(ctx context.Context) (bool, error) {
	out, err := s.client.DescribeTimeToLive(ctx, &dynamodb.DescribeTimeToLiveInput{TableName: &s.name})
	if err != nil {
		return false, err
	}
	status := out.TimeToLiveDescription.TimeToLiveStatus
	return status == types.TimeToLiveStatusEnabled || status == types.TimeToLiveStatusEnabling, nil
}

func (s *Store) enableRecovery(ctx context.Context) error {
	_, err := s.client.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
		TableName: &s.name,
		PointInTimeRecoverySpecification: &types.PointInTimeRecoverySpecification{
			PointInTimeRecoveryEnabled: pointer(true),
		},
	})
	if api, ok := errors.AsType[smithy.APIError](err); ok && api.ErrorCode() == "UnknownOperationException" {
		return nil // DynamoDB Local does not support backups
	}
	return err
}
