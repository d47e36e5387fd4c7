// Package dynamo keeps webhooks, event types, idempotency records and API keys in one DynamoDB
// table, see [SubscriptionsTable]. Keys are made in keys.go, items in items.go, and conditions
// and updates are written in expressions.go; nothing scans.
//
// Every read is strongly consistent, and every write that concerns more than one item is one
// transaction.
package dynamo

import (
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// DefaultAttemptTimeout is how long one attempt of a call may take before it is given up and made
// again. DynamoDB answers within milliseconds; what takes this long hangs.
const DefaultAttemptTimeout = 3 * time.Second

// maxIdleConns is how many connections wait for the next call. They all lead to one host, for
// which the SDK would keep ten.
const maxIdleConns = 100

// Config says which DynamoDB to talk to, and as whom.
type Config struct {
	// Endpoint replaces the region's public endpoint, as for DynamoDB Local: a URL, or empty.
	Endpoint string
	// Region is the AWS region, such as eu-west-1.
	Region string
	// Credentials sign every request; they should be cached.
	Credentials aws.CredentialsProvider
	// HTTPClient sends the requests. Nil stands for one that keeps up to 100 connections open.
	HTTPClient aws.HTTPClient
	// AttemptTimeout is the longest that one attempt may take, zero for [DefaultAttemptTimeout].
	AttemptTimeout time.Duration
}

// NewClient makes a client that retries what is likely to pass, with full jitter, for as long as
// the deadline of a call's context leaves time for another attempt (see retry.go). It makes no
// request and reads no environment. The options are applied last.
func NewClient(cfg Config, options ...func(*dynamodb.Options)) *dynamodb.Client {
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConns, t.MaxIdleConnsPerHost = maxIdleConns, maxIdleConns
		})
	}
	if cfg.AttemptTimeout == 0 {
		cfg.AttemptTimeout = DefaultAttemptTimeout
	}
	o := dynamodb.Options{
		Region:      cfg.Region,
		Credentials: cfg.Credentials,
		HTTPClient:  cfg.HTTPClient,
		Retryer:     aws.NopRetryer{}, // each call gets its own instead
	}
	if cfg.Endpoint != "" {
		o.BaseEndpoint = aws.String(cfg.Endpoint)
	}
	o.APIOptions = append(o.APIOptions, retryWithinDeadline, limitAttempts(cfg.AttemptTimeout))
	return dynamodb.New(o, options...)
}
