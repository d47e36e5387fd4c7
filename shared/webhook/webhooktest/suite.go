// Package webhooktest is the conformance suite of [webhook.Store]. It has a case for each sentence of the contract, and
// every implementation runs it on its real database.
package webhooktest

import (
	"testing"

	"webhooks/shared/webhook"
)

// Run checks a store against the contract. It calls open once per case. open may always return the same store, even one
// that contains data: every case uses new companies and unique names of platform-wide event types. Cases run in parallel.
//
// The database must be healthy: an unexpected [webhook.KindUnavailable] is a failure, however many callers compete.
func Run(t *testing.T, open func(t *testing.T) webhook.Store) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"list", listCases()},
		{"get", getCases()},
		{"create and delete", createCases()},
		{"idempotency", idempotencyCases()},
		{"prepare", prepareCases()},
		{"types", typeCases()},
		{"values", valueCases()},
		{"transfer", transferCases()},
		{"ownership", ownershipCases()},
		{"context", contextCases()},
		{"concurrency", concurrencyCases()},
		{"properties", propertyCases()},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(newFixture(t, open(t)))
				})
			}
		})
	}
}

// testCase is one case of the suite. Its name is the requirement.
type testCase struct {
	name string
	run  func(f *fixture)
}
