package dynamo

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// Store implements webhook.Store and access.KeyStore on one DynamoDB table.
type Store struct {
	table
	withoutTokens bool
}

var (
	_ webhook.Store   = (*Store)(nil)
	_ access.KeyStore = (*Store)(nil)
)

// New returns a store on a table that exists or that CreateTables will create. The client should come from [NewClient],
// which retries.
func New(client *dynamodb.Client, name string) *Store {
	return &Store{table: table{client, name}}
}

// WithoutTokens returns a store on the same table that reads webhooks without their tokens, so their SealedToken is nil. It
// is for functions whose roles do not allow reading tokens.
func (s *Store) WithoutTokens() *Store {
	return &Store{table: s.table, withoutTokens: true}
}

// Ping reads an item that does not exist.
func (s *Store) Ping(ctx context.Context) error {
	_, err := s.get(ctx, absentKey(), allAttributes)
	return err
}
