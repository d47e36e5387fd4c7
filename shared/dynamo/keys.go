package dynamo

import (
	"encoding/hex"
	"fmt"
	"net/url"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// The table's key, as template and code agree on it.
const (
	partitionKey = "pk"
	sortKey      = "sk"
)

// What sort keys begin with, or are, in a company's partition.
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

// keyOf gives the key of an item that was read.
func keyOf(it item) key {
	r := reader{item: it}
	return key{r.text(partitionKey), r.text(sortKey)}
}

// companyPartition holds a company's webhooks, its counter and the list of its API keys. All
// partitions of a company begin like this one, and no two companies' do: a valid id has no "#", and
// any other is escaped, which leaves no "#" in it and never makes a valid one.
func companyPartition(company string) string {
	if !webhook.ValidCompany(company) {
		company = url.PathEscape(company)
	}
	return "C#" + company
}

func webhookKey(company, id string) key {
	return key{companyPartition(company), webhookPrefix + id}
}

func counterKey(company string) key {
	return key{companyPartition(company), counterSort}
}

// edgeKey is that of the subscription of a webhook to a type. The type comes last in its
// partition's name, so it may be any text.
func edgeKey(company, eventType, id string) key {
	return key{companyPartition(company) + "#E#" + eventType, webhookPrefix + id}
}

func idempotencyKey(company string, k webhook.IdempotencyKey) key {
	return key{companyPartition(company) + "#I#" + hex.EncodeToString(k[:]), idempotencySort}
}

// typesPartition holds the types of a company, or for the empty company those of the platform.
func typesPartition(company string) string {
	if company == "" {
		return platformTypes
	}
	return companyPartition(company) + "#" + platformTypes
}

func typeKey(company, name string) key {
	return key{typesPartition(company), name}
}

// apiKeyKey is where an API key is looked up, and listedKeyKey where its company lists it.
func apiKeyKey(hash access.Hash) key {
	return key{apiKeyPrefix + hex.EncodeToString(hash[:]), apiKeySort}
}

func listedKeyKey(company, id string) key {
	return key{companyPartition(company), apiKeyPrefix + id}
}

// dataKeyKey sorts by number.
func dataKeyKey(number int) key { return key{dataKeysPartition, fmt.Sprintf("%010d", number)} }

// absentKey names an item that is never made.
func absentKey() key { return key{"PING", "PING"} }

// schema is the table's key as tables are made with it.
func schema() []types.KeySchemaElement {
	return []types.KeySchemaElement{
		{AttributeName: pointer(partitionKey), KeyType: types.KeyTypeHash},
		{AttributeName: pointer(sortKey), KeyType: types.KeyTypeRange},
	}
}

func pointer[T any](value T) *T { return &value }
