package sqs

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// The attributes of queues.
const (
	// visibility is how long a message that was received is not received again. An attempt takes at most 16 s.
	visibility = 3 * time.Minute
	// maxReceives is how often a message is received before it counts as dead. That is often, because a receive is not a failure:
	// a message is also returned because the database is down, or because its time has not come.
	maxReceives   = 500
	retention     = 4 * 24 * time.Hour // longer than [webhook.MaxAge]
	deadRetention = 14 * 24 * time.Hour
)

// named is a queue with where its URL belongs.
type named struct {
	name string
	url  *string
	dead *string // URL of its dead-letter queue; nil if it is one itself
}

// named returns all queues, the dead-letter queues first.
func (u *URLs) named(prefix string) []named {
	return []named{
		{prefix + "dead-deliveries", &u.DeadDeliveries, nil},
		{prefix + "dead-fan-out", &u.DeadFanOut, nil},
		{prefix + "dead-ingest", &u.DeadIngest, nil},
		{prefix + "deliveries", &u.Deliveries, &u.DeadDeliveries},
		{prefix + "slow", &u.Slow, &u.DeadDeliveries},
		{prefix + "fan-out", &u.FanOut, &u.DeadFanOut},
		{prefix + "ingest", &u.Ingest, &u.DeadIngest},
	}
}

// Lookup returns the URLs of the queues with a prefix, for example "<stack>-" for those of a deployed stack. All of them must exist.
func Lookup(ctx context.Context, client *sqs.Client, prefix string) (URLs, error) {
	var urls URLs
	for _, queue := range urls.named(prefix) {
		url, err := find(ctx, client, queue.name)
		if err != nil {
			return URLs{}, failure(client, queue.name, err)
		}
		*queue.url = url
	}
	return urls, nil
}

// Create creates the queues with a prefix that do not exist, and returns the URLs of all of them. It does not change existing ones.
// It is safe to repeat.
func Create(ctx context.Context, client *sqs.Client, prefix string) (URLs, error) {
	var urls URLs
	for _, queue := range urls.named(prefix) {
		url, err := find(ctx, client, queue.name)
		if isMissing(err) {
			url, err = create(ctx, client, queue)
		}
		if err != nil {
			return URLs{}, failure(client, queue.name, err)
		}
		*queue.url = url
	}
	return urls, nil
}

func find(ctx context.Context, client *sqs.Client, name string) (url string, err error) {
	out, err := client.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{QueueName: &name})
	if err != nil {
		return "", err
	}
	return *out.QueueUrl, nil
}

func create(ctx context.Context, client *sqs.Client, queue named) (url string, err error) {
	attributes := map[string]string{
		string(types.QueueAttributeNameSqsManagedSseEnabled):   "true",
		string(types.QueueAttributeNameMaximumMessageSize):     strconv.Itoa(maxMessageSize),
		string(types.QueueAttributeNameMessageRetentionPeriod): seconds(deadRetention),
	}
	if queue.dead != nil {
		arn, err := arnOf(ctx, client, *queue.dead)
		if err != nil {
			return "", err
		}
		attributes[string(types.QueueAttributeNameMessageRetentionPeriod)] = seconds(retention)
		attributes[string(types.QueueAttributeNameVisibilityTimeout)] = seconds(visibility)
		attributes[string(types.QueueAttributeNameRedrivePolicy)] = fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":"%d"}`, arn, maxReceives)
	}
	out, err := client.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: &queue.name, Attributes: attributes})
	if err != nil {
		return "", err
	}
	return *out.QueueUrl, nil
}

// arnOf returns the ARN of a queue. A new queue may take a second to become visible.
func arnOf(ctx context.Context, client *sqs.Client, url string) (string, error) {
	for attempt := 1; ; attempt++ {
		out, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameQueueArn},
		})
		if err == nil {
			return out.Attributes[string(types.QueueAttributeNameQueueArn)], nil
		}
		if !isMissing(err) || pause(ctx, client, attempt) != nil {
			return "", err
		}
	}
}

func seconds(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) }
