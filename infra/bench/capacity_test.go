package bench

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/dynamo/dynamotest"
)

// meter computes what DynamoDB charges for calls, from the sizes of the items that they read and write: DynamoDB Local reports less
// for transactions. It must see every call, in order, and before there are others for the same items.
type meter struct {
	client *dynamodb.Client
	waits  map[itemName]string // where an item is in the index
}

type itemName struct{ table, partition, sort string }

// capacity is in the units of on-demand tables.
type capacity struct{ reads, writes float64 }

func (c capacity) dollars() float64 { return c.reads*readUnit + c.writes*writeUnit }

// attributes are those of an item, as far as they are texts.
type attributes map[string]struct{ S string }

// write is one of a transaction.
type write struct {
	TableName string
	Key, Item attributes
}

func (s *stack) newMeter() *meter {
	return &meter{waits: make(map[itemName]string), client: dynamodb.New(dynamodb.Options{
		Region: s.config.Region, BaseEndpoint: &s.config.Endpoint, Credentials: s.config.Credentials,
	})}
}

// add adds what calls cost.
func (m *meter) add(b *testing.B, to *capacity, calls []dynamotest.Call) {
	b.Helper()
	for _, c := range calls {
		var in struct {
			write
			RequestItems              map[string]struct{ Keys []attributes }
			TransactItems             []struct{ Put, Update, Delete *write }
			IndexName                 string
			ExpressionAttributeValues attributes
		}
		if err := json.Unmarshal([]byte(c.Body), &in); err != nil {
			b.Fatal(err)
		}
		switch c.Operation {
		case "GetItem":
			to.reads += units(sizeOf(m.read(b, nameOf(in.TableName, in.Key))), readSize)
		case "BatchGetItem":
			for table, request := range in.RequestItems {
				for _, k := range request.Keys {
					to.reads += units(sizeOf(m.read(b, nameOf(table, k))), readSize)
				}
			}
		case "Query":
			if in.IndexName != "" {
				to.reads += 0.5 // eventually consistent, if nothing waits
			} else {
				to.reads += m.query(b, in.TableName, in.ExpressionAttributeValues)
			}
		case "PutItem", "UpdateItem":
			to.writes += m.write(b, in.write, 1)
		case "TransactWriteItems":
			for _, t := range in.TransactItems {
				for _, w := range []*write{t.Put, t.Update, t.Delete} {
					if w != nil {
						to.writes += m.write(b, *w, 2)
					}
				}
			}
		default:
			b.Fatalf("the price of %s is not known", c.Operation)
		}
	}
}

const (
	readSize  = 4096 // bytes that one unit reads, strongly consistent
	writeSize = 1024 // bytes that one unit writes
)

func units(bytes, each int) float64 { return math.Ceil(float64(max(bytes, 1)) / float64(each)) }

func nameOf(table string, of attributes) itemName { return itemName{table, of["pk"].S, of["sk"].S} }

func (m *meter) read(b *testing.B, n itemName) map[string]types.AttributeValue {
	b.Helper()
	out, err := m.client.GetItem(b.Context(), &dynamodb.GetItemInput{TableName: &n.table, ConsistentRead: aws.Bool(true), Key: map[string]types.AttributeValue{
		"pk": &types.AttributeValueMemberS{Value: n.partition}, "sk": &types.AttributeValueMemberS{Value: n.sort},
	}})
	if err != nil {
		b.Fatal(err)
	}
	return out.Item
}

// query returns the units of a strongly consistent query for a whole partition. It reads items together.
func (m *meter) query(b *testing.B, table string, values attributes) float64 {
	b.Helper()
	if len(values) != 1 {
		b.Fatalf("the price of a query with %d values is not known", len(values))
	}
	size := 0
	for _, partition := range values {
		out, err := m.client.Query(b.Context(), &dynamodb.QueryInput{
			TableName: &table, KeyConditionExpression: aws.String("pk = :pk"),
			ExpressionAttributeValues: map[string]types.AttributeValue{":pk": &types.AttributeValueMemberS{Value: partition.S}},
		})
		if err != nil {
			b.Fatal(err)
		}
		for _, it := range out.Items {
			size += sizeOf(it)
		}
	}
	return units(size, readSize)
}

// write returns the units of a write, each of which counts as many in the table. In the index, an entry that is added or removed is
// one unit, and one that moves is two.
func (m *meter) write(b *testing.B, w write, each float64) float64 {
	b.Helper()
	n := nameOf(w.TableName, w.Key)
	if w.Item != nil {
		n = nameOf(w.TableName, w.Item)
	}
	it := m.read(b, n)
	before, after := m.waits[n], textOf(it["wait"])+textOf(it["wait_at"])
	m.waits[n] = after
	total := each * units(sizeOf(it), writeSize)
	switch {
	case before == after:
	case before == "" || after == "":
		total++
	default:
		total += 2
	}
	return total
}

func textOf(v types.AttributeValue) string {
	if s, ok := v.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

// sizeOf returns the size of an item in bytes, as in
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html.
func sizeOf(it map[string]types.AttributeValue) int {
	size := 0
	for name, value := range it {
		size += len(name) + sizeOfValue(value)
	}
	return size
}

func sizeOfValue(value types.AttributeValue) int {
	switch v := value.(type) {
	case *types.AttributeValueMemberS:
		return len(v.Value)
	case *types.AttributeValueMemberB:
		return len(v.Value)
	case *types.AttributeValueMemberN:
		return (len(strings.TrimLeft(v.Value, "-0"))+1)/2 + 1
	case *types.AttributeValueMemberM:
		return 3 + len(v.Value) + sizeOf(v.Value)
	case *types.AttributeValueMemberL:
		size := 3
		for _, element := range v.Value {
			size += 1 + sizeOfValue(element)
		}
		return size
	default: // BOOL and NULL
		return 1
	}
}
