// Command list-deliveries is the Lambda function for GET /webhooks/{webhookId}/deliveries.
package main

import (
	"time"

	"webhooks/shared/api"
	"webhooks/shared/dynamo"
	"webhooks/shared/lambdahost"
)

func main() { lambdahost.Run(wire) }

func wire(getenv func(string) string) (lambdahost.Function, error) {
	store, err := dynamo.DeliveriesFromEnvironment(getenv)
	return lambdahost.Function{Keys: store.Subscriptions(), Endpoint: api.ListDeliveries(store, time.Now)}, err
}
