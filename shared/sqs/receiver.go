package sqs

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"path"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const (
	// patience is how long a request waits for messages. A receiver that stops waits for its end, because what a canceled request
	// might have received would be invisible for a while.
	patience = 5 * time.Second
	// handleTimeout is shorter than visibility: a message is finished before it is received again.
	handleTimeout = 30 * time.Second
	// returnDelay is after how long a message that was returned is received again, times the number of its receives.
	returnDelay = 5 * time.Second
	// errorDelay is the time between two failed requests for messages.
	errorDelay = time.Second
)

// Receiver handles the messages of a queue in a process that keeps running, as Lambda does for its functions. All fields are required.
type Receiver struct {
	Client *sqs.Client
	// URL is the queue's.
	URL string
	// Concurrency is how many batches of up to 10 messages are handled at the same time.
	Concurrency int
	// Handle handles the texts of a batch within 30 s, the deadline of its context, and returns the indexes of those to return to the
	// queue. All others are deleted.
	Handle func(ctx context.Context, texts []string) (returned []int)
	Log    *slog.Logger

	patience time.Duration // shorter in tests; zero means the constant
}

// Run receives messages until ctx ends, and then waits until the running calls of Handle have returned: their context does not end
// earlier because of it. What is received at the end returns to the queue at once. This takes a few seconds more than Handle.
func (r *Receiver) Run(ctx context.Context) {
	var handling sync.WaitGroup
	defer handling.Wait()
	slots := make(chan struct{}, r.Concurrency)
	patient := awshttp.NewBuildableClient().WithTimeout(patience + attemptTimeout)
	for ctx.Err() == nil {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		batch := r.receive(ctx, patient)
		handling.Go(func() {
			defer func() { <-slots }()
			switch {
			case len(batch) == 0:
			case ctx.Err() != nil:
				r.returnAll(context.WithoutCancel(ctx), batch, noDelay)
			default:
				r.handle(context.WithoutCancel(ctx), batch)
			}
		})
	}
}

// receive returns up to [maxBatch] messages, or none if there was none for a while.
func (r *Receiver) receive(ctx context.Context, client aws.HTTPClient) []types.Message {
	calling, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience+attemptTimeout)
	defer cancel()
	out, err := r.Client.ReceiveMessage(calling, &sqs.ReceiveMessageInput{
		QueueUrl:                    &r.URL,
		MaxNumberOfMessages:         maxBatch,
		WaitTimeSeconds:             int32(cmp.Or(r.patience, patience).Seconds()),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{types.MessageSystemAttributeNameApproximateReceiveCount},
	}, func(o *sqs.Options) { o.HTTPClient = client })
	if err == nil {
		return out.Messages
	}
	if ctx.Err() == nil {
		r.failed(ctx, "messages cannot be received", err)
		_ = sleep(ctx, errorDelay)
	}
	return nil
}

// handle handles a batch, and deletes or returns each of its messages.
func (r *Receiver) handle(ctx context.Context, batch []types.Message) {
	var finished, returned []types.Message
	indexes := r.call(ctx, batch)
	for i, m := range batch {
		if slices.Contains(indexes, i) {
			returned = append(returned, m)
		} else {
			finished = append(finished, m)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, visibility-handleTimeout)
	defer cancel()
	r.deleteAll(ctx, finished)
	r.returnAll(ctx, returned, delayOf)
}

func (r *Receiver) deleteAll(ctx context.Context, messages []types.Message) {
	if len(messages) == 0 {
		return
	}
	entries := make([]types.DeleteMessageBatchRequestEntry, len(messages))
	for i, m := range messages {
		entries[i] = types.DeleteMessageBatchRequestEntry{Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle}
	}
	out, err := r.Client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &r.URL, Entries: entries})
	if err == nil && len(out.Failed) > 0 {
		err = fmt.Errorf("%d of %d: %s", len(out.Failed), len(entries), aws.ToString(out.Failed[0].Code))
	}
	r.failed(ctx, "messages cannot be deleted: they will be received again", err)
}

// returnAll lets messages be received again, after a number of seconds for each.
func (r *Receiver) returnAll(ctx context.Context, messages []types.Message, delay func(types.Message) int32) {
	if len(messages) == 0 {
		return
	}
	entries := make([]types.ChangeMessageVisibilityBatchRequestEntry, len(messages))
	for i, m := range messages {
		entries[i] = types.ChangeMessageVisibilityBatchRequestEntry{
			Id: aws.String(strconv.Itoa(i)), ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: delay(m),
		}
	}
	_, err := r.Client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &r.URL, Entries: entries})
	r.failed(ctx, "messages cannot be returned: they will be received again later", err)
}

// noDelay is the delay of messages that were not handled.
func noDelay(types.Message) int32 { return 0 }

// call calls Handle. If it panics, all messages are returned.
func (r *Receiver) call(ctx context.Context, batch []types.Message) (returned []int) {
	ctx, cancel := context.WithTimeout(ctx, handleTimeout)
	defer cancel()
	texts := make([]string, len(batch))
	for i, m := range batch {
		texts[i] = aws.ToString(m.Body)
	}
	defer func() {
		if p := recover(); p != nil {
			r.Log.ErrorContext(ctx, "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			for i := range batch {
				returned = append(returned, i)
			}
		}
	}()
	return r.Handle(ctx, texts)
}

// delayOf returns after how many seconds a message that is returned is received again. The delay grows, so that a message survives
// a long outage.
func delayOf(m types.Message) int32 {
	receives, _ := strconv.Atoi(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)])
	return int32(min(time.Duration(max(1, receives))*returnDelay, visibility).Seconds())
}

// failed logs an error, if there is one.
func (r *Receiver) failed(ctx context.Context, message string, err error) {
	if err != nil {
		r.Log.WarnContext(ctx, message, "queue", path.Base(r.URL), "cause", err.Error())
	}
}
