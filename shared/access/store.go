package access

import (
	"context"
	"time"
)

// KeyStore is the contract of storage for API keys; the suite in accesstest holds every
// implementation to it. What webhook.Store says of every method is true here as well.
type KeyStore interface {
	// CreateKey stores a new key.
	CreateKey(ctx context.Context, key Key) error

	// KeyByHash gives the key of a hash, also when it has expired or was revoked, or
	// webhook.ErrNotFound.
	KeyByHash(ctx context.Context, hash Hash) (Key, error)

	// Keys gives a company's keys, oldest first (ascending by id).
	Keys(ctx context.Context, company string) ([]Key, error)

	// RevokeKey ends the key of an id at a time, or answers webhook.ErrNotFound; id may be any
	// string. The first revocation's time stays.
	RevokeKey(ctx context.Context, id string, at time.Time) error
}
