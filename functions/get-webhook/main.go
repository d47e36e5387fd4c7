// Command get-webhook is the Lambda function for GET /webhooks/{webhookId} and GET /webhook.
package main

import (
	"webhooks/shared/api"
	"webhooks/shared/dynamo"
	"webhooks/shared/lambdahost"
)

func main() { lambdahost.Run(wire) }

func wire(getenv func(string) string) (lambdahost.Function, error) {
	store, err := dynamo.FromEnvironment(getenv)
	if err != nil {
		return lambdahost.Function{}, err
	}
	return lambdahost.Function{Keys: store, Endpoint: api.GetWebhook(store.WithoutTokens())}, nil
}
