package sqs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"golang.org/x/sync/errgroup"

	"webhooks/shared/webhook"
)

const (
	maxBatch       = 10      // the maximum number of messages in one request; these have at most a few hundred bytes each
	maxMessageSize = 1 << 20 // of a message with its attributes
	maxSending     = 8       // requests of one call of Send at a time
)

// reasonAttribute is the message attribute that says why a message is in a dead-letter queue.
const reasonAttribute = "reason"

// URLs are the URLs of queues. Those that a process does not use may be empty.
type URLs struct {
	// Deliveries has the messages about deliveries and lanes, Slow those about lanes that were slow or failing lately.
	Deliveries, Slow string
	// FanOut has the messages about events with more webhooks than fit into the event.
	FanOut string
	// Ingest has the events that an event bus forwards.
	Ingest string
	// DeadDeliveries has what could not be handled of Deliveries and Slow, DeadFanOut of FanOut, and DeadIngest of Ingest.
	DeadDeliveries, DeadFanOut, DeadIngest string
}

// Queues implements [webhook.Queue]. It is safe for concurrent use by multiple goroutines.
type Queues struct {
	client *sqs.Client
	urls   URLs
	dead   string
}

var _ webhook.Queue = (*Queues)(nil)

// New returns queues to which messages are sent. dead is the URL of the dead-letter queue for rejected messages; empty if nothing is
// rejected. The client should come from [NewClient], which retries.
func New(client *sqs.Client, urls URLs, dead string) *Queues {
	return &Queues{client, urls, dead}
}

// Send sends messages about fan-outs to the queue for these, and all others to the queue for slow lanes or to that for deliveries. It
// delays them in whole seconds, rounded up. If a queue's URL is missing, it sends nothing and returns [webhook.KindInternal].
func (q *Queues) Send(ctx context.Context, messages ...webhook.Message) error {
	queues := make(map[string][]types.SendMessageBatchRequestEntry)
	for _, m := range messages {
		url := q.urlOf(m)
		if url == "" {
			return internal(fmt.Errorf("no queue is configured for a message of the kind %q (slow: %v)", m.Kind, m.Slow))
		}
		queues[url] = append(queues[url], newEntry(m, len(queues[url])))
	}
	var sending errgroup.Group
	sending.SetLimit(maxSending)
	for url, entries := range queues {
		for batch := range slices.Chunk(entries, maxBatch) {
			sending.Go(func() error { return q.sendBatch(ctx, url, batch) })
		}
	}
	return sending.Wait()
}

func (q *Queues) urlOf(m webhook.Message) string {
	switch {
	case m.Kind == webhook.MessageFanOut:
		return q.urls.FanOut
	case m.Slow:
		return q.urls.Slow
	default:
		return q.urls.Deliveries
	}
}

func newEntry(m webhook.Message, index int) types.SendMessageBatchRequestEntry {
	return types.SendMessageBatchRequestEntry{
		Id:             aws.String(strconv.Itoa(index)),
		MessageBody:    aws.String(m.Text()),
		DelaySeconds:   int32((m.Delay + time.Second - 1) / time.Second),
		MessageGroupId: aws.String(cmp.Or(m.WebhookID, m.Company)),
	}
}

// sendBatch sends up to [maxBatch] messages to one queue, and those that SQS did not accept again.
func (q *Queues) sendBatch(ctx context.Context, url string, batch []types.SendMessageBatchRequestEntry) error {
	for attempt := 1; ; attempt++ {
		out, err := q.client.SendMessageBatch(ctx, &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: batch})
		if err != nil {
			return failure(q.client, url, err)
		}
		if len(out.Failed) == 0 {
			return nil
		}
		failed := out.Failed[0]
		cause := fmt.Errorf("queue %q did not accept %d of %d messages: %s", path.Base(url), len(out.Failed), len(batch), aws.ToString(failed.Code))
		if failed.SenderFault {
			return internal(fmt.Errorf("%w: %s", cause, aws.ToString(failed.Message)))
		}
		if err := pause(ctx, q.client, attempt); err != nil {
			return webhook.Unavailable(fmt.Errorf("%w: %w", cause, err))
		}
		batch = remaining(batch, out.Failed)
	}
}

// remaining returns the entries that failed.
func remaining(batch []types.SendMessageBatchRequestEntry, failed []types.BatchResultErrorEntry) []types.SendMessageBatchRequestEntry {
	var again []types.SendMessageBatchRequestEntry
	for _, entry := range batch {
		if slices.ContainsFunc(failed, func(f types.BatchResultErrorEntry) bool { return aws.ToString(f.Id) == *entry.Id }) {
			again = append(again, entry)
		}
	}
	return again
}

// Reject sends a text to the dead-letter queue, with the message attribute "reason". It cuts off the end of a text that is too long
// to have an attribute.
func (q *Queues) Reject(ctx context.Context, text, reason string) error {
	if q.dead == "" {
		return internal(errors.New("no dead-letter queue is configured"))
	}
	const dataType = "String"
	room := maxMessageSize - len(reasonAttribute) - len(dataType) - len(reason)
	if len(text) > room {
		text = strings.ToValidUTF8(text[:room], "")
	}
	_, err := q.client.SendMessage(ctx, &sqs.SendMessageInput{
		QueueUrl:    &q.dead,
		MessageBody: &text,
		MessageAttributes: map[string]types.MessageAttributeValue{
			reasonAttribute: {DataType: aws.String(dataType), StringValue: &reason},
		},
	})
	return failure(q.client, q.dead, err)
}

// pause waits before the repetition of something that is more than one call of the SDK.
func pause(ctx context.Context, client *sqs.Client, attempt int) error {
	if attempt >= maxAttempts {
		return errors.New("too many attempts")
	}
	delay, err := client.Options().Retryer.RetryDelay(attempt, nil)
	if err != nil {
		return err
	}
	return sleep(ctx, delay)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// failure translates an error of the SDK into an error of the domain, and is the only place that does so. The queue is a URL or a
// name.
func failure(client *sqs.Client, queue string, err error) error {
	if err == nil {
		return nil
	}
	name, options := path.Base(queue), client.Options()
	_, unsent := errors.AsType[*smithyhttp.RequestSendError](err)
	ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	switch {
	case isMissing(err):
		return internal(fmt.Errorf("queue %q does not exist in region %q: check both, or run \"webhookctl tables create\": %w", name, options.Region, err))
	case unsent, ended, options.Retryer.IsErrorRetryable(err):
		return webhook.Unavailable(fmt.Errorf("queue %q: %w", name, err))
	default:
		return internal(fmt.Errorf("queue %q: %w", name, err))
	}
}

func isMissing(err error) bool {
	_, missing := errors.AsType[*types.QueueDoesNotExist](err)
	return missing
}

func internal(cause error) error {
	return &webhook.Error{Kind: webhook.KindInternal, Message: "Internal error", Cause: cause}
}
