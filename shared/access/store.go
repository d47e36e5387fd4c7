package access

import (
	"context"
	"time"
)

// KeyStore is the storage contract for API keys. Every implementation runs the suite in accesstest. What webhook.Store says
// about all methods also applies here.
type KeyStore interface {
	// CreateKey stores a new key.
	CreateKey(ctx context.Context, key Key) error

	// KeyByHash returns the key with the given hash, even if it is expired or revoked, or webhook.ErrNotFound.
	KeyByHash(ctx context.Context, hash Hash) (Key, error)

	// Keys returns the keys of a company, or of the platform if company is empty, oldest first (ascending by ID).
	Keys(ctx context.Context, company string) ([]Key, error)

	// RevokeKey revokes the key with the given ID, which may be any string, or returns webhook.ErrNotFound. If the key is already
	// revoked, it keeps the time of the first revocation.
	RevokeKey(ctx context.Context, id string, at time.Time) error

	// RecordKeyUse sets LastUsedOn of the key with the given hash to day, unless it has that day or a later one. It does nothing
	// if the key does not exist.
	RecordKeyUse(ctx context.Context, hash Hash, day time.Time) error
}
