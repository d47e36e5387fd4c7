// Package bench measures the Lambda functions and the service on SQLite. It contains only benchmarks and what they compare with:
// a function that only reads one item (in minimal) and a plain HTTP client.
package bench

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"maps"
	"os"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
)

// stack is a company in its own table, and the settings of functions on it.
type stack struct {
	*company
	config     dynamo.Config
	table      string
	settings   map[string]string
	deliveries *dynamo.Deliveries // nil until addDeliveries
	receiver   string             // an https URL
	posts      atomic.Int64       // that the receiver has got
	received   atomic.Int64       // bytes that the receiver has got
	delay      atomic.Int64       // of the receiver, in nanoseconds
	// closeConnections closes all connections to the receiver.
	closeConnections func()
	trust            map[string]string // settings of a function that posts to the receiver
}

func newStack(b *testing.B) *stack {
	b.Helper()
	s := &stack{table: "bench-" + rand.Text()[:10], config: dynamo.Config{
		Endpoint: dynamotest.Endpoint(b), Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("ASIADUMMY", "dummy", "dummy"),
	}}
	store := dynamo.New(dynamo.NewClient(s.config), s.table)
	if err := store.CreateTables(b.Context()); err != nil {
		b.Fatal(err)
	}
	s.company = newCompany(b, store)
	s.settings = map[string]string{
		"WEBHOOKS_SUBSCRIPTIONS_TABLE": s.table,
		"WEBHOOKS_DYNAMODB_ENDPOINT":   s.config.Endpoint,
		"WEBHOOKS_QUOTA":               "100000",
		"WEBHOOKS_TOKEN_KEY":           base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32)),
		"WEBHOOKS_TLS_CHECK":           "off",
	}
	return s
}

// withKMS returns the settings of a function whose token key is encrypted with a new KMS key, or nil if there is no KMS.
func (s *stack) withKMS(b *testing.B) map[string]string {
	b.Helper()
	endpoint := os.Getenv("WEBHOOKS_TEST_MOTO_ENDPOINT")
	if endpoint == "" {
		return nil
	}
	client := kms.New(kms.Options{Region: s.config.Region, BaseEndpoint: &endpoint, Credentials: s.config.Credentials})
	created, err := client.CreateKey(b.Context(), &kms.CreateKeyInput{})
	if err != nil {
		b.Fatal(err)
	}
	settings := maps.Clone(s.settings)
	delete(settings, "WEBHOOKS_TOKEN_KEY")
	settings["WEBHOOKS_KMS_KEY"], settings["WEBHOOKS_KMS_ENDPOINT"] = *created.KeyMetadata.Arn, endpoint
	return settings
}

// samples are measured values by the name of their metric.
type samples map[string][]float64

func (s samples) add(metric string, value float64) { s[metric] = append(s[metric], value) }

func (s samples) median(metric string) float64 {
	values := slices.Sorted(slices.Values(s[metric]))
	return values[len(values)/2]
}

// report reports the median of every metric.
func (s samples) report(b *testing.B) {
	for metric := range s {
		b.ReportMetric(s.median(metric), metric)
	}
}
