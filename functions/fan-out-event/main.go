// Command fan-out-event is the Lambda function that sends the messages for the deliveries of events with many webhooks.
package main

import (
	"errors"
	"log/slog"
	"time"

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
	consumer := &dispatch.Consumer{Store: store, Queue: metrics.Rejecting(queues), Now: time.Now, Log: log}
	return lambdahost.QueueFunction{Handle: consumer.Handle, Metrics: metrics}, errors.Join(storeErr, queuesErr)
}
