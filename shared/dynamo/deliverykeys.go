package dynamo

import (
	"fmt"
	"hash/fnv"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// The items of the table Deliveries. c is the escaped company, w the ID of a webhook, and e that of an event.
//
//	C#c#EV#e  EV        the event with its first 100 webhooks
//	C#c#EV#e  W#00001   the next 500 webhooks, and so on, each page written once
//	C#c#W#w   dlv_…     a delivery, written first when its first attempt has ended, or when it waits for its lane
//	C#c#W#w   LANE      the lane, written first when an attempt has changed it, or when something waits for it
//
// The last two are in the index while they wait for something: for a time, in one of the shards T#0 to T#15, or for their lane, in L#c#w.

// The keys of the index.
const (
	indexName = "waiting"
	waitAttr  = "wait"    // where it waits: see laneWait and timeWait
	waitAt    = "wait_at" // until when, or the delivery ID if it waits for its lane
)

const (
	eventPrefix    = "evt_"
	deliveryPrefix = "dlv_"

	eventSort = "EV"
	laneSort  = "LANE"
)

// eventPartition returns the partition with an event and the pages of its fan-out.
func eventPartition(company, id string) string { return companyPartition(company) + "#EV#" + id }

// lanePartition returns the partition with a webhook's lane and deliveries.
func lanePartition(company, webhookID string) string {
	return companyPartition(company) + "#W#" + webhookID
}

func eventKey(company, id string) key { return key{eventPartition(company, id), eventSort} }

// pageKey returns the key of a page of a fan-out. They count from 1 and sort by number.
func pageKey(company, id string, page int) key {
	return key{eventPartition(company, id), fmt.Sprintf("W#%05d", page)}
}

func laneKey(company, webhookID string) key { return key{lanePartition(company, webhookID), laneSort} }

func deliveryKey(company, webhookID, deliveryID string) key {
	return key{lanePartition(company, webhookID), deliveryID}
}

func keyOfRef(r webhook.Ref) key { return deliveryKey(r.Company, r.WebhookID, r.DeliveryID()) }

// validRef reports whether a delivery with such IDs may exist.
func validRef(r webhook.Ref) bool { return webhook.ValidID(r.WebhookID) && validEventID(r.EventID) }

func validEventID(id string) bool {
	ulid, ok := strings.CutPrefix(id, eventPrefix)
	return ok && webhook.ValidULID(ulid)
}

func validDeliveryID(id string) bool {
	ulid, ok := strings.CutPrefix(id, deliveryPrefix)
	return ok && webhook.ValidULID(ulid)
}

// ulidTime returns the first ten characters of ULIDs of a time, which is at most in the year 10889.
func ulidTime(t time.Time) string {
	return webhook.Ref{AcceptedAt: t}.DeliveryID()[len(deliveryPrefix):][:10]
}

// laneWait is where deliveries wait for their lane, in the order of their IDs.
func laneWait(company, webhookID string) string { return "L#" + escaped(company) + "#" + webhookID }

// timeWait is where a delivery or a lane waits for a time.
func timeWait(k key) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(k.partition + k.sort)) // never returns an error
	return shardWait(int(hash.Sum32() % webhook.WaitingShards))
}

func shardWait(shard int) string { return fmt.Sprintf("T#%d", shard) }

// waitMillis returns the sort key for what waits for a time.
func waitMillis(t time.Time) string { return fmt.Sprintf("%013d", t.UnixMilli()) }

// webhookOfLane returns the company and the webhook of a partition.
func webhookOfLane(partition string) (company, webhookID string, ok bool) {
	name, ok := strings.CutPrefix(partition, companyPartition(""))
	if !ok {
		return "", "", false
	}
	company, webhookID, ok = strings.Cut(name, "#W#")
	if !ok {
		return "", "", false
	}
	company, err := url.PathUnescape(company) // a valid company is never escaped
	return company, webhookID, err == nil
}

func waitingIndex() *types.GlobalSecondaryIndex {
	return &types.GlobalSecondaryIndex{
		IndexName: pointer(indexName),
		KeySchema: []types.KeySchemaElement{
			{AttributeName: pointer(waitAttr), KeyType: types.KeyTypeHash},
			{AttributeName: pointer(waitAt), KeyType: types.KeyTypeRange},
		},
		Projection: &types.Projection{ProjectionType: types.ProjectionTypeKeysOnly},
	}
}
