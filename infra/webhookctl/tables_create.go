package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"webhooks/shared/webhook"
)

// creationTimeout is how long making tables may take. In AWS it takes a while.
const creationTimeout = 2 * time.Minute

// tablesCreateCmd is "webhookctl tables create".
type tablesCreateCmd struct{}

// Help is the end of "webhookctl tables create --help".
func (*tablesCreateCmd) Help() string {
	return `A table that is there keeps what is in it, its capacity and its protection from deletion; expiry of old idempotency records and, where the endpoint has it, point-in-time recovery are turned on, on it as on a new one. So this may be repeated, and gives a restored table back these two settings. With SQLite, serve and the other commands make the file by themselves.

Examples:

    webhookctl tables create --store dynamodb --dynamodb-endpoint http://127.0.0.1:8000
    webhookctl tables create --store dynamodb --region eu-west-1 --table-prefix prod-`
}

// Run makes the tables and says where.
func (*tablesCreateCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	ctx, cancel := context.WithTimeout(ctx, creationTimeout)
	defer cancel()
	s, err := storage.open(ctx, c, create)
	if err != nil {
		return err
	}
	return errors.Join(makeTables(ctx, c, s), s.close())
}

func makeTables(ctx context.Context, c *console, s *opened) error {
	if err := reach(ctx, s); err != nil {
		return storeError(err)
	}
	if err := s.createTables(ctx); err != nil {
		return storeError(err)
	}
	_, err := fmt.Fprintf(c.out, "%s is ready.\n", s.place)
	return err
}

// reach finds out soon when there is no database to make tables in. Whether there are tables is not
// the question.
func reach(ctx context.Context, s *opened) error {
	if err := ping(ctx, s); webhook.KindOf(err) == webhook.KindUnavailable {
		return err
	}
	return nil
}
