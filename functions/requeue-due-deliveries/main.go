// Command requeue-due-deliveries is the Lambda function that sends messages for the deliveries and lanes whose time has come.
package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"webhooks/shared/dispatch"
	"webhooks/shared/dynamo"
	"webhooks/shared/lambdahost"
	"webhooks/shared/sqs"
)

func main() { lambdahost.RunSchedule(wire) }

func wire(getenv func(string) string, log *slog.Logger) (lambdahost.ScheduleFunction, error) {
	store, storeErr := dynamo.DeliveriesFromEnvironment(getenv)
	queues, queuesErr := sqs.FromEnvironment(getenv)
	metrics := lambdahost.NewMetrics(getenv)
	consumer := &dispatch.Consumer{Store: store, Queue: queues, Now: time.Now, Log: log}
	sweep := func(ctx context.Context) error {
		swept, err := consumer.Sweep(ctx)
		metrics.Swept(swept.Overdue)
		return err
	}
	return lambdahost.ScheduleFunction{Handle: sweep, Metrics: metrics}, errors.Join(storeErr, queuesErr)
}
