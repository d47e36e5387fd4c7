package dynamo

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// TestDamagedItems checks that a missing attribute, or one of the wrong type, is an error that names the attribute.
func TestDamagedItems(t *testing.T) {
	w, k, record := testWebhook("acme"), testKey("acme"), testRecord()
	e, at := testEvent("acme"), w.CreatedAt
	e.Key = "key"
	lane := storedLane{revision: 1, waitsFor: at, idleUntil: at, Lane: webhook.Lane{
		Failures: 1, FirstFailure: at, FailingSince: at, ProbeAt: at, PausedUntil: at, DisabledReason: "gone", HeldBefore: at, SlowUntil: at,
	}}
	k.ExpiresAt, k.RevokedAt, k.LastUsedOn, k.Label = k.CreatedAt, k.CreatedAt, k.CreatedAt, "label"
	for _, row := range []struct {
		name string
		item item
		read func(it item) error
		// optional attributes may be missing, unread ones may have any value
		optional, unread string
	}{
		{"webhook", webhookItem(w), func(it item) error { return errOf(webhookOf("acme", it, true)) }, "", partitionKey},
		{"API key", apiKeyItem(apiKeyKey(k.Hash), k), func(it item) error { return errOf(apiKeyOf(it)) },
			expiresAtAttr + " " + revokedAtAttr + " " + labelAttr, partitionKey + " " + sortKey + " " + lastUsedOnAttr},
		{"event type", typeItem(webhook.EventType{Name: "a.b", AddedAt: w.CreatedAt}), func(it item) error { return errOf(typeOf("", it)) },
			"", partitionKey},
		{"idempotency record", idempotencyItem(w, *record), func(it item) error { return errOf(earlierOf(it, w.CreatedAt)) },
			"", partitionKey + " " + sortKey + " " + ttlAttr},
		{"event", (&Deliveries{}).eventItem(e, webhookList{}), func(it item) error { return errOf(eventOf("acme", e.ID, it)) },
			keyAttr, strings.Join([]string{partitionKey, sortKey, sentAttr, ttlAttr, webhooksAttr}, " ")},
		{"list of webhooks", item{webhooksAttr: texts([]string{w.ID})}, func(it item) error { return errOf(listOf(it)) }, "", ""},
		{"delivery", testDelivery(), func(it item) error { return errOf(deliveryOf(it)) },
			strings.Join([]string{dueAttr, grantedAttr, attemptsAttr, waitAttr}, " "), ""},
		{"lane", laneItem("acme", w.ID, lane, 1), func(it item) error { return errOf(laneOf(it, 1)) },
			strings.Join([]string{versionAttr, firstFailureAttr, failingSinceAttr, probeAtAttr, pausedUntilAttr, heldBeforeAttr, slowUntilAttr,
				disabledReasonAttr, waitAt, idleAttr}, " "), partitionKey + " " + sortKey + " #" + waitAttr + "#"},
		{"counter", item{webhooksAttr: number(1)}, func(it item) error { return errOf(counterOf(it)) }, "", ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			if err := row.read(row.item); err != nil {
				t.Fatalf("the intact item: %v", err)
			}
			for name := range row.item {
				if strings.Contains(row.unread, name) {
					continue
				}
				damaged := maps.Clone(row.item)
				damaged[name] = &types.AttributeValueMemberNULL{Value: true}
				wantDamage(t, row.read(damaged), name)
				delete(damaged, name)
				if !strings.Contains(row.optional, name) {
					wantDamage(t, row.read(damaged), name)
				}
			}
		})
	}
}

// testDelivery returns an item with every attribute of a delivery.
func testDelivery() item {
	at := moment(time.Now())
	return item{
		eventIDAttr: text("evt_1"), typeAttr: text("a.b"), acceptedAtAttr: at, statusAttr: text("pending"), stepAttr: number(1), madeAttr: number(1),
		dueAttr: at, grantedAttr: number(2), responseAttr: text(""), waitAttr: text("T#1"),
		attemptsAttr: &types.AttributeValueMemberL{Value: []types.AttributeValue{attemptValue(webhook.Attempt{})}},
	}
}

func wantDamage(t *testing.T, err error, attribute string) {
	t.Helper()
	if webhook.KindOf(err) != webhook.KindInternal || err == nil || !strings.Contains(err.Error(), `"`+attribute+`"`) {
		t.Errorf("got error %v, want one that names the attribute %q", err, attribute)
	}
}

// TestExpiry checks that DynamoDB may remove an idempotency record within a second after it has expired, and not before.
func TestExpiry(t *testing.T) {
	w := testWebhook("acme")
	w.CreatedAt = time.Date(2026, 3, 29, 1, 30, 0, 999_000_000, time.UTC)
	r := reader{item: idempotencyItem(w, *testRecord())}
	exact := time.Date(2026, 3, 30, 1, 30, 0, 999_000_000, time.UTC)
	if got := r.moment(expiresAtAttr); !got.Equal(exact) {
		t.Errorf("expires at %v, want %v", got, exact)
	}
	if got, want := r.number(ttlAttr), exact.Unix()+1; got != want {
		t.Errorf("may be removed at %d, want %d", got, want)
	}
}
