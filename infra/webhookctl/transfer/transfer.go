// Package transfer moves a company from one store to another by way of a file, the export: its webhooks, its event types
// and those of the platform, and its API keys, of which stores only have the hashes. Idempotency records, which last a
// day, are not exported.
//
// An export is text with one JSON object per line. The first line is a header with the version of the format, and the
// last one has the number of lines of each kind, so that a truncated export is noticed. A file can contain the exports of
// several companies, one after the other, each with the number of those that follow. Writing and reading it keeps only a
// page of webhooks in memory. Tokens in it are sealed with a key of its own, which both sides need: the stores' own token
// keys never leave them.
package transfer

import (
	"context"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

// callTimeout limits one call of a store.
const callTimeout = 10 * time.Second

// Source is a store to export from.
type Source interface {
	AllEventTypes(ctx context.Context, company string) ([]webhook.EventType, error)
	Keys(ctx context.Context, company string) ([]access.Key, error)
	WebhooksAfter(ctx context.Context, company, after string, limit int) ([]webhook.Webhook, error)
}

// Target is a store to import into.
type Target interface {
	AllEventTypes(ctx context.Context, company string) ([]webhook.EventType, error)
	ImportEventType(ctx context.Context, t webhook.EventType) error
	Keys(ctx context.Context, company string) ([]access.Key, error)
	KeyByHash(ctx context.Context, hash access.Hash) (access.Key, error)
	CreateKey(ctx context.Context, key access.Key) error
	Webhook(ctx context.Context, company, id string) (webhook.Webhook, error)
	ImportWebhook(ctx context.Context, w webhook.Webhook) error
}

// within makes one call of a store or sealer with a timeout.
func within[T any](ctx context.Context, call func(ctx context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return call(ctx)
}

// reseal opens a webhook's token with one sealer and seals it with another.
func reseal(ctx context.Context, from, to seal.Sealer, w webhook.Webhook) (token string, sealed []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if token, err = from.Open(ctx, w.Company, w.ID, w.SealedToken); err != nil {
		return "", nil, err
	}
	sealed, err = to.Seal(ctx, w.Company, w.ID, token)
	return token, sealed, err
}
