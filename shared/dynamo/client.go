// Package dynamo keeps webhooks, event types, idempotency records and API keys in one DynamoDB table, and events and their
// deliveries in another; see [SubscriptionsTable] and [DeliveriesTable]. keys.go and deliverykeys.go define the keys, items.go and
// deliveryitems.go the items, expressions.go the conditions and updates. Only [Store.Companies] scans, which is for operators.
//
// Every read is strongly consistent, except for those of the index. Every write of more than one item is one transaction, unless
// its method says otherwise.
package dynamo

import (
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// attemptTimeout limits one attempt of a call, after which it is retried. DynamoDB responds within milliseconds, so an
// attempt that takes this long hangs.
const attemptTimeout = 3 * time.Second

// maxIdleConns is the number of idle connections to keep. All go to one host, for which the SDK would keep ten.
const maxIdleConns = 100

// Config says which DynamoDB to use, and with which credentials.
type Config struct {
	// Endpoint replaces the region's public endpoint, for example with DynamoDB Local's; empty or a URL.
	Endpoint string
	// Region is the AWS region, for example eu-west-1.
	Region string
	// Credentials sign every request. They should be cached.
	Credentials aws.CredentialsProvider
	// HTTPClient sends the requests, and should limit the time of each. Nil means a client that keeps up to 100 idle
	// connections and limits a request to 3 s.
	HTTPClient aws.HTTPClient
}

// NewClient returns a client that retries what is likely to succeed, as long as the deadline of a call's context allows
// (see retry.go). It makes no request and reads no environment variables. The options are applied last.
func NewClient(cfg Config, options ...func(*dynamodb.Options)) *dynamodb.Client {
	if cfg.HTTPClient == nil {
		cfg.HTTPClient = awshttp.NewBuildableClient().WithTimeout(attemptTimeout).WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConns, t.MaxIdleConnsPerHost = maxIdleConns, maxIdleConns
		})
	}
	o := dynamodb.Options{
		Region:      cfg.Region,
		Credentials: cfg.Credentials,
		HTTPClient:  cfg.HTTPClient,
		Retryer:     newRetryer(),
	}
	if cfg.Endpoint != "" {
		o.BaseEndpoint = aws.String(cfg.Endpoint)
	}
	return dynamodb.New(o, options...)
}
