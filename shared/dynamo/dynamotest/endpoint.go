// Package dynamotest is what tests need that run on DynamoDB Local: where it is, and a proxy in
// front of it that fails in the ways of the real DynamoDB and of networks.
package dynamotest

import (
	"os"
	"testing"
)

// EndpointVariable names the environment variable with the URL of a DynamoDB Local.
const EndpointVariable = "WEBHOOKS_TEST_DYNAMODB_ENDPOINT"

// Endpoint gives the URL of the DynamoDB Local to test on. Without one the test is skipped; in
// continuous integration (CI is set) it fails.
func Endpoint(t testing.TB) string {
	t.Helper()
	endpoint := os.Getenv(EndpointVariable)
	switch {
	case endpoint != "":
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not set: in CI this test must run, on DynamoDB Local", EndpointVariable)
	default:
		t.Skipf("%s is not set: `make test` starts DynamoDB Local and sets it", EndpointVariable)
	}
	return endpoint
}
