// Package transfer moves a company from one store to another by way of a file: its webhooks, its
// event types, those of the platform, and its API keys, of which no more than hashes are known.
//
// The file is text, one JSON object a line. The first line is the header with the number of the
// format, the last one tells how many lines of each kind there are, so that half a file is not taken for
// a whole one. Neither writing nor reading it holds more in memory than some webhooks at a time. Tokens
// are in it as they are stored: sealed.
//
// Not in it are the records of Idempotency-Keys, which last a day: a request that is repeated after
// the move is a new one.
package transfer

import (
	"context"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// callTimeout is how long one call of a store may take.
const callTimeout = 10 * time.Second

// Source is a store that a company is exported from.
type Source interface {
	AllEventTypes(ctx context.Context, company string) ([]webhook.EventType, error)
	Keys(ctx context.Context, company string) ([]access.Key, error)
	WebhooksAfter(ctx context.Context, company, after string, limit int) ([]webhook.Webhook, error)
}

// Target is a store that a company is imported into.
type Target interface {
	AllEventTypes(ctx context.Context, company string) ([]webhook.EventType, error)
	ImportEventType(ctx context.Context, t webhook.EventType) error
	Keys(ctx context.Context, company string) ([]access.Key, error)
	KeyByHash(ctx context.Context, hash access.Hash) (access.Key, error)
	CreateKey(ctx context.Context, key access.Key) error
	Webhook(ctx context.Context, company, id string) (webhook.Webhook, error)
	ImportWebhook(ctx context.Context, w webhook.Webhook) error
}

// ask makes one call of a store within its time and gives what it found.
func ask[T any](ctx context.Context, call func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return call(ctx)
}

// do makes one call of a store that gives nothing but an error.
func do(ctx context.Context, call func(ctx context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return call(ctx)
}
