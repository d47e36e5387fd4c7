// Package dynamotest supports tests on DynamoDB Local: it says where it runs, and has a proxy that injects the faults of the
// real DynamoDB and of networks.
package dynamotest

import (
	"os"
	"testing"
)

// EndpointVariable is the environment variable with the URL of DynamoDB Local.
const EndpointVariable = "WEBHOOKS_TEST_DYNAMODB_ENDPOINT"

// Endpoint returns the URL of DynamoDB Local. If it is not set, the test is skipped, or fails if CI is set.
func Endpoint(t testing.TB) string {
	t.Helper()
	endpoint := os.Getenv(EndpointVariable)
	switch {
	case endpoint != "":
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not set: run make test, which starts DynamoDB Local", EndpointVariable)
	default:
		t.Skipf("%s is not set: run make test, which starts DynamoDB Local", EndpointVariable)
	}
	return endpoint
}
