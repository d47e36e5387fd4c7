package lambdahost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
)

// QueueFunction is what a Lambda function does with the messages of an SQS queue.
type QueueFunction struct {
	// Handle handles the texts of a batch of messages before ctx ends, and returns the indexes of those to return to the queue. All
	// others are deleted.
	Handle func(ctx context.Context, texts []string) (returned []int)
	// Check checks at startup for what every message requires; nil if there is nothing. Its error is logged, but messages are
	// handled all the same.
	Check func(ctx context.Context) error
	// Warnings are about settings that weaken security. They are logged at startup.
	Warnings []string
	// Metrics are printed after every batch; nil if there are none.
	Metrics *Metrics
}

// WireQueue builds a QueueFunction, like [Wire]. Lines of the log have the ID of the invocation if they are logged with its context.
type WireQueue func(getenv func(string) string, log *slog.Logger) (QueueFunction, error)

// RunQueue handles the messages of a queue and does not return. If wire fails, the function logs why and returns an error for every
// batch, so that the messages stay in the queue.
func RunQueue(wire WireQueue) { lambda.Start(newStarter().startQueue(context.Background(), wire)) }

func (s starter) startQueue(ctx context.Context, wire WireQueue) *queueHost {
	f, err := wired(func() (QueueFunction, error) { return wire(s.getenv, s.log) })
	if err != nil {
		s.log.ErrorContext(ctx, "the function is misconfigured and returns every message to the queue", "cause", err.Error())
		return &queueHost{broken: err}
	}
	s.warn(ctx, f.Warnings)
	s.check(ctx, f.Check)
	return &queueHost{QueueFunction: f, starter: s}
}

// queueHost handles events of Lambda's event source mapping for SQS.
type queueHost struct {
	QueueFunction
	starter
	broken error // why there is no function; nil if there is one
}

// queueEvent is the part of an event of SQS that is needed.
type queueEvent struct {
	Records []struct {
		MessageID   string `json:"messageId"`
		Body        string `json:"body"`
		EventSource string `json:"eventSource"`
	}
}

// Invoke handles an event of SQS and returns the IDs of the messages to return to the queue. An error returns all of them.
func (h *queueHost) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	if h.broken != nil {
		return nil, fmt.Errorf("the function is misconfigured: %w", h.broken)
	}
	var event queueEvent
	if err := json.Unmarshal(payload, &event); err != nil {
		return nil, fmt.Errorf("not an event of SQS: %w", err)
	}
	if len(event.Records) == 0 {
		return nil, errors.New("not an event of SQS: it has no records")
	}
	texts := make([]string, len(event.Records))
	for i, record := range event.Records {
		if record.EventSource != "aws:sqs" || record.MessageID == "" {
			return nil, fmt.Errorf("not an event of SQS: the source of a record is %q", record.EventSource)
		}
		texts[i] = record.Body
	}
	ctx, cancel := invocation(ctx)
	defer cancel()
	defer h.Metrics.print(h.out, h.now)
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	for _, i := range h.handle(ctx, texts) {
		response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: event.Records[i].MessageID})
	}
	return json.Marshal(response)
}

// handle calls Handle. If it panics, all messages are returned.
func (h *queueHost) handle(ctx context.Context, texts []string) (returned []int) {
	defer func() {
		if p := recover(); p != nil {
			logPanic(ctx, h.log, p)
			returned = returned[:0]
			for i := range texts {
				returned = append(returned, i)
			}
		}
	}()
	return h.Handle(ctx, texts)
}

// logPanic logs a panic with the stack of the function that panicked.
func logPanic(ctx context.Context, log *slog.Logger, p any) {
	log.ErrorContext(ctx, "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
}
