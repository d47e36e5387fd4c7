package dynamo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	baseDelay = 25 * time.Millisecond // the longest wait before the second attempt; then it doubles
	maxDelay  = time.Second           // the longest wait before any attempt
	// leastTime is what must be left of the deadline after the wait, for an attempt to be worth it.
	leastTime = 50 * time.Millisecond
	// attemptsWithoutDeadline ends the retries of a call that no deadline ends, after about 3 s.
	attemptsWithoutDeadline = 10
)

// backoff draws how long to wait after an attempt (counted from 1) that may succeed when repeated,
// or says why there should be no other.
func backoff(ctx context.Context, attempt int) (time.Duration, error) {
	delay := rand.N(min(maxDelay, baseDelay<<min(attempt-1, 10)))
	deadline, ok := ctx.Deadline()
	switch {
	case ok && time.Until(deadline) < delay+leastTime:
		return 0, fmt.Errorf("no time is left for another attempt after %d", attempt)
	case !ok && attempt >= attemptsWithoutDeadline:
		return 0, fmt.Errorf("gave up after %d attempts", attempt)
	}
	return delay, nil
}

// callRetryer decides about the attempts of one call. The SDK's own retryers know neither the
// call's deadline nor which cancelled transactions are worth repeating, and they stop retrying
// altogether when many calls of the process have failed.
type callRetryer struct {
	attempt int
	delay   time.Duration
}

var _ aws.RetryerV2 = (*callRetryer)(nil)

// IsErrorRetryable tells whether a failed attempt should be repeated.
func (*callRetryer) IsErrorRetryable(err error) bool { return retryable(err) }

// MaxAttempts sets no limit: time does.
func (*callRetryer) MaxAttempts() int { return 0 }

// GetRetryToken draws the delay before the next attempt, since it alone is told the context, and
// refuses when that would be too late.
func (r *callRetryer) GetRetryToken(ctx context.Context, _ error) (func(error) error, error) {
	var err error
	r.attempt++
	r.delay, err = backoff(ctx, r.attempt)
	return noRelease, err
}

// RetryDelay gives the delay drawn before.
func (r *callRetryer) RetryDelay(int, error) (time.Duration, error) { return r.delay, nil }

// GetAttemptToken lets every attempt go ahead.
func (*callRetryer) GetAttemptToken(context.Context) (func(error) error, error) {
	return noRelease, nil
}

// GetInitialToken is what the SDK had in place of GetAttemptToken.
func (*callRetryer) GetInitialToken() func(error) error { return noRelease }

func noRelease(error) error { return nil }

// retryWithinDeadline gives every call a retryer of its own; the SDK shares one among all calls.
func retryWithinDeadline(stack *middleware.Stack) error {
	const id = "Retry"
	before, _ := stack.Finalize.Get(id)
	attempt, ok := before.(*retry.Attempt)
	if !ok {
		return errors.New("the SDK has no middleware that retries")
	}
	own := retry.NewAttemptMiddleware(&callRetryer{}, smithyhttp.RequestCloner, func(a *retry.Attempt) {
		a.LogAttempts, a.OperationMeter = attempt.LogAttempts, attempt.OperationMeter
		a.ClientSkew, a.DisableClockSkewCorrection = attempt.ClientSkew, attempt.DisableClockSkewCorrection
	})
	_, err := stack.Finalize.Swap(id, own)
	return err
}

// limitAttempts ends every single attempt after a time, so that a connection that hangs costs an
// attempt and not the request. Getting credentials is not part of it.
func limitAttempts(limit time.Duration) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Finalize.Insert(attemptLimit(limit), "GetIdentity", middleware.After)
	}
}

type attemptLimit time.Duration

// ID names the middleware.
func (attemptLimit) ID() string { return "AttemptLimit" }

// HandleFinalize makes the attempt.
func (l attemptLimit) HandleFinalize(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error,
) {
	attemptCtx, cancel := context.WithTimeout(ctx, time.Duration(l))
	defer cancel()
	out, metadata, err := next.HandleFinalize(attemptCtx, in)
	if err != nil && attemptCtx.Err() != nil && ctx.Err() == nil {
		err = &attemptTimeoutError{limit: time.Duration(l)}
	}
	return out, metadata, err
}

// attemptTimeoutError stands in for the error of the cancelled attempt, which would read as if the
// caller had cancelled the call.
type attemptTimeoutError struct{ limit time.Duration }

func (e *attemptTimeoutError) Error() string { return fmt.Sprintf("no answer within %v", e.limit) }

// RetryableError is how the SDK asks an error whether to retry.
func (e *attemptTimeoutError) RetryableError() bool { return true }

// retryable reports whether the same request may well succeed a moment later: throttling,
// conflicts between transactions, faults of the server, connections that break or hang.
func retryable(err error) bool {
	if canceled, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return contended(canceled.CancellationReasons)
	}
	codes := map[string]struct{}{
		"TransactionConflictException":          {},
		"InternalServerError":                   {},
		"ContinuousBackupsUnavailableException": {}, // while a new table gets ready for them
	}
	checks := retry.IsErrorRetryables{
		retry.NoRetryCanceledError{},
		retry.RetryableError{},
		retry.RetryableConnectionError{},
		retry.RetryableHTTPStatusCode{Codes: retry.DefaultRetryableHTTPStatusCodes},
		retry.RetryableErrorCode{Codes: retry.DefaultRetryableErrorCodes},
		retry.RetryableErrorCode{Codes: retry.DefaultThrottleErrorCodes},
		retry.RetryableErrorCode{Codes: codes},
	}
	switch checks.IsErrorRetryable(err) {
	case aws.TrueTernary:
		return true
	case aws.FalseTernary:
		return false
	default:
		return errors.Is(err, io.ErrUnexpectedEOF) // an answer cut off in the middle
	}
}

// contended reports whether a transaction failed for no other reason than that others were busy
// with the same items.
func contended(reasons []types.CancellationReason) bool {
	busy := false
	for _, reason := range reasons {
		switch aws.ToString(reason.Code) {
		case "", "None":
		case "TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded":
			busy = true
		default:
			return false
		}
	}
	return busy
}
