// Package dynamotest supports tests on DynamoDB Local: it says where it runs, and has a proxy that injects the faults of the
// real DynamoDB and of networks.
package dynamotest

import (
	"os"
	"testing"
)

// Endpoint returns the URL of DynamoDB Local.
func Endpoint(t testing.TB) string {
	t.Helper()
	return Service(t, "WEBHOOKS_TEST_DYNAMODB_ENDPOINT")
}

// Service returns the URL of a service from an environment variable. If it is not set, the test is skipped, or fails if CI
// is set.
func Service(t testing.TB, variable string) string {
	t.Helper()
	url := os.Getenv(variable)
	switch {
	case url != "":
	case os.Getenv("CI") != "":
		t.Fatalf("%s is not set: run make test, which starts the service", variable)
	default:
		t.Skipf("%s is not set: run make test, which starts the service", variable)
	}
	return url
}
