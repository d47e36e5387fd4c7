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
	// patience is how long a receiver waits for messages, which is the maximum.
	patience = 20 * time.Second
	// handleTimeout is shorter than visibility: a message is finished before it is received again.
	handleTimeout = time.Minute
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
	// Handle handles the texts of a batch and returns the indexes of those to return to the queue. All others are deleted. Its
	// context has a deadline.
	Handle func(ctx context.Context, texts []string) (returned []int)
	Log    *slog.Logger

	patience time.Duration // shorter in tests; zero means the constant
}

// Run receives messages until ctx ends, and then waits until the running calls of Handle have returned: their context does not end
// earlier because of it.
func (r *Receiver) Run(ctx context.Context) {
	var handling sync.WaitGroup
	defer handling.Wait()
	slots := make(chan struct{}, r.Concurrency)
	patient := awshttp.NewBuildableClient().WithTimeout(patience + attemptTimeout)
	for {
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		batch := r.receive(ctx, patient)
		handling.Go(func() {
			defer func() { <-slots }()
			if len(batch) > 0 {
				r.handle(context.WithoutCancel(ctx), batch)
			}
		})
	}
}

// receive returns up to [maxBatch] messages, or none if there was none for a while.
func (r *Receiver) receive(ctx context.Context, client aws.HTTPClient) []types.Message {
	out, err := r.Client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
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
	var finished []types.DeleteMessageBatchRequestEntry
	var returned []types.ChangeMessageVisibilityBatchRequestEntry
	indexes := r.call(ctx, batch)
	for i, m := range batch {
		id := aws.String(strconv.Itoa(i))
		if slices.Contains(indexes, i) {
			returned = append(returned, types.ChangeMessageVisibilityBatchRequestEntry{
				Id: id, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: delayOf(m),
			})
		} else {
			finished = append(finished, types.DeleteMessageBatchRequestEntry{Id: id, ReceiptHandle: m.ReceiptHandle})
		}
	}
	ctx, cancel := context.WithTimeout(ctx, visibility-handleTimeout)
	defer cancel()
	if len(finished) > 0 {
		out, err := r.Client.DeleteMessageBatch(ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &r.URL, Entries: finished})
		if err == nil && len(out.Failed) > 0 {
			err = fmt.Errorf("%d of %d: %s", len(out.Failed), len(finished), aws.ToString(out.Failed[0].Code))
		}
		r.failed(ctx, "messages cannot be deleted: they will be received again", err)
	}
	if len(returned) > 0 {
		_, err := r.Client.ChangeMessageVisibilityBatch(ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &r.URL, Entries: returned})
		r.failed(ctx, "messages cannot be returned: they will be received again later", err)
	}
}

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
