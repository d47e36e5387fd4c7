package access

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

// CacheTTL is how long a key is used without looking again, and so the longest that a revoked one
// goes on working. Authentication is a read less on every other request.
const CacheTTL = 60 * time.Second

const maxCachedKeys = 10_000

type keyFinder interface {
	KeyByHash(ctx context.Context, hash Hash) (Key, error)
}

// Authenticator tells from a request's Authorization header which key it came with. It may be used
// from many goroutines.
type Authenticator struct {
	keys keyFinder
	now  func() time.Time

	mu     sync.Mutex
	cached map[Hash]cachedKey
}

type cachedKey struct {
	key   Key
	since time.Time
}

// NewAuthenticator makes an Authenticator that finds keys in a store and caches them for [CacheTTL].
func NewAuthenticator(keys keyFinder, now func() time.Time) *Authenticator {
	return &Authenticator{keys: keys, now: now, cached: make(map[Hash]cachedKey)}
}

// Authenticate gives the key of an Authorization header's value, "Bearer <api key>". A header that
// is missing or malformed and a key that is unknown, expired or revoked are the same
// webhook.KindUnauthenticated error to the client; its cause tells the log which it was. When the
// store fails, its error is returned.
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

// find looks a key up, in the cache first. What does not exist is not cached, so that a new key
// works at once.
func (a *Authenticator) find(ctx context.Context, hash Hash) (Key, error) {
	// Before the read, since from then on the answer may be out of date; and by the wall clock alone,
	// since the monotonic one stands still while a machine or a Lambda function is suspended.
	now := a.now().Round(0)
	a.mu.Lock()
	entry, ok := a.cached[hash]
	a.mu.Unlock()
	if age := now.Sub(entry.since); ok && age >= 0 && age < CacheTTL {
		return entry.key, nil
	}
	key, err := a.keys.KeyByHash(ctx, hash)
	if err != nil {
		return Key{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.cached) >= maxCachedKeys {
		clear(a.cached) // rare, and refilled by one read a key
	}
	a.cached[hash] = cachedKey{key: key, since: now}
	return key, nil
}

func invalidToken(cause error) error {
	return &webhook.Error{Kind: webhook.KindUnauthenticated, Message: "Invalid token", Cause: cause}
}
