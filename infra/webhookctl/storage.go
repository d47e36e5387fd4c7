package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"webhooks/shared/access"
	"webhooks/shared/dynamo"
	"webhooks/shared/endpoint"
	"webhooks/shared/seal"
	"webhooks/shared/sqlite"
	"webhooks/shared/sqs"
	"webhooks/shared/webhook"
)

const (
	storeSQLite   = "sqlite"
	storeDynamoDB = "dynamodb"
)

// startTimeout limits how long the database and KMS may take to respond before a command gives up.
const startTimeout = 10 * time.Second

// storageFlags select the store and its data. All commands share them.
type storageFlags struct {
	Store            string `env:"WEBHOOKS_STORE" default:"sqlite" enum:"sqlite,dynamodb" help:"Database: sqlite (one file in --data) or dynamodb."`
	Data             string `env:"WEBHOOKS_DATA" default:".webhooks" help:"Directory for the SQLite file, the token key and --dev data. Created if it does not exist."`
	TablePrefix      string `env:"WEBHOOKS_TABLE_PREFIX" placeholder:"P" help:"DynamoDB: prefix of the names of tables and SQS queues, to run several services in one account."`
	DynamoDBEndpoint string `name:"dynamodb-endpoint" env:"WEBHOOKS_DYNAMODB_ENDPOINT" placeholder:"URL" help:"DynamoDB: endpoint to use instead of the region's, for example http://127.0.0.1:8000 for DynamoDB Local."`
	SQSEndpoint      string `name:"sqs-endpoint" env:"WEBHOOKS_SQS_ENDPOINT" placeholder:"URL" help:"DynamoDB: SQS endpoint to use instead of the region's. Required with a local --dynamodb-endpoint."`
	Region           string `env:"WEBHOOKS_REGION" placeholder:"REGION" help:"DynamoDB: AWS region. By default, as configured for AWS (AWS_REGION, the profile), or us-east-1 with a local --dynamodb-endpoint."`
}

// store is everything that is stored.
type store interface {
	webhook.Store
	access.KeyStore
	Companies(ctx context.Context) ([]webhook.CompanyItems, error)
}

// opened is an open store and its metadata.
type opened struct {
	store
	// place is its name for people.
	place string
	// createTables creates the tables and queues that do not exist, and returns what there is now, for people. It is safe to repeat.
	createTables func(ctx context.Context) (report string, err error)
	// kmsKeys returns the token keys that this store keeps, encrypted under a KMS key, in the region's
	// KMS or at another endpoint. It is nil if the store keeps none.
	kmsKeys func(kmsKey, endpoint string) seal.Keys
	// newest returns the webhook of any company that was stored last, or [webhook.ErrNotFound] if there is none, or if finding
	// it would mean reading the whole store.
	newest func(ctx context.Context) (webhook.Webhook, error)
	// newDeliverer returns what delivers the events in this store.
	newDeliverer func(ctx context.Context, e *engine) (deliverer, error)
	close        func() error
}

// validate rejects flags that contradict each other, before anything is created.
func (f *storageFlags) validate() error {
	switch {
	case f.Data == "":
		return errors.New("--data is empty: pass the directory to keep data in")
	case f.Store != storeDynamoDB:
		return f.validateSQLite()
	}
	for _, setting := range []struct{ flag, value string }{
		{"--dynamodb-endpoint", f.DynamoDBEndpoint},
		{"--sqs-endpoint", f.SQSEndpoint},
	} {
		if setting.value == "" {
			continue
		}
		if err := validateEndpoint(setting.flag, setting.value); err != nil {
			return err
		}
	}
	return nil
}

// hasQueues reports whether the settings name an SQS: with a local DynamoDB, the region's is not meant.
func (f *storageFlags) hasQueues() bool {
	return f.SQSEndpoint != "" || !endpoint.LocalOverride(f.DynamoDBEndpoint)
}

// validateSQLite rejects DynamoDB settings: a command that has one is meant for DynamoDB, and would
// otherwise change a different store.
func (f *storageFlags) validateSQLite() error {
	for _, setting := range []struct{ flag, value string }{
		{"--dynamodb-endpoint", f.DynamoDBEndpoint},
		{"--sqs-endpoint", f.SQSEndpoint},
		{"--table-prefix", f.TablePrefix},
		{"--region", f.Region},
	} {
		if setting.value != "" {
			return fmt.Errorf("%s is set, but the store is sqlite: add --store dynamodb or remove it", setting.flag)
		}
	}
	return nil
}

// openMode is what to do if the SQLite file does not exist.
type openMode bool

const (
	create openMode = true
	// existing is for commands that look for data: a new file in a wrong directory would hide the mistake.
	existing openMode = false
)

// open opens the store. The caller closes it.
func (f *storageFlags) open(ctx context.Context, c *console, mode openMode) (*opened, error) {
	if err := f.validate(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if f.Store == storeDynamoDB {
		return f.openDynamoDB(ctx)
	}
	return f.openSQLite(ctx, c, mode)
}

func (f *storageFlags) openDynamoDB(ctx context.Context) (*opened, error) {
	config, err := f.awsConfig(ctx)
	if err != nil {
		return nil, err
	}
	client, table := dynamo.NewClient(config), dynamo.SubscriptionsTable(f.TablePrefix)
	s, deliveries := dynamo.New(client, table), dynamo.NewDeliveries(client, table, dynamo.DeliveriesTable(f.TablePrefix))
	queues := sqs.NewClient(sqs.Config{Endpoint: f.SQSEndpoint, Region: config.Region, Credentials: config.Credentials})
	return &opened{
		store: s,
		place: "the DynamoDB table " + table,
		createTables: func(ctx context.Context) (string, error) {
			return f.createInAWS(ctx, deliveries, queues)
		},
		newDeliverer: func(ctx context.Context, e *engine) (deliverer, error) {
			return newQueueDeliverer(ctx, deliveries, queues, f.TablePrefix, e)
		},
		kmsKeys: func(kmsKey, endpoint string) seal.Keys {
			return seal.NewKMSKeys(newKMSClient(config, endpoint), s, kmsKey)
		},
		newest: func(context.Context) (webhook.Webhook, error) { return webhook.Webhook{}, webhook.ErrNotFound },
		close:  func() error { return nil },
	}, nil
}

// createInAWS creates the tables and, unless they would be far from a local DynamoDB, the queues.
func (f *storageFlags) createInAWS(ctx context.Context, deliveries *dynamo.Deliveries, queues *awssqs.Client) (report string, err error) {
	if err := deliveries.CreateTables(ctx); err != nil {
		return "", storeError(err)
	}
	report = fmt.Sprintf("The DynamoDB tables %s and %s are ready.\n", dynamo.SubscriptionsTable(f.TablePrefix), dynamo.DeliveriesTable(f.TablePrefix))
	if !f.hasQueues() {
		return report + "There are no queues, which serve needs: --dynamodb-endpoint is local, and --sqs-endpoint is not set.\n", nil
	}
	if _, err := sqs.Create(ctx, queues, f.TablePrefix); err != nil {
		return "", queueError(err)
	}
	const queuesReady = "The SQS queues %[1]sdeliveries, %[1]sslow, %[1]sfan-out and %[1]singest and their dead-letter queues are ready.\n"
	return report + fmt.Sprintf(queuesReady, f.TablePrefix), nil
}

func (f *storageFlags) openSQLite(ctx context.Context, c *console, mode openMode) (*opened, error) {
	path := f.databaseFile()
	_, err := os.Stat(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if missing && mode == existing {
		return nil, fmt.Errorf("%s does not exist: check --data, or run \"webhookctl tables create\" to create a new database", path)
	}
	if err := f.makeDataDir(); err != nil {
		return nil, err
	}
	s, err := sqlite.Open(ctx, path, c.now)
	if err != nil {
		return nil, fileError(path, err)
	}
	if missing {
		c.log.Info("created a new database: if you already have one, check --data", "file", path)
	}
	return &opened{
		store:        s,
		place:        path,
		createTables: func(context.Context) (string, error) { return path + " is ready.\n", nil }, // opening created it
		newest:       s.NewestWebhook,
		newDeliverer: func(_ context.Context, e *engine) (deliverer, error) { return newLocalDeliverer(s, e) },
		close:        s.Close,
	}, nil
}

// databaseFile returns the path of the SQLite file, which need not exist.
func (f *storageFlags) databaseFile() string { return filepath.Join(f.Data, "webhooks.db") }

// makeDataDir creates the data directory with access for this user only.
func (f *storageFlags) makeDataDir() error {
	if err := os.MkdirAll(f.Data, 0o700); err != nil {
		return fmt.Errorf("creating the data directory: %w: pass another one with --data", err)
	}
	return nil
}

// devDir returns the directory for what --dev keeps, which marks a data directory as one of --dev.
func (f *storageFlags) devDir() string { return filepath.Join(f.Data, "dev") }

func (f *storageFlags) isDev() bool {
	_, err := os.Stat(f.devDir())
	return err == nil
}

// claimForDev makes the data directory one of --dev, unless it has other data, to which --dev would add
// event types and an API key.
func (f *storageFlags) claimForDev() error {
	if f.isDev() {
		return nil
	}
	for _, path := range []string{f.databaseFile(), (&tokenKeyFlags{}).file(f)} {
		if _, err := os.Stat(path); err == nil {
			return fmt.Errorf("%s was not created by serve --dev: pass a new directory with --data (make run: DATA=.webhooks-dev), or remove --dev to serve this data", path)
		}
	}
	if err := f.makeDataDir(); err != nil {
		return err
	}
	if err := os.Mkdir(f.devDir(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("creating the development directory: %w: pass another directory with --data", err)
	}
	return nil
}

// ping checks that the database responds and has its tables.
func ping(ctx context.Context, s *opened) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return s.Ping(ctx)
}

// withStore opens the store, runs a command on it, and closes it. The command takes as long as it needs once the store has
// responded, and a signal interrupts it.
func (f *storageFlags) withStore(ctx context.Context, c *console, mode openMode, do func(ctx context.Context, s *opened) error) error {
	return untilSignal(ctx, func(ctx context.Context) error {
		s, err := f.open(ctx, c, mode)
		if err != nil {
			return err
		}
		if err := ping(ctx, s); err != nil {
			return errors.Join(storeError(err), s.close())
		}
		return errors.Join(do(ctx, s), s.close())
	})
}
