package e2e

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/oklog/ulid/v2"

	"webhooks/infra/bootstrap"
	emulator "webhooks/infra/gateway" // gateway is a host
	"webhooks/shared/access"
	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/sqs"
	domain "webhooks/shared/webhook"
)

const (
	// invocationTimeout is longer than what deliver-webhook wants to have left before an attempt.
	invocationTimeout = 22 * time.Second
	lambdaRegion      = "eu-west-1"
)

// deployment is functions as they are deployed, with faults between all parts.
type deployment struct {
	chaos     *chaos
	functions map[string]*emulator.Function
	handlers  map[string]*handler // those of functions that handle messages
	store     *dynamo.Deliveries
	tables    *dynamodb.Client
	prefix    string // of their names
	database  string // the endpoint of DynamoDB
	sqs       *awssqs.Client
	queues    *queues
	sends     []*dynamotest.Proxy // in front of SQS
	logs      string              // directory
	api       string              // URL
	key       string              // an API key
}

// deploy builds the functions and starts the parts around them.
func deploy(t *testing.T, settings map[string]string, eventTypes ...string) *deployment {
	t.Helper()
	c := &chaos{calls: make(map[string]int), happened: make(map[string]int)}
	d := &deployment{
		chaos: c, functions: make(map[string]*emulator.Function), handlers: make(map[string]*handler), prefix: "loss-" + rand.Text()[:10] + "-",
		database: dynamotest.Endpoint(t), queues: startQueues(t, c), logs: t.TempDir(),
	}
	dummy := credentials.NewStaticCredentialsProvider("ASIADUMMY", "dummy", "")
	d.sqs = sqs.NewClient(sqs.Config{Endpoint: d.queues.url, Region: lambdaRegion, Credentials: dummy})
	d.tables = dynamo.NewClient(dynamo.Config{Endpoint: d.database, Region: lambdaRegion, Credentials: dummy})
	subscriptions, deliveries := dynamo.SubscriptionsTable(d.prefix), dynamo.DeliveriesTable(d.prefix)
	d.store = dynamo.NewDeliveries(d.tables, subscriptions, deliveries)
	err := d.store.CreateTables(t.Context())
	for _, name := range eventTypes {
		err = errors.Join(err, d.store.Subscriptions().AddEventType(t.Context(), domain.EventType{Name: name, AddedAt: time.Now()}))
	}
	if err := errors.Join(err, d.createKey(t)); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"WEBHOOKS_SUBSCRIPTIONS_TABLE": subscriptions, "WEBHOOKS_DELIVERIES_TABLE": deliveries, "WEBHOOKS_STACK": "loss", "GOMAXPROCS": "1",
		"WEBHOOKS_TOKEN_KEY": base64.StdEncoding.EncodeToString(make([]byte, 32)), "WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8",
	}
	maps.Copy(all, settings)
	invokers := make(map[string]emulator.Invoker)
	for _, name := range []string{"create-webhook", "delete-webhook", "publish-event", "list-deliveries", "get-delivery", "retry-delivery"} {
		invokers[name] = d.start(t, name, all)
	}
	for _, name := range []string{"ingest-event", "fan-out-event", "deliver-webhook", "requeue-due-deliveries"} {
		d.handlers[name] = &handler{Function: d.start(t, name, all), chaos: c, running: make(map[string]int), repeats: make(map[string]int)}
	}
	server := httptest.NewServer(emulator.New(invokers, time.Now))
	t.Cleanup(server.Close)
	d.api = server.URL
	return d
}

func (d *deployment) createKey(t *testing.T) error {
	var err, hashErr error
	d.key, err = access.NewSecret(rand.Reader)
	hash, hashErr := access.HashSecret(d.key)
	id := access.NewKeyID(mainCompany, ulid.MustNew(ulid.Now(), rand.Reader).String())
	return errors.Join(err, hashErr, d.store.Subscriptions().CreateKey(t.Context(), access.Key{
		ID: id, Company: mainCompany, Permissions: access.Permissions(), Hash: hash, CreatedAt: time.Now().UTC(),
	}))
}

// start builds a function and creates it, with proxies in front of its services.
func (d *deployment) start(t *testing.T, name string, common map[string]string) *emulator.Function {
	t.Helper()
	program, err := bootstrap.Build(t.Context(), name, bootstrap.Native(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	output, err := os.Create(filepath.Join(d.logs, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = output.Close() })
	database, queues := faultsOf(name, func() []*os.Process { return d.functions[name].Running() })
	sends := d.chaos.between(t, d.queues.url, queues)
	d.sends = append(d.sends, sends)
	settings := emulator.QueueSettings(d.queues.urls(), name)
	maps.Copy(settings, common)
	settings["WEBHOOKS_SQS_ENDPOINT"], settings["WEBHOOKS_DYNAMODB_ENDPOINT"] = sends.URL, d.chaos.between(t, d.database, database).URL
	f := emulator.NewFunction(emulator.Config{
		Name: name, Bootstrap: program, Settings: settings, Timeout: invocationTimeout, Concurrency: 6, Output: output,
	})
	t.Cleanup(f.Stop)
	d.functions[name] = f
	return f
}

// pump starts to invoke the functions that handle messages. The function that it returns stops that.
func (d *deployment) pump(t *testing.T) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	functions := make(map[string]emulator.Invoker)
	for name, h := range d.handlers {
		functions[name] = h
	}
	pump := emulator.Pump{
		SQS: d.sqs, Queues: d.queues.urls(), Functions: functions, Concurrency: 3, Every: 3 * time.Second, Log: slog.New(slog.DiscardHandler),
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		pump.Run(ctx)
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		<-stopped
	})
	t.Cleanup(stop)
	return stop
}

// log stops the functions and returns what they have printed.
func (d *deployment) log(t *testing.T) string {
	t.Helper()
	var log strings.Builder
	for name, f := range d.functions {
		f.Stop()
		output, err := os.ReadFile(filepath.Join(d.logs, name))
		if err != nil {
			t.Fatal(err)
		}
		log.Write(output)
	}
	return log.String()
}
