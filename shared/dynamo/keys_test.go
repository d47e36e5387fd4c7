package dynamo

import (
	"strings"
	"testing"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// TestKeys fixes the layout of the table. Stored items can only be found under these keys.
func TestKeys(t *testing.T) {
	var idempotency webhook.IdempotencyKey
	var hash access.Hash
	hash[0], idempotency[31] = 0xab, 0xcd
	zeros := strings.Repeat("0", 62)
	for _, row := range []struct {
		name string
		got  key
		want key
	}{
		{"webhook", webhookKey("acme", "wh_1"), key{"C#acme", "W#wh_1"}},
		{"counter", counterKey("acme"), key{"C#acme", "COUNT"}},
		{"edge", edgeKey("acme", "a.b", "wh_1"), key{"C#acme#E#a.b", "W#wh_1"}},
		{"idempotency", idempotencyKey("acme", idempotency), key{"C#acme#I#" + zeros + "cd", "I"}},
		{"platform type", typeKey("", "a.b"), key{"TYPES", "a.b"}},
		{"company type", typeKey("acme", "a.b"), key{"C#acme#TYPES", "a.b"}},
		{"API key", apiKeyKey(hash), key{"K#ab" + zeros, "K"}},
		{"listed API key", listedKeyKey("acme", "key_1"), key{"C#acme", "K#key_1"}},
		{"data key", dataKeyKey(7), key{"DATAKEYS", "0000000007"}},
		{"event", eventKey("acme", "evt_1"), key{"C#acme#EV#evt_1", "EV"}},
		{"page", pageKey("acme", "evt_1", 7), key{"C#acme#EV#evt_1", "W#00007"}},
		{"lane", laneKey("acme", "wh_1"), key{"C#acme#W#wh_1", "LANE"}},
		{"delivery", deliveryKey("acme", "wh_1", "dlv_1"), key{"C#acme#W#wh_1", "dlv_1"}},
		{"what waits for a lane", key{laneWait("acme", "wh_1"), ""}, key{"L#acme#wh_1", ""}},
		{"what waits for a time", key{timeWait(laneKey("acme", "wh_1")), waitMillis(time.UnixMilli(1_700_000_000_000))}, key{"T#1", "1700000000000"}},
		{"invalid company", counterKey("a#E#b %"), key{"C#a%23E%23b%20%25", "COUNT"}},
		{"company that looks escaped", counterKey("a%23E"), key{"C#a%2523E", "COUNT"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.got != row.want {
				t.Errorf("got %v, want %v", row.got, row.want)
			}
		})
	}
}

// TestKeysOfCompaniesDiffer checks that no two keys are equal and no partition belongs to two companies, for all kinds of keys
// and for companies, valid or not, that try to reach the partitions of company "a".
func TestKeysOfCompaniesDiffer(t *testing.T) {
	companies := []string{
		"a", "A", "a-", "a_", "", "a#", "#a", "a#E#b", "a#E#b#W#x", "a#TYPES", "a#I#" + strings.Repeat("0", 64),
		"a%23E%23b", "a%", "a%2523", "TYPES", "K", "C#a", "COUNT", "a\x00", "a ", "ä", "a/", "a.b",
		strings.Repeat("a", 64), strings.Repeat("a", 65), strings.Repeat("a", 300),
	}
	types := []string{"b", "b#W#x", "E#b", "#TYPES", "", "COUNT", "b#E#b"}
	owner := map[string]string{}
	created := map[key]string{}
	add := func(company, what string, k key) {
		if before, ok := owner[k.partition]; ok && before != company {
			t.Errorf("partition %q belongs to companies %q and %q", k.partition, before, company)
		}
		owner[k.partition] = company
		if before, ok := created[k]; ok {
			t.Errorf("key %q is %s and %s of company %q", k, before, what, company)
		}
		created[k] = what + " of " + company
	}
	for _, company := range companies {
		add(company, "the webhook", webhookKey(company, "x"))
		add(company, "the counter", counterKey(company))
		add(company, "the idempotency record", idempotencyKey(company, webhook.IdempotencyKey{}))
		add(company, "the key", listedKeyKey(company, "x"))
		add(company, "the event", eventKey(company, "x"))
		add(company, "the page", pageKey(company, "x", 1))
		add(company, "the lane", laneKey(company, "x"))
		add(company, "the delivery", deliveryKey(company, "x", "dlv_"))
		add(company, "what waits for the lane", key{laneWait(company, "x"), ""})
		if got, id, ok := webhookOfLane(lanePartition(company, "x")); got != company || id != "x" || !ok {
			t.Errorf("the lane of company %q belongs to webhook %q of company %q", company, id, got)
		}
		if company != "" { // that is the platform
			add(company, "the type", typeKey(company, "x"))
		}
		for _, name := range types {
			add(company, "the edge to "+name, edgeKey(company, name, "x"))
		}
	}
	add("platform", "the type", typeKey("", "x"))
	add("keys", "the key", apiKeyKey(access.Hash{}))
	add("data keys", "the data key", dataKeyKey(0))
	add("waiting", "a shard", key{shardWait(0), ""})
	add("none", "the item that Ping reads", absentKey())
}
