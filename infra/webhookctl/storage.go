package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/dynamo"
	"webhooks/shared/seal"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
)

// commandTimeout is how long a command that is not a server waits for the database in all.
const commandTimeout = 10 * time.Second

const (
	storeSQLite   = "sqlite"
	storeDynamoDB = "dynamodb"
)

// storageFlags say where everything is kept; all commands have them.
type storageFlags struct {
	Store            string `env:"WEBHOOKS_STORE" default:"sqlite" enum:"sqlite,dynamodb" help:"Database: sqlite (one file in --data) or dynamodb."`
	Data             string `env:"WEBHOOKS_DATA" default:".webhooks" placeholder:"DIR" help:"Folder of the SQLite file, the token key and what --dev keeps. Made when missing."`
	TablePrefix      string `env:"WEBHOOKS_TABLE_PREFIX" placeholder:"P" help:"DynamoDB: what table names begin with, to have several services in one account."`
	DynamoDBEndpoint string `name:"dynamodb-endpoint" env:"WEBHOOKS_DYNAMODB_ENDPOINT" placeholder:"URL" help:"DynamoDB: another endpoint than the region's, such as http://127.0.0.1:8000 for DynamoDB Local."`
	Region           string `env:"WEBHOOKS_REGION" placeholder:"REGION" help:"DynamoDB: AWS region. Otherwise AWS's own settings apply (AWS_REGION, the profile), or us-east-1 at another endpoint."`
}

// store is everything that is stored.
type store interface {
	webhook.Store
	access.KeyStore
}

// opened is a store with what must be known of it.
type opened struct {
	store
	// place names it to people.
	place string
	// begun tells that opening it made the file.
	begun bool
	// createTables makes what is missing; it may be repeated.
	createTables func(ctx context.Context) error
	// kmsKeys gives token keys that are kept in this store under a KMS key, at the region's KMS or
	// another endpoint. It is nil where the store keeps none.
	kmsKeys func(kmsKey, endpoint string) seal.Keys
	// newest gives the webhook that was stored last of all companies', or [webhook.ErrNotFound]. It is
	// nil where finding one would mean reading the whole store.
	newest func(ctx context.Context) (webhook.Webhook, error)
	close  func() error
}

// validate finds what contradicts itself before anything is made.
func (f *storageFlags) validate() error {
	switch {
	case f.Data == "":
		return errors.New("--data is empty: give the folder to keep data in")
	case f.Store != storeDynamoDB:
		return f.validateSQLite()
	case f.DynamoDBEndpoint == "":
		return nil
	}
	return validateEndpoint("--dynamodb-endpoint", f.DynamoDBEndpoint)
}

// validateSQLite refuses what is for DynamoDB alone, by flag or by variable: who gives it means that
// store, and would otherwise work on another one.
func (f *storageFlags) validateSQLite() error {
	for _, flag := range []struct{ name, variable, value string }{
		{"--dynamodb-endpoint", "WEBHOOKS_DYNAMODB_ENDPOINT", f.DynamoDBEndpoint},
		{"--table-prefix", "WEBHOOKS_TABLE_PREFIX", f.TablePrefix},
		{"--region", "WEBHOOKS_REGION", f.Region},
	} {
		if flag.value != "" {
			return fmt.Errorf("%s (or %s) is given, but the store is sqlite: add --store dynamodb, or leave it out", flag.name, flag.variable)
		}
	}
	return nil
}

// beginning tells whether a command may begin a new SQLite file. Those that look for something
// that exists may not: an empty file in the wrong folder would only hide the mistake.
type beginning bool

const (
	create   beginning = true
	existing beginning = false
)

// open opens the store. Close it.
func (f *storageFlags) open(ctx context.Context, c *console, begin beginning) (*opened, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	if f.Store == storeDynamoDB {
		return f.openDynamoDB(ctx)
	}
	return f.openSQLite(ctx, c, begin)
}

func (f *storageFlags) openDynamoDB(ctx context.Context) (*opened, error) {
	config, err := f.awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	table := dynamo.SubscriptionsTable(f.TablePrefix)
	s := dynamo.New(dynamo.NewClient(config), table)
	return &opened{
		store:        s,
		place:        "the DynamoDB table " + table,
		createTables: s.CreateTables,
		kmsKeys: func(kmsKey, endpoint string) seal.Keys {
			return seal.NewKMSKeys(newKMSClient(config, endpoint), s, kmsKey)
		},
		close: func() error { return nil },
	}, nil
}

func (f *storageFlags) openSQLite(ctx context.Context, c *console, begin beginning) (*opened, error) {
	path := f.databaseFile()
	_, err := os.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing && begin == existing {
		return nil, fmt.Errorf("there is no %s: check --data, or run \"webhookctl tables create\" to begin a new one", path)
	}
	if err := f.makeDataDir(); err != nil {
		return nil, err
	}
	s, err := sqlite.Open(ctx, path, c.now)
	if err != nil {
		return nil, fileError(path, err)
	}
	return &opened{
		store:        s,
		place:        path,
		begun:        missing,
		createTables: func(context.Context) error { return nil }, // opening it did
		newest:       s.NewestWebhook,
		close:        s.Close,
	}, nil
}

// databaseFile is where the SQLite file is, or is to be.
func (f *storageFlags) databaseFile() string { return filepath.Join(f.Data, "webhooks.db") }

// makeDataDir makes the folder so that only this user can look into it.
func (f *storageFlags) makeDataDir() error {
	if err := os.MkdirAll(f.Data, 0o700); err != nil {
		return fmt.Errorf("making the data folder: %w: give another with --data", err)
	}
	return nil
}

// noteBegun tells who meant a database that there is that this one is new.
func (s *opened) noteBegun(c *console) {
	if s.begun {
		fmt.Fprintf(c.err, "A new database was begun: %s. If you have one already, check --data.\n", s.place)
	}
}

// openSoon opens the store, or gives up after commandTimeout.
func (f *storageFlags) openSoon(ctx context.Context, c *console, begin beginning) (*opened, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	return f.open(ctx, c, begin)
}

// ping finds out soon whether the database answers and has its tables.
func ping(ctx context.Context, s *opened) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	return s.Ping(ctx)
}

// withStore opens the store for one short command and closes it again.
func (f *storageFlags) withStore(ctx context.Context, c *console, begin beginning, do func(ctx context.Context, s *opened) error) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	s, err := f.open(ctx, c, begin)
	if err != nil {
		return err
	}
	s.noteBegun(c)
	return errors.Join(do(ctx, s), s.close())
}
