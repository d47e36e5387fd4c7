package gateway

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// queue is a queue of a stack.
type queue struct {
	name, dead string // its name and that of its dead-letter queue, both without the stack's prefix
	function   string // that handles its messages
	setting    string // the variable with its URL for the functions that send to it; may be empty
}

// stackQueues returns the queues that template.yaml defines.
func stackQueues() []queue {
	return []queue{
		{"deliveries", "dead-deliveries", "deliver-webhook", "WEBHOOKS_DELIVERIES_QUEUE"},
		{"slow", "dead-deliveries", "deliver-webhook", "WEBHOOKS_SLOW_QUEUE"},
		{"fan-out", "dead-fan-out", "fan-out-event", "WEBHOOKS_FAN_OUT_QUEUE"},
		{"ingest", "dead-ingest", "ingest-event", ""},
	}
}

// maxReceives is how often a message is received before it moves to the dead-letter queue.
const maxReceives = 500

// Queues has the URLs of a stack's queues, by their names without the stack's prefix.
type Queues map[string]string

// CreateQueues creates the queues of a stack with dead-letter queues. Messages that were received but not deleted return after the
// visibility timeout, which is in whole seconds. It is safe to repeat.
func CreateQueues(ctx context.Context, client *sqs.Client, prefix string, visibility time.Duration) (Queues, error) {
	queues := make(Queues)
	create := func(name string, attributes map[string]string) error {
		if queues[name] != "" {
			return nil
		}
		full := prefix + name
		created, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &full, Attributes: attributes})
		if err == nil {
			queues[name] = *created.QueueUrl
		}
		return err
	}
	for _, q := range stackQueues() {
		if err := create(q.dead, nil); err != nil {
			return nil, err
		}
		err := create(q.name, map[string]string{
			"VisibilityTimeout": strconv.Itoa(int(visibility.Seconds())),
			"RedrivePolicy":     fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, queueARN(queues[q.dead], client.Options().Region), maxReceives),
		})
		if err != nil {
			return nil, err
		}
	}
	return queues, nil
}

// Settings returns the environment variables with the queues for a function.
func (q Queues) Settings(function string) map[string]string {
	settings := make(map[string]string)
	for _, known := range stackQueues() {
		if known.setting != "" {
			settings[known.setting] = q[known.name]
		}
		if known.function == function {
			settings["WEBHOOKS_DEAD_QUEUE"] = q[known.dead]
		}
	}
	return settings
}

// queueARN returns the ARN of a queue from its URL, which ends with the account and the name.
func queueARN(url, region string) string {
	account, name := path.Split(url)
	return "arn:aws:sqs:" + region + ":" + path.Base(account) + ":" + name
}
