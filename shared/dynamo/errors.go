package dynamo

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"webhooks/shared/webhook"
)

// conditionCode is the cancellation reason of an item whose condition was not met.
const conditionCode = "ConditionalCheckFailed"

// failure translates an error of the SDK into an error of the domain, and is the only place that does so. Unmet conditions
// are handled before, by the method that set them.
func (s *Store) failure(err error) error {
	if err == nil {
		return nil
	}
	_, missing := errors.AsType[*types.ResourceNotFoundException](err)
	_, unsent := errors.AsType[*smithyhttp.RequestSendError](err)
	ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
	switch {
	case missing:
		return internal(fmt.Errorf("table %q does not exist in region %q: check both, or run \"webhookctl tables create\": %w",
			s.table, s.client.Options().Region, err))
	case unsent, ended, retryable(err):
		return webhook.Unavailable(fmt.Errorf("table %q: %w", s.table, err))
	default:
		return internal(fmt.Errorf("table %q: %w", s.table, err))
	}
}

func internal(cause error) error {
	return &webhook.Error{Kind: webhook.KindInternal, Message: "Internal error", Cause: cause}
}

// conditionFailed reports whether the only item of a write did not meet its condition.
func conditionFailed(err error) bool {
	if _, ok := errors.AsType[*types.ConditionalCheckFailedException](err); ok {
		return true
	}
	_, ok := unmet(err, 0)
	return ok
}

// unmet reports whether the condition on one item of a transaction, counted from 0, was not met. It also returns the
// stored item if the transaction asked for it.
func unmet(err error, index int) (item, bool) {
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok || index >= len(canceled.CancellationReasons) {
		return nil, false
	}
	reason := canceled.CancellationReasons[index]
	return reason.Item, aws.ToString(reason.Code) == conditionCode
}
