// Package webhooktest has the conformance suites of [webhook.Store], [webhook.DeliveryStore], [webhook.Backlog] and
// [webhook.QueueStore]. They have a case for each sentence of the contracts, and every implementation runs them on its real
// database. [Memory] is the model of the second and the third, [QueueMemory] of the second and the last.
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
	run(t, []group{
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
	}, open)
}

// DeliveryTestStore is a store of webhooks and their deliveries. The suite of deliveries calls CreateWebhook, DeleteWebhook,
// AddEventType and RemoveEventType of [webhook.Store].
type DeliveryTestStore interface {
	webhook.Store
	webhook.DeliveryStore
}

// RunDeliveries checks a store against the contract of [webhook.DeliveryStore], as [Run] does for [webhook.Store]. The fan-out
// to ten webhooks must be complete when AcceptEvents returns, unless the store implements [webhook.Backlog].
func RunDeliveries(t *testing.T, open func(t *testing.T) DeliveryTestStore) {
	run(t, []group{
		{"accept", acceptCases()},
		{"work", workCases()},
		{"record", recordCases()},
		{"lane", laneCases()},
		{"list", deliveryListCases()},
		{"retry", retryCases()},
		{"context", deliveryContextCases()},
		{"properties", deliveryPropertyCases()},
	}, func(t *testing.T) webhook.Store { return open(t) })
}

// BacklogTestStore is a store on one host.
type BacklogTestStore interface {
	DeliveryTestStore
	webhook.Backlog
}

// RunBacklog checks a store against the contract of [webhook.Backlog]. Unlike [RunDeliveries], it needs a store of its own for
// every case: open returns a new, empty one.
func RunBacklog(t *testing.T, open func(t *testing.T) BacklogTestStore) {
	run(t, []group{{"backlog", backlogCases()}, {"context", backlogContextCases()}}, func(t *testing.T) webhook.Store { return open(t) })
}

// QueueTestStore is a store on a host with queues.
type QueueTestStore interface {
	DeliveryTestStore
	webhook.QueueStore
}

// RunQueueStore checks a store against the contract of [webhook.QueueStore], as [Run] does for [webhook.Store]. What has changed a
// moment ago may be missing in the results of LookLane and Waiting. Nothing else in the store waits for a time that is more than ten
// days ago.
func RunQueueStore(t *testing.T, open func(t *testing.T) QueueTestStore) {
	run(t, []group{
		{"accept", queueAcceptCases()},
		{"look", queueLookCases()},
		{"park and settle", parkCases()},
		{"record", queueRecordCases()},
		{"lane", queueLaneCases()},
		{"waiting", waitingCases()},
		{"context", queueContextCases()},
		{"properties", queuePropertyCases()},
	}, func(t *testing.T) webhook.Store { return open(t) })
}

// group is a part of a suite.
type group struct {
	name  string
	cases []testCase
}

func run(t *testing.T, groups []group, open func(t *testing.T) webhook.Store) {
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
