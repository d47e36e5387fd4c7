// Package webhooktest is the conformance suite of [webhook.Store]: one set of cases, one for each
// sentence of the contract, that every implementation runs against its real database.
package webhooktest

import (
	"testing"

	"webhooks/shared/webhook"
)

// Run holds a store to the contract. It calls open once for every case; open may give the same
// store each time, or a store that holds data already: every case works in companies of its own,
// and tells its platform-wide event types from all others by their names. Cases run in parallel.
//
// The suite expects a healthy database: an error of [webhook.KindUnavailable] that no case asked
// for is a failure, however many callers compete.
func Run(t *testing.T, open func(t *testing.T) webhook.Store) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"list", listCases()},
		{"get", getCases()},
		{"create", createCases()},
		{"idempotency", idempotencyCases()},
		{"prepare", prepareCases()},
		{"delete", deleteCases()},
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

// testCase is one case of the suite. Its name says what must hold.
type testCase struct {
	name string
	run  func(f *fixture)
}
