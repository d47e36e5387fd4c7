// Command create-webhook is the Lambda function for POST /webhooks.
package main

import (
	"crypto/rand"
	"errors"
	"time"

	"webhooks/shared/api"
	"webhooks/shared/dynamo"
	"webhooks/shared/endpoint"
	"webhooks/shared/lambdahost"
	"webhooks/shared/seal"
)

func main() { lambdahost.Run(wire) }

func wire(getenv func(string) string) (lambdahost.Function, error) {
	store, storeErr := dynamo.FromEnvironment(getenv)
	sealer, sealErr := seal.FromEnvironment(getenv, store, endpoint.LocalOverride(getenv("WEBHOOKS_DYNAMODB_ENDPOINT")))
	hosts, hostsErr := endpoint.FromEnvironment(getenv, time.Now)
	quota, quotaErr := lambdahost.Number(getenv, "WEBHOOKS_QUOTA")
	create := api.CreateWebhook(api.Creator{
		Store: store, Sealer: sealer, TLS: hosts.TLS, Quota: quota, Now: time.Now, Random: rand.Reader,
	})
	function := lambdahost.Function{Keys: store, Endpoint: create, Check: sealer.Check, Warnings: hosts.Warnings}
	return function, errors.Join(storeErr, sealErr, hostsErr, quotaErr)
}
