package dynamo

import (
	"encoding/hex"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// The table's key attributes, as in the template.
const (
	partitionKey = "pk"
	sortKey      = "sk"
)

// Sort keys, or prefixes of sort keys, in a company's partition.
const (
	webhookPrefix = "W#"
	apiKeyPrefix  = "K#"
	counterSort   = "COUNT"
)

const (
	idempotencySort   = "I"
	apiKeySort        = "K"
	platformTypes     = "TYPES"
	dataKeysPartition = "DATAKEYS"
)

// key names one item of the table.
type key struct{ partition, sort string }

func (k key) item() item {
	return item{partitionKey: text(k.partition), sortKey: text(k.sort)}
}

// keyOf returns the key of an item that was read.
func keyOf(it item) key {
	r := reader{item: it}
	return key{r.text(partitionKey), r.text(sortKey)}
}

// companyPartition returns the partition with a company's webhooks, its counter and the list of its API keys. The names
// of all partitions of a company begin with it, and those of no other company do: a valid ID contains no "#", and any other
// is escaped, after which it contains no "#" either and is still not a valid ID.
func companyPartition(company string) string { return "C#" + escaped(company) }

func escaped(company string) string {
	if !webhook.ValidCompany(company) {
		return url.PathEscape(company)
	}
	return company
}

func webhookKey(company, id string) key {
	return key{companyPartition(company), webhookPrefix + id}
}

func counterKey(company string) key {
	return key{companyPartition(company), counterSort}
}

// edgeKey returns the key of a webhook's subscription to a type. The type comes last in the partition's name, so it may
// be any text.
func edgeKey(company, eventType, id string) key {
	return key{companyPartition(company) + "#E#" + eventType, webhookPrefix + id}
}

func idempotencyKey(company string, k webhook.IdempotencyKey) key {
	return key{companyPartition(company) + "#I#" + hex.EncodeToString(k[:]), idempotencySort}
}

// typesPartition returns the partition with the types of a company or, for an empty company, of the platform.
func typesPartition(company string) string {
	if company == "" {
		return platformTypes
	}
	return companyPartition(company) + "#" + platformTypes
}

func typeKey(company, name string) key {
	return key{typesPartition(company), name}
}

// apiKeyKey is for looking up an API key by its hash, listedKeyKey for listing the keys of a company.
func apiKeyKey(hash access.Hash) key {
	return key{apiKeyPrefix + hex.EncodeToString(hash[:]), apiKeySort}
}

func listedKeyKey(company, id string) key {
	return key{companyPartition(company), apiKeyPrefix + id}
}

// dataKeyKey returns the key of a data key. They sort by number.
func dataKeyKey(number int) key { return key{dataKeysPartition, fmt.Sprintf("%010d", number)} }

// absentKey names an item that never exists.
func absentKey() key { return key{"PING", "PING"} }

// schema returns the key schema of the table.
func schema() []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: pointer(partitionKey), KeyType: types.KeyTypeHash},
		{AttributeName: pointer(sortKey), KeyType: types.KeyTypeRange},
	}
}

func pointer[T any](value T) *T { return &value }
