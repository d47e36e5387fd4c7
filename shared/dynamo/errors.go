package dynamo

import (
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"webhooks/shared/webhook"
)

// conditionCode is the cancellation reason of an item whose condition was not met.
const conditionCode = "ConditionalCheckFailed"

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

// anyConditionFailed reports whether a write failed because of the condition on any of its items.
func anyConditionFailed(err error) bool {
	if canceled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return slices.ContainsFunc(canceled.CancellationReasons, func(r types.CancellationReason) bool {
			return aws.ToString(r.Code) == conditionCode
		})
	}
	return conditionFailed(err)
}
