// Command retry-delivery is the Lambda function for POST /webhooks/{webhookId}/deliveries/{deliveryId}/retry.
package main

import (
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
	retry := api.RetryDelivery(dispatch.Publisher{PublisherStore: store, Queue: queues}, time.Now)
	return lambdahost.Function{Keys: store.Subscriptions(), Endpoint: retry}, errors.Join(storeErr, queuesErr)
}
