package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"webhooks/shared/api"
	"webhooks/shared/dispatch"
	"webhooks/shared/dynamo"
	"webhooks/shared/sqs"
	"webhooks/shared/webhook"
)

const (
	// batchSize is the maximum number of messages in a batch of a queue, each of which can be an attempt.
	batchSize = 10
	// fewBatches is the number of batches at the same time of queues whose messages need no attempts.
	fewBatches = 8
	// sweepTimeout limits one sweep. The next one continues.
	sweepTimeout = 20 * time.Second
)

// queueDeliverer delivers the events in DynamoDB through the queues on SQS. Any number of processes can do so at the same time, and
// Lambda functions as well.
type queueDeliverer struct {
	webhook.DeliveryStore
	*engine
	receivers []*sqs.Receiver
	sweeper   *dispatch.Consumer
	swept     func(overdue time.Duration)
}

// newQueueDeliverer returns a deliverer on tables and queues that must exist. The names of the queues begin with a prefix.
func newQueueDeliverer(ctx context.Context, store *dynamo.Deliveries, client *awssqs.Client, prefix string, e *engine) (deliverer, error) {
	urls, err := sqs.Lookup(ctx, client, prefix)
	if err != nil {
		return nil, queueError(err)
	}
	if _, err := store.Waiting(ctx, 0, e.now(), 1); err != nil { // are there the table and its index?
		return nil, storeError(err)
	}
	slots, err := e.reserve(2 * batchSize * e.Concurrency)
	if err != nil {
		return nil, err
	}
	store.Now, store.Retention = e.now, time.Duration(e.Retention)
	deliveries := e.newConsumer(store, sqs.New(client, urls, urls.DeadDeliveries))
	fanOut := e.newConsumer(store, sqs.New(client, urls, urls.DeadFanOut))
	published := e.metrics.Counted(dispatch.Publisher{PublisherStore: store, Queue: deliveries.Queue})
	ingest := api.Ingest(api.Ingester{
		Publisher: api.Publisher{Store: published, Now: e.now, Random: e.random}, Queue: sqs.New(client, urls, urls.DeadIngest), Log: e.log,
	})
	batches := max(1, slots/(2*batchSize))
	receivers := []*sqs.Receiver{
		{URL: urls.Deliveries, Concurrency: batches, Handle: deliveries.Handle},
		{URL: urls.Slow, Concurrency: batches, Handle: deliveries.Handle},
		{URL: urls.FanOut, Concurrency: fewBatches, Handle: fanOut.Handle},
		{URL: urls.Ingest, Concurrency: fewBatches, Handle: ingest},
	}
	for _, r := range receivers {
		r.Client, r.Log = client, e.log
	}
	e.metrics.Queues(func(ctx context.Context) ([]sqs.Size, error) { return sqs.Sizes(ctx, client, urls) }, e.now, e.log)
	return &queueDeliverer{DeliveryStore: published, engine: e, receivers: receivers, sweeper: deliveries, swept: e.metrics.Sweeps()}, nil
}

// newConsumer returns a consumer of messages. Those that can never be handled go to the queue's dead-letter queue.
func (e *engine) newConsumer(store webhook.QueueStore, queue webhook.Queue) *dispatch.Consumer {
	return &dispatch.Consumer{Store: store, Queue: queue, Attempter: e.attempter, Now: e.now, Log: e.log, Attempted: e.metrics.Attempted}
}

// run implements [deliverer].
func (d *queueDeliverer) run(ctx context.Context) error {
	d.log.Info("delivering")
	var running sync.WaitGroup
	for _, r := range d.receivers {
		running.Go(func() { r.Run(ctx) })
	}
	running.Go(func() { d.sweepRegularly(ctx) })
	running.Wait()
	d.client.Close()
	d.log.Info("stopped delivering")
	return nil
}

// sweepRegularly sweeps at an interval. It begins at a random moment, so that processes that start together do not sweep together.
func (d *queueDeliverer) sweepRegularly(ctx context.Context) {
	next := d.now().Add(rand.N(dispatch.SweepInterval))
	for sleepUntil(ctx, d.console, next) == nil {
		next = next.Add(dispatch.SweepInterval)
		d.sweep(context.WithoutCancel(ctx)) // what it has claimed, it has to send
	}
}

func (d *queueDeliverer) sweep(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
	defer cancel()
	swept, err := d.sweeper.Sweep(ctx)
	if err != nil {
		d.log.Error("the sweep for deliveries whose time has come has failed: the next one continues", "cause", api.Cause(err))
	}
	d.swept(swept.Overdue)
}

// queueError is [storeError] for an error of SQS.
func queueError(err error) error {
	if e, ok := errors.AsType[*webhook.Error](err); ok && e.Kind == webhook.KindUnavailable {
		return fmt.Errorf("SQS does not respond: check that it can be reached: %w", e.Cause)
	}
	return storeError(err)
}
