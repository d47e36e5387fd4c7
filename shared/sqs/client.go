// Package sqs keeps the queues of deliveries on Amazon SQS. They are standard queues: a message can arrive more than once, and in
// any order. Messages of one webhook are a message group, so that a webhook with many of them does not delay the others ("fair
// queues").
package sqs

import (
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

const (
	// attemptTimeout limits one attempt of a call, after which it is retried. SQS responds within milliseconds, except to a
	// receiver that waits for messages.
	attemptTimeout = 3 * time.Second
	// maxAttempts ends the retries of a call after about 3 s, if the deadline of its context has not ended them before.
	maxAttempts = 8
	maxDelay    = time.Second
	// maxIdleConns is the number of idle connections to keep. All go to one host, for which the SDK would keep ten.
	maxIdleConns = 100
)

// Config says which SQS to use, and with which credentials.
type Config struct {
	// Endpoint replaces the region's public endpoint, for example with an emulator's; empty or a URL.
	Endpoint string
	// Region is the AWS region, for example eu-west-1.
	Region string
	// Credentials sign every request. They should be cached.
	Credentials aws.CredentialsProvider
}

// NewClient returns a client that retries what is likely to succeed, as long as the deadline of a call's context allows. It makes
// no request and reads no environment variables.
func NewClient(cfg Config) *sqs.Client {
	o := sqs.Options{
		Region:      cfg.Region,
		Credentials: cfg.Credentials,
		HTTPClient: awshttp.NewBuildableClient().WithTimeout(attemptTimeout).WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConns, t.MaxIdleConnsPerHost = maxIdleConns, maxIdleConns
		}),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = maxAttempts
			o.MaxBackoff = maxDelay
			// The SDK's quota of retries is shared by all calls of the process: the failures of one queue would end the retries
			// of all others.
			o.RateLimiter = ratelimit.None
			o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(isTruncated))
		}),
	}
	if cfg.Endpoint != "" {
		o.BaseEndpoint = aws.String(cfg.Endpoint)
	}
	return sqs.New(o)
}

// isTruncated reports whether a connection was closed in the middle of a response. It says nothing about other errors.
func isTruncated(err error) aws.Ternary {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}
