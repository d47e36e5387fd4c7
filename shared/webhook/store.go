package webhook

import (
	"context"
	"crypto/sha256"
	"time"
)

// Store is the whole contract of storage, which the suite in webhooktest holds every
// implementation to. Those who need storage declare the few methods they call themselves.
//
// Of every method:
//   - It stays inside the company it is given. What another company has is not found, at the same
//     cost as what does not exist.
//   - It reads what was last written, by whichever process: after a method returned without error,
//     every later call sees its effect.
//   - A write happens as a whole or not at all, and is durable before the method returns nil.
//   - Errors are of type [*Error]: [ErrNotFound] where said below; [KindUnavailable] when the
//     database throttles, conflicts, is away or ctx ends, in which case a write may or may not have
//     happened; anything else is internal.
//   - It keeps no reference to slices it is given, and the caller owns what it returns.
//   - It may be called from many goroutines.
type Store interface {
	// ListWebhooks gives one page of a company's webhooks, oldest first (ascending by id), and how
	// many there are in all. Count and page are two reads: under concurrent writes they may differ
	// by what was written between them. A page past the end is empty.
	ListWebhooks(ctx context.Context, company string, page Page) (List, error)

	// Webhook gives one webhook, or [ErrNotFound]; id may be any string.
	Webhook(ctx context.Context, company, id string) (Webhook, error)

	// PrepareCreation reads all that decides whether a webhook can be made, in one round trip where
	// the database allows. It changes nothing. The parts are single reads: a creation that ends at
	// this moment may be in one and not yet in another, but is in all of the next call's.
	PrepareCreation(ctx context.Context, q CreationQuery) (CreationState, error)

	// CreateWebhook stores a webhook, its edges, the company's count and the idempotency record in
	// one step. When the record's key is already live, nothing is stored and the earlier creation
	// is returned, whatever the quota; otherwise it is nil. At the quota nothing is stored and the
	// error is [QuotaReached].
	CreateWebhook(ctx context.Context, c Creation) (*EarlierCreation, error)

	// DeleteWebhook removes a webhook with all that belongs to it, or answers [ErrNotFound]; id may
	// be any string. Of many concurrent deletions exactly one succeeds.
	DeleteWebhook(ctx context.Context, company, id string) error

	// EventTypes gives what [AvailableTypes] makes of the platform's and the company's types; for
	// the empty company, the platform's alone.
	EventTypes(ctx context.Context, company string) ([]EventType, error)

	// AddEventType adds a type, or shows a hidden one again as the newest. The description and time
	// given replace those of a hidden one. A type that is already visible is left as it is, but for
	// its description where a new one is given.
	AddEventType(ctx context.Context, t EventType) error

	// RemoveEventType hides a type of the company (of the platform, when company is empty), or
	// answers [ErrNotFound] when there is no visible one of that name.
	RemoveEventType(ctx context.Context, company, name string) error

	// WebhooksAfter gives up to limit (1 to 100) of a company's webhooks, ascending by id: those that
	// come after an id that was read, or the first for an empty one. What is read so, step by step,
	// lacks nothing that was there all the time, whatever is made or deleted meanwhile.
	WebhooksAfter(ctx context.Context, company, after string, limit int) ([]Webhook, error)

	// ImportWebhook stores a webhook of another store as it is, with its edges and its place in the
	// company's count, whatever the quota. When the company has one of that id, nothing is changed
	// and the error is of [KindConflict].
	ImportWebhook(ctx context.Context, w Webhook) error

	// AllEventTypes gives the types of one level, a company's own or for the empty company the
	// platform's, hidden ones too, by the time they were added, then by name.
	AllEventTypes(ctx context.Context, company string) ([]EventType, error)

	// ImportEventType stores a type of another store as it is, hidden or not. When its level has one
	// of that name, hidden or not, nothing is changed and the error is of [KindConflict].
	ImportEventType(ctx context.Context, t EventType) error

	// Ping checks with one cheap read that the database answers and holds our tables.
	Ping(ctx context.Context) error
}

// Page names a part of a list.
type Page struct {
	Size   int // elements a page, 1 to 100
	Number int // 1 to 2147483647
}

// Offset is how many elements come before the page.
func (p Page) Offset() int64 { return int64(p.Number-1) * int64(p.Size) }

// Last is the number of the last page of a list with count elements, at least 1.
func (p Page) Last(count int) int { return max(1, (count+p.Size-1)/p.Size) }

// List is one page and the count of everything.
type List struct {
	Count    int
	Webhooks []Webhook
}

// IdempotencyTTL is how long a successful creation is remembered under its idempotency key.
const IdempotencyTTL = 24 * time.Hour

// IdempotencyKey names a request that a client may send more than once: the SHA-256 of the
// operation and the client's key. It is scoped to a company wherever it is used.
type IdempotencyKey [sha256.Size]byte

// NewIdempotencyKey makes the key of an operation (a name of ours, without NUL) and the client's key.
func NewIdempotencyKey(operation, clientKey string) IdempotencyKey {
	return sha256.Sum256([]byte(operation + "\x00" + clientKey))
}

// CreationQuery asks what a creation depends on.
type CreationQuery struct {
	Company string
	// Events are the types to subscribe to, without duplicates, at most [MaxEvents]. Any string may
	// be among them.
	Events []string
	// Key is nil when the client sent none.
	Key *IdempotencyKey
	// Now tells which idempotency records have expired.
	Now time.Time
}

// CreationState is what a creation depends on.
type CreationState struct {
	// Earlier is the creation made under the same idempotency key, if it is live.
	Earlier *EarlierCreation
	// Unavailable are those of the events that the company cannot subscribe to.
	Unavailable []string
	// Count is how many webhooks the company has.
	Count int
}

// Creation is a webhook to be stored.
type Creation struct {
	// Webhook has every field set; its CreatedAt is the present for the idempotency record.
	Webhook Webhook
	// Quota is how many webhooks the company may have, this one included.
	Quota int
	// Idempotency is nil when the client sent no key.
	Idempotency *IdempotencyRecord
}

// IdempotencyRecord remembers a successful creation for [IdempotencyTTL].
type IdempotencyRecord struct {
	Key IdempotencyKey
	// BodyHash tells whether a later request's body is the same; seal.Sealer makes and compares it.
	BodyHash [sha256.Size]byte
}

// EarlierCreation is a creation that succeeded under an idempotency key.
type EarlierCreation struct {
	BodyHash  [sha256.Size]byte
	WebhookID string
}
