package dynamo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
)

func TestRetryable(t *testing.T) {
	canceled := func(codes ...string) error {
		var reasons []types.CancellationReason
		for _, code := range codes {
			reasons = append(reasons, types.CancellationReason{Code: &code})
		}
		return &types.TransactionCanceledException{CancellationReasons: reasons}
	}
	for _, row := range []struct {
		name string
		err  error
		want bool
	}{
		{"throughput", &types.ProvisionedThroughputExceededException{}, true},
		{"throttling", &types.ThrottlingException{}, true},
		{"account limit", &types.RequestLimitExceeded{}, true},
		{"transaction in progress", &types.TransactionInProgressException{}, true},
		{"conflict of a plain write", &types.TransactionConflictException{}, true},
		{"server error", &types.InternalServerError{}, true},
		{"backups not ready yet", &smithy.GenericAPIError{Code: "ContinuousBackupsUnavailableException"}, true},
		{"cancelled by a conflict", canceled("None", "TransactionConflict"), true},
		{"cancelled by throttling", canceled("ThrottlingError", "ProvisionedThroughputExceeded"), true},
		{"cancelled by a condition", canceled("None", "ConditionalCheckFailed"), false},
		{"cancelled by a condition and a conflict", canceled("ConditionalCheckFailed", "TransactionConflict"), false},
		{"cancelled by a mistake", canceled("ValidationError"), false},
		{"cancelled without a reason", canceled(), false},
		{"condition", &types.ConditionalCheckFailedException{}, false},
		{"missing table", &types.ResourceNotFoundException{}, false},
		{"no permission", &smithy.GenericAPIError{Code: "AccessDeniedException"}, false},
		{"other parameters for a token", &types.IdempotentParameterMismatchException{}, false},
		{"attempt took too long", &attemptTimeoutError{limit: time.Second}, true},
		{"caller gave up", &smithy.CanceledError{Err: context.Canceled}, false},
		{"the caller's time is up", &smithy.CanceledError{Err: context.DeadlineExceeded}, false},
		{"answer cut off", &smithy.DeserializationError{Err: io.ErrUnexpectedEOF}, true},
		{"connection reset", errors.New("read tcp: connection reset by peer"), true},
		{"unknown", errors.New("unknown"), false},
	} {
		t.Run(row.name, func(t *testing.T) {
			if got := retryable(fmt.Errorf("operation error: %w", row.err)); got != row.want {
				t.Errorf("retryable(%v) = %v, want %v", row.err, got, row.want)
			}
		})
	}
}

func TestBackoff(t *testing.T) {
	for _, row := range []struct {
		attempt int
		limit   time.Duration
	}{
		{1, 25 * time.Millisecond},
		{2, 50 * time.Millisecond},
		{3, 100 * time.Millisecond},
		{6, 800 * time.Millisecond},
		{7, time.Second},
		{1000, time.Second},
	} {
		t.Run(fmt.Sprint(row.attempt), func(t *testing.T) {
			var longest time.Duration
			for range 1000 {
				delay, err := backoff(within(t, time.Hour), row.attempt)
				if err != nil || delay < 0 || delay >= row.limit {
					t.Fatalf("backoff = %v, %v, want less than %v", delay, err, row.limit)
				}
				longest = max(longest, delay)
			}
			if longest < row.limit/2 {
				t.Errorf("the longest of 1000 delays is %v, want full jitter up to %v", longest, row.limit)
			}
		})
	}
}

// TestBackoffLeavesTime checks that a call fails early instead of sleeping past its deadline.
func TestBackoffLeavesTime(t *testing.T) {
	for range 1000 {
		start := time.Now()
		delay, err := backoff(within(t, 300*time.Millisecond), 7)
		if left := 300*time.Millisecond - time.Since(start); err == nil && delay > left {
			t.Fatalf("a delay of %v was allowed with %v left", delay, left)
		}
	}
	if _, err := backoff(within(t, leastTime), 1); err == nil {
		t.Error("with no time for another attempt, backoff gives no error")
	}
	if _, err := backoff(t.Context(), attemptsWithoutDeadline); err == nil {
		t.Error("without a deadline, there is no last attempt")
	}
}
