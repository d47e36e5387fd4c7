package sqs

import (
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"golang.org/x/sync/errgroup"
)

// Size is approximately how many messages a queue has.
type Size struct {
	// Queue is its name without a prefix, for example "deliveries".
	Queue string
	// Visible is the number of messages that can be received, Delayed that of messages whose time has not come, and InFlight that of
	// messages that were received and are neither deleted nor visible again.
	Visible, Delayed, InFlight int
}

// Sizes returns the sizes of all queues, whose URLs must be known.
func Sizes(ctx context.Context, client *sqs.Client, urls URLs) ([]Size, error) {
	queues := urls.named("")
	sizes := make([]Size, len(queues))
	reading, ctx := errgroup.WithContext(ctx)
	for i, queue := range queues {
		sizes[i].Queue = queue.name
		reading.Go(func() error { return sizes[i].read(ctx, client, *queue.url) })
	}
	return sizes, reading.Wait()
}

func (s *Size) read(ctx context.Context, client *sqs.Client, url string) error {
	numbers := map[types.QueueAttributeName]*int{
		types.QueueAttributeNameApproximateNumberOfMessages:           &s.Visible,
		types.QueueAttributeNameApproximateNumberOfMessagesDelayed:    &s.Delayed,
		types.QueueAttributeNameApproximateNumberOfMessagesNotVisible: &s.InFlight,
	}
	out, err := client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: slices.Collect(maps.Keys(numbers)),
	})
	if err != nil {
		return failure(client, url, err)
	}
	for name, number := range numbers {
		if *number, err = strconv.Atoi(out.Attributes[string(name)]); err != nil {
			return internal(fmt.Errorf("queue %q: attribute %s: %w", path.Base(url), name, err))
		}
	}
	return nil
}
