package main

import (
	"context"
	"errors"
	"io"
	"time"

	"webhooks/shared/webhook"
)

// creationTimeout is how long creating tables may take, which is a while in AWS.
const creationTimeout = 2 * time.Minute

// tablesCreateCmd is "webhookctl tables create".
type tablesCreateCmd struct{}

// Help is the end of "webhookctl tables create --help".
func (*tablesCreateCmd) Help() string {
	return `With DynamoDB, it creates two tables, and the SQS queues through which events are delivered. It is safe to repeat. An existing table keeps its data, its capacity and its deletion protection, and an existing queue stays as it is. Expiration of old items and, if the endpoint supports it, point-in-time recovery are turned on for new and existing tables: run this after restoring a table. With SQLite this command is optional, because serve and the other commands create the file.

Examples:

    webhookctl tables create --store dynamodb --dynamodb-endpoint http://127.0.0.1:8000 --sqs-endpoint http://127.0.0.1:5000
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
	report, err := s.createTables(ctx)
	if err != nil {
		return err
	}
	_, err = io.WriteString(c.out, report)
	return err
}
