package webhook

import (
	"context"
	"crypto/sha256"
	"time"
)

// Store is the contract of storage. The conformance suite in webhooktest checks it for every implementation. Consumers
// declare interfaces of their own with the few methods they call.
//
// Every method:
//   - only accesses the given company. Another company's data is not found, at the same cost as data that does not exist.
//   - reads the latest data, whichever process wrote it: after a method has returned without error, every later call sees
//     its effect.
//   - writes everything or nothing, and durably, before it returns nil.
//   - returns errors of type [*Error]: [ErrNotFound] where documented; [KindUnavailable] if the database throttles,
//     reports a conflict or is unavailable, or ctx ends, in which case a write may or may not have happened; and otherwise
//     internal errors.
//   - keeps no reference to slices it is passed, and the caller owns what it returns.
//   - is safe for concurrent use by multiple goroutines.
type Store interface {
	// ListWebhooks returns one page of a company's webhooks, oldest first (ascending by ID), and the total count. Count and
	// page are two reads: they may differ by what is written between them. A page past the end is empty.
	ListWebhooks(ctx context.Context, company string, page Page) (List, error)

	// Webhook returns one webhook, or [ErrNotFound]. id may be any string.
	Webhook(ctx context.Context, company, id string) (Webhook, error)

	// PrepareCreation reads everything that decides whether a webhook can be created, in one round trip if the database
	// supports it. It changes nothing. The result is not a snapshot: a creation that completes at this moment may be
	// visible in only some parts of it, but it is visible in all parts of the next call's result.
	PrepareCreation(ctx context.Context, q CreationQuery) (CreationState, error)

	// CreateWebhook stores a webhook, its edges, the company's count and the idempotency record atomically. If the record's
	// key is already live, it stores nothing and returns the earlier creation, whatever the quota; otherwise it returns
	// nil. If the quota is reached, it stores nothing and returns [QuotaReached].
	CreateWebhook(ctx context.Context, c Creation) (*EarlierCreation, error)

	// DeleteWebhook deletes a webhook and everything that belongs to it, or returns [ErrNotFound]. id may be any string. Of
	// several concurrent deletions, exactly one succeeds.
	DeleteWebhook(ctx context.Context, company, id string) error

	// EventTypes returns the [AvailableTypes] of the platform and the company, or only the platform's if company is empty.
	EventTypes(ctx context.Context, company string) ([]EventType, error)

	// AddEventType adds a type, or makes a hidden one visible again, as the newest, with the new description and time. If the
	// type is already visible, only its description changes, and only if the new one is not empty.
	AddEventType(ctx context.Context, t EventType) error

	// RemoveEventType hides a type of the company, or of the platform if company is empty. It returns [ErrNotFound] if there
	// is no visible type of that name.
	RemoveEventType(ctx context.Context, company, name string) error

	// WebhooksAfter returns up to limit (1 to 100) of a company's webhooks, ascending by ID: those after an ID returned
	// before, or the first ones if after is empty. Successive calls return every webhook that exists throughout, whatever
	// is created or deleted in between.
	WebhooksAfter(ctx context.Context, company, after string, limit int) ([]Webhook, error)

	// ImportWebhook stores a webhook from another store unchanged, with its edges, and increments the company's count,
	// whatever the quota. If the ID already exists in the company, it changes nothing and returns [KindConflict].
	ImportWebhook(ctx context.Context, w Webhook) error

	// AllEventTypes returns a company's own types, or the platform's if company is empty, including hidden ones, ordered by
	// the time they were added, then by name.
	AllEventTypes(ctx context.Context, company string) ([]EventType, error)

	// ImportEventType stores a type from another store unchanged, hidden or not. If the company, or the platform, already
	// has a type of that name, hidden or not, it changes nothing and returns [KindConflict].
	ImportEventType(ctx context.Context, t EventType) error

	// Ping checks with one cheap read that the database responds and has the tables.
	Ping(ctx context.Context) error
}

// Page identifies one page of a list.
type Page struct {
	Size   int // elements per page, 1 to 100
	Number int // 1 to 2147483647
}

// Offset returns the number of elements before the page.
func (p Page) Offset() int64 { return int64(p.Number-1) * int64(p.Size) }

// Last returns the number of the last page of a list with count elements, at least 1.
func (p Page) Last(count int) int { return max(1, (count+p.Size-1)/p.Size) }

// List is one page and the total count.
type List struct {
	Count    int
	Webhooks []Webhook
}

// IdempotencyTTL is how long a successful creation is remembered under its idempotency key.
const IdempotencyTTL = 24 * time.Hour

// IdempotencyKey identifies a request that a client may repeat: the SHA-256 of the operation and the client's key. It is
// scoped to a company wherever it is used.
type IdempotencyKey [sha256.Size]byte

// NewIdempotencyKey returns the key for an operation, whose name must not contain NUL, and the client's key.
func NewIdempotencyKey(operation, clientKey string) IdempotencyKey {
	return sha256.Sum256([]byte(operation + "\x00" + clientKey))
}

// CreationQuery is the input of [Store.PrepareCreation].
type CreationQuery struct {
	Company string
	// Events are the types to subscribe to, without duplicates, at most [MaxEvents]. They may be any strings.
	Events []string
	// Key is nil if the client sent none.
	Key *IdempotencyKey
	// Now decides which idempotency records have expired.
	Now time.Time
}

// CreationState is what a creation depends on.
type CreationState struct {
	// Earlier is the creation made under the same idempotency key, if it is live.
	Earlier *EarlierCreation
	// Unavailable are the events that the company cannot subscribe to.
	Unavailable []string
	// Count is the number of webhooks of the company.
	Count int
}

// Creation is a webhook to store.
type Creation struct {
	// Webhook has every field set. Its CreatedAt is the current time for the idempotency record.
	Webhook Webhook
	// Quota is the maximum number of webhooks of the company, including this one.
	Quota int
	// Idempotency is nil if the client sent no key.
	Idempotency *IdempotencyRecord
}

// IdempotencyRecord remembers a successful creation for [IdempotencyTTL].
type IdempotencyRecord struct {
	Key IdempotencyKey
	// BodyHash is the SHA-256 of the request body, which a repetition must have, too.
	BodyHash [sha256.Size]byte
}

// EarlierCreation is a creation that succeeded under an idempotency key.
type EarlierCreation struct {
	BodyHash  [sha256.Size]byte
	WebhookID string
}
