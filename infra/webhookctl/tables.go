package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"webhooks/shared/webhook"
)

// creationTimeout is how long creating tables may take, which is a while in AWS.
const creationTimeout = 2 * time.Minute

// tablesCreateCmd is "webhookctl tables create".
type tablesCreateCmd struct{}

// Help is the end of "webhookctl tables create --help".
func (*tablesCreateCmd) Help() string {
	return `It is safe to repeat. An existing table keeps its data, its capacity and its deletion protection. Expiration of old idempotency records and, if the endpoint supports it, point-in-time recovery are turned on for new and existing tables: run this after restoring a table. With SQLite this command is optional, because serve and the other commands create the file.

Examples:

    webhookctl tables create --store dynamodb --dynamodb-endpoint http://127.0.0.1:8000
    webhookctl tables create --store dynamodb --region eu-west-1 --table-prefix prod-`
}

// Run creates the tables and reports where.
func (*tablesCreateCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	s, err := storage.open(ctx, c, create)
	if err != nil {
		return err
	}
	return errors.Join(createTables(ctx, c, s), s.close())
}

func createTables(ctx context.Context, c *console, s *opened) error {
	// Fail early if the database cannot be reached. Whether it has the tables does not matter here.
	if err := ping(ctx, s); webhook.KindOf(err) == webhook.KindUnavailable {
		return storeError(err)
	}
	ctx, cancel := context.WithTimeout(ctx, creationTimeout)
	defer cancel()
	if err := s.createTables(ctx); err != nil {
		return storeError(err)
	}
	_, err := fmt.Fprintf(c.out, "%s is ready.\n", s.place)
	return err
}
