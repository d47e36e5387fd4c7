package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path"
	"slices"
	"strconv"
	"sync"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"webhooks/shared/sqs"
)

const (
	// scheduled is the function that a schedule invokes.
	scheduled = "requeue-due-deliveries"

	batchSize = 10
	// pollSeconds is how long a request for messages waits for one. It is also how long [Pump.Run] may take to stop: what is received
	// during a request that is canceled would be invisible until the visibility timeout has passed.
	pollSeconds = 1
	pollPause   = time.Second // after an error
)

// SQS is what a [Pump] needs of Amazon SQS. *sqs.Client implements it.
type SQS interface {
	ReceiveMessage(ctx context.Context, in *awssqs.ReceiveMessageInput, options ...func(*awssqs.Options)) (*awssqs.ReceiveMessageOutput, error)
	DeleteMessageBatch(ctx context.Context, in *awssqs.DeleteMessageBatchInput, options ...func(*awssqs.Options)) (*awssqs.DeleteMessageBatchOutput, error)
}

// Pump invokes the functions that no request invokes: with the messages of queues, as Lambda's event source mappings do, and at an
// interval, as EventBridge Scheduler does. All fields are required.
type Pump struct {
	SQS    SQS
	Queues sqs.URLs
	// Functions are named after their directories. One that is missing is not invoked.
	Functions map[string]Invoker
	// Concurrency is the maximum number of invocations at a time for each queue.
	Concurrency int
	// Every is the interval of the schedule. The first invocation is at the end of the first interval.
	Every time.Duration
	// Log receives errors of SQS and of functions. In the latter case the messages return to the queue.
	Log *slog.Logger
}

// Run invokes functions until ctx is canceled. Then it waits for running invocations.
func (p Pump) Run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	for _, m := range mappings(p.Queues) {
		if p.Functions[m.function] == nil {
			continue
		}
		for range p.Concurrency {
			all.Go(func() { p.poll(ctx, m) })
		}
	}
	if p.Functions[scheduled] != nil {
		all.Go(func() { p.schedule(ctx) })
	}
}

func (p Pump) poll(ctx context.Context, m mapping) {
	for ctx.Err() == nil {
		if err := p.handle(context.WithoutCancel(ctx), m); err != nil {
			p.Log.Error("messages were not handled", "queue", path.Base(m.url), "function", m.function, "cause", err)
			select {
			case <-ctx.Done():
			case <-time.After(pollPause):
			}
		}
	}
}

// handle receives messages, invokes the function with them, and deletes those that it has finished.
func (p Pump) handle(ctx context.Context, m mapping) error {
	received, err := p.SQS.ReceiveMessage(ctx, &awssqs.ReceiveMessageInput{
		QueueUrl: &m.url, MaxNumberOfMessages: batchSize, WaitTimeSeconds: pollSeconds,
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameAll},
	})
	if err != nil || len(received.Messages) == 0 {
		return err
	}
	event, err := json.Marshal(queueEvent(m.url, received.Messages))
	if err != nil {
		return err
	}
	out, err := p.Functions[m.function].Invoke(ctx, event)
	if err != nil {
		return err
	}
	finished, err := finishedMessages(received.Messages, out)
	if err != nil || len(finished) == 0 {
		return err
	}
	deleted, err := p.SQS.DeleteMessageBatch(ctx, &awssqs.DeleteMessageBatchInput{QueueUrl: &m.url, Entries: finished})
	if err == nil && len(deleted.Failed) > 0 {
		err = fmt.Errorf("%d messages were not deleted", len(deleted.Failed))
	}
	return err
}

// queueEvent returns the event for messages of a queue.
func queueEvent(url string, messages []types.Message) map[string]any {
	records := make([]map[string]any, len(messages))
	for i, m := range messages {
		records[i] = map[string]any{
			"messageId":         *m.MessageId,
			"receiptHandle":     *m.ReceiptHandle,
			"body":              *m.Body,
			"attributes":        m.Attributes,
			"messageAttributes": map[string]any{},
			"md5OfBody":         *m.MD5OfBody,
			"eventSource":       "aws:sqs",
			"eventSourceARN":    queueARN(url),
			"awsRegion":         region,
		}
	}
	return map[string]any{"Records": records}
}

// finishedMessages returns the messages that do not return to the queue, according to what the function returned. A response that
// does not say which failed, or names a message that it did not get, counts as a failed invocation.
func finishedMessages(messages []types.Message, out []byte) ([]types.DeleteMessageBatchRequestEntry, error) {
	var response struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	if err := json.Unmarshal(out, &response); err != nil {
		return nil, fmt.Errorf("the function returned %.200q: %w", out, err)
	}
	failed := make(map[string]bool)
	for _, f := range response.BatchItemFailures {
		if !slices.ContainsFunc(messages, func(m types.Message) bool { return *m.MessageId == f.ItemIdentifier }) {
			return nil, fmt.Errorf("the function returned the unknown message ID %q", f.ItemIdentifier)
		}
		failed[f.ItemIdentifier] = true
	}
	var finished []types.DeleteMessageBatchRequestEntry
	for i, m := range messages {
		if !failed[*m.MessageId] {
			id := strconv.Itoa(i)
			finished = append(finished, types.DeleteMessageBatchRequestEntry{Id: &id, ReceiptHandle: m.ReceiptHandle})
		}
	}
	return finished, nil
}

func (p Pump) schedule(ctx context.Context) {
	ticker := time.NewTicker(p.Every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			if _, err := p.Functions[scheduled].Invoke(context.WithoutCancel(ctx), scheduleEvent(now)); err != nil {
				p.Log.Error("the scheduled function failed", "function", scheduled, "cause", err)
			}
		}
	}
}

// scheduleEvent returns the event that EventBridge Scheduler sends if the schedule does not define an input.
func scheduleEvent(now time.Time) []byte {
	return fmt.Appendf(nil, `{"version":"0","id":%q,"detail-type":"Scheduled Event","source":"aws.scheduler","account":"123456789012",`+
		`"time":%q,"region":%q,"resources":["arn:aws:scheduler:%[3]s:123456789012:schedule/default/%[4]s"],"detail":"{}"}`,
		newID(), now.UTC().Format(time.RFC3339), region, scheduled)
}
