// Command publish-event is the Lambda function for POST /events.
package main

import (
	"crypto/rand"
	"errors"
	"time"

	"webhooks/shared/api"
	"webhooks/shared/dispatch"
	"webhooks/shared/dynamo"
	"webhooks/shared/lambdahost"
	"webhooks/shared/sqs"
)

func main() { lambdahost.Run(wire) }

func wire(getenv func(string) string) (lambdahost.Function, error) {
	store, storeErr := dynamo.DeliveriesFromEnvironment(getenv)
	queues, queuesErr := sqs.FromEnvironment(getenv)
	metrics := lambdahost.NewMetrics(getenv)
	events := metrics.Accepting(dispatch.Publisher{PublisherStore: store, Queue: queues})
	publish := api.PublishEvent(api.Publisher{Store: events, Now: time.Now, Random: rand.Reader})
	function := lambdahost.Function{Keys: store.Subscriptions(), Endpoint: publish, Metrics: metrics}
	return function, errors.Join(storeErr, queuesErr)
}
