package dynamo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
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
		{"canceled by a conflict", canceled("None", "TransactionConflict"), true},
		{"canceled by throttling", canceled("ThrottlingError", "ProvisionedThroughputExceeded"), true},
		{"canceled by a condition", canceled("None", "ConditionalCheckFailed"), false},
		{"canceled by a condition and a conflict", canceled("ConditionalCheckFailed", "TransactionConflict"), false},
		{"canceled by invalid input", canceled("ValidationError"), false},
		{"canceled without a reason", canceled(), false},
		{"condition", &types.ConditionalCheckFailedException{}, false},
		{"missing table", &types.ResourceNotFoundException{}, false},
		{"access denied", &smithy.GenericAPIError{Code: "AccessDeniedException"}, false},
		{"token with other parameters", &types.IdempotentParameterMismatchException{}, false},
		{"attempt timed out", &smithyhttp.RequestSendError{Err: &url.Error{Err: os.ErrDeadlineExceeded}}, true},
		{"caller canceled", &smithy.CanceledError{Err: context.Canceled}, false},
		{"caller's deadline exceeded", &smithy.CanceledError{Err: context.DeadlineExceeded}, false},
		{"truncated response", &smithy.DeserializationError{Err: io.ErrUnexpectedEOF}, true},
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
	for attempt, limit := range map[int]time.Duration{1: 25 * time.Millisecond, 2: 50 * time.Millisecond, 6: 800 * time.Millisecond, 7: time.Second, 1000: time.Second} {
		var longest time.Duration
		for range 1000 {
			delay, _ := backoff(attempt, nil)
			longest = max(longest, delay)
		}
		if longest < limit/2 || longest >= limit {
			t.Errorf("attempt %d: the longest of 1000 delays is %v, want full jitter up to %v", attempt, longest, limit)
		}
	}
}

func TestDeadlineLimiter(t *testing.T) {
	for left, allowed := range map[time.Duration]bool{minTime / 2: false, time.Hour: true} {
		if _, err := (deadlineLimiter{}).GetToken(within(t, left), 1); (err == nil) != allowed {
			t.Errorf("with %v left: error %v", left, err)
		}
	}
}
