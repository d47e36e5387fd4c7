package access

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

// CacheTTL is how long a key is used without reading it again, and therefore the longest time for which a revoked key keeps
// working. Authentication takes one read on every other request.
const CacheTTL = 60 * time.Second

const maxCachedKeys = 10_000

type keyFinder interface {
	KeyByHash(ctx context.Context, hash Hash) (Key, error)
}

// Authenticator finds the API key in an Authorization header. It is safe for concurrent use by multiple goroutines.
type Authenticator struct {
	keys keyFinder
	now  func() time.Time

	mu     sync.Mutex
	cached map[Hash]cachedKey
}

type cachedKey struct {
	Key
	since time.Time
}

// NewAuthenticator returns an Authenticator that finds keys in a store and caches them for [CacheTTL].
func NewAuthenticator(keys keyFinder, now func() time.Time) *Authenticator {
	return &Authenticator{keys: keys, now: now, cached: make(map[Hash]cachedKey)}
}

// Authenticate returns the key of an Authorization header's value, "Bearer <api key>". If the header is missing or malformed,
// or the key is unknown, expired or revoked, the error is of kind webhook.KindUnauthenticated with the same message for the
// client; its cause, which is for the log, says what is wrong. If the store fails, its error is returned.
func (a *Authenticator) Authenticate(ctx context.Context, authorization string) (Key, error) {
	scheme, secret, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Key{}, invalidToken(errors.New("no bearer token in the Authorization header"))
	}
	hash, err := HashSecret(strings.Trim(secret, " "))
	if err != nil {
		return Key{}, invalidToken(err)
	}
	key, err := a.find(ctx, hash)
	switch {
	case webhook.KindOf(err) == webhook.KindNotFound:
		return Key{}, invalidToken(errors.New("the API key is unknown"))
	case err != nil:
		return Key{}, err
	case !key.Usable(a.now()):
		return Key{}, invalidToken(errors.New("the API key " + key.ID + " has expired or was revoked"))
	}
	return key, nil
}

// find returns a key from the cache or the store. That a key does not exist is not cached, so a new key works at once.
func (a *Authenticator) find(ctx context.Context, hash Hash) (Key, error) {
	// The time before the read, because the key may change from then on; and only the wall clock, because the monotonic clock
	// stops while a machine or a Lambda function is suspended.
	now := a.now().Round(0)
	a.mu.Lock()
	entry, ok := a.cached[hash]
	a.mu.Unlock()
	if age := now.Sub(entry.since); ok && age >= 0 && age < CacheTTL {
		return entry.Key, nil
	}
	key, err := a.keys.KeyByHash(ctx, hash)
	if err != nil {
		return Key{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cached) >= maxCachedKeys {
		clear(a.cached) // rare, and costs one read per key
	}
	a.cached[hash] = cachedKey{key, now}
	return key, nil
}

func invalidToken(cause error) error {
	return &webhook.Error{Kind: webhook.KindUnauthenticated, Message: "Invalid token", Cause: cause}
}
