package dynamo

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

const (
	baseDelay = 25 * time.Millisecond // the maximum delay before the second attempt; it doubles with every attempt
	maxDelay  = time.Second
	// maxAttempts ends the retries of a call after about 3 s on average, if the deadline of its context has not
	// ended them before.
	maxAttempts = 10
	// minTime is the time before the deadline that makes another attempt worthwhile.
	minTime = 50 * time.Millisecond
)

// newRetryer returns the SDK's retryer, for as long as a call's deadline allows and with full jitter. It has no quota of
// retries: a quota is shared by all calls of the process, and the failures of one table partition would end the retries
// of all others.
func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.Backoff = retry.BackoffDelayerFunc(backoff)
		o.RateLimiter = deadlineLimiter{}
		o.Retryables = []retry.IsErrorRetryable{retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
			return aws.BoolTernary(retryable(err))
		})}
	})
}

// backoff returns a random delay before the attempt after the given one, counted from 1. The error is always nil.
func backoff(attempt int, _ error) (time.Duration, error) {
	return rand.N(min(maxDelay, baseDelay<<min(attempt-1, 10))), nil
}

// pause waits before the repetition of something that is more than one call of the SDK. It returns an error if the
// repetition would come too late.
func pause(ctx context.Context, attempt int) error {
	if attempt >= maxAttempts {
		return errors.New("too many attempts")
	}
	if _, err := (deadlineLimiter{}).GetToken(ctx, 0); err != nil {
		return err
	}
	delay, _ := backoff(attempt, nil)
	return sleep(ctx, delay)
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// deadlineLimiter is a rate limiter of the SDK that allows a retry if there is time for it before the deadline.
type deadlineLimiter struct{}

// GetToken returns an error if the deadline is too close.
func (deadlineLimiter) GetToken(ctx context.Context, _ uint) (func() error, error) {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < minTime {
		return nil, errors.New("no time left for another attempt")
	}
	return func() error { return nil }, nil
}

// AddTokens does nothing.
func (deadlineLimiter) AddTokens(uint) error { return nil }

// retryable reports whether the same request is likely to succeed a moment later: after throttling, conflicts between
// transactions, server errors, and broken or hanging connections.
func retryable(err error) bool {
	if _, ok := errors.AsType[*types.TransactionCanceledException](err); ok {
		return isContended(err)
	}
	codes := map[string]struct{}{
		"TransactionConflictException":          {},
		"InternalServerError":                   {},
		"ContinuousBackupsUnavailableException": {}, // while a new table is being prepared for backups
	}
	checks := append(retry.DefaultRetryables[:len(retry.DefaultRetryables):len(retry.DefaultRetryables)], retry.RetryableErrorCode{Codes: codes})
	known := retry.IsErrorRetryables(checks).IsErrorRetryable(err)
	return known == aws.TrueTernary || known == aws.UnknownTernary && errors.Is(err, io.ErrUnexpectedEOF) // a truncated response
}

// isContended reports whether a transaction failed only because others were busy with the same items.
func isContended(err error) bool {
	canceled, ok := errors.AsType[*types.TransactionCanceledException](err)
	if !ok {
		return false
	}
	busy := false
	for _, reason := range canceled.CancellationReasons {
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
