// Command ingest-event is the Lambda function that accepts the events that an event bus forwards to a queue.
package main

import (
	"crypto/rand"
	"errors"
	"log/slog"
	"time"

	"webhooks/shared/api"
	"webhooks/shared/dispatch"
	"webhooks/shared/dynamo"
	"webhooks/shared/lambdahost"
	"webhooks/shared/sqs"
)

func main() { lambdahost.RunQueue(wire) }

func wire(getenv func(string) string, log *slog.Logger) (lambdahost.QueueFunction, error) {
	store, storeErr := dynamo.DeliveriesFromEnvironment(getenv)
	queues, queuesErr := sqs.FromEnvironment(getenv)
	metrics := lambdahost.NewMetrics(getenv)
	events := metrics.Accepting(dispatch.Publisher{PublisherStore: store, Queue: queues})
	publisher := api.Publisher{Store: events, Now: time.Now, Random: rand.Reader}
	ingest := api.Ingest(api.Ingester{Publisher: publisher, Queue: metrics.Rejecting(queues), Log: log})
	return lambdahost.QueueFunction{Handle: ingest, Metrics: metrics}, errors.Join(storeErr, queuesErr)
}
