// Command get-event is the Lambda function for GET /events/{eventId}.
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
	return lambdahost.Function{Keys: store.Subscriptions(), Endpoint: api.GetEvent(store, time.Now)}, err
}
