// Command deliver-webhook is the Lambda function that attempts deliveries.
package main

import (
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"webhooks/shared/delivery"
	"webhooks/shared/dispatch"
	"webhooks/shared/dynamo"
	"webhooks/shared/endpoint"
	"webhooks/shared/lambdahost"
	"webhooks/shared/seal"
	"webhooks/shared/sqs"
)

func main() { lambdahost.RunQueue(wire) }

func wire(getenv func(string) string, log *slog.Logger) (lambdahost.QueueFunction, error) {
	store, storeErr := dynamo.DeliveriesFromEnvironment(getenv)
	queues, queuesErr := sqs.FromEnvironment(getenv)
	hosts, hostsErr := endpoint.FromEnvironment(getenv, time.Now)
	sealer, sealErr := seal.FromEnvironment(getenv, store.Subscriptions(), endpoint.LocalOverride(getenv("WEBHOOKS_DYNAMODB_ENDPOINT")))
	metrics := lambdahost.NewMetrics(getenv)
	attempter := &delivery.Attempter{Client: hosts.NewClient(time.Now), Sealer: sealer, Schedule: delivery.DefaultSchedule(), Now: time.Now, Random: rand.Float64}
	consumer := &dispatch.Consumer{Store: store, Queue: metrics.Rejecting(queues), Attempter: attempter, Now: time.Now, Log: log, Attempted: metrics.Attempted}
	return lambdahost.QueueFunction{Handle: consumer.Handle, Check: sealer.CheckOpen, Warnings: hosts.Warnings, Metrics: metrics}, errors.Join(storeErr, queuesErr, hostsErr, sealErr)
}
