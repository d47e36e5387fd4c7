package access

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

// CacheTTL is how long a key is used without reading it again, and therefore the longest time for which a revoked key keeps
// working. Authentication takes one read on every other request.
const CacheTTL = 60 * time.Second

const maxCachedKeys = 10_000

// recordTimeout is how long recording the use of a key may delay a request.
const recordTimeout = 300 * time.Millisecond

type keyStore interface {
	KeyByHash(ctx context.Context, hash Hash) (Key, error)
	RecordKeyUse(ctx context.Context, hash Hash, day time.Time) error
}

// Authenticator finds the API key in an Authorization header. It is safe for concurrent use by multiple goroutines.
type Authenticator struct {
	keys keyStore
	now  func() time.Time
	log  *slog.Logger

	mu     sync.Mutex
	cached map[Hash]cachedKey
	used   map[Hash]time.Time // the days that this process has recorded, or failed to record
}

type cachedKey struct {
	Key
	since time.Time
}

// NewAuthenticator returns an Authenticator that finds keys in a store and caches them for [CacheTTL].
func NewAuthenticator(keys keyStore, now func() time.Time, log *slog.Logger) *Authenticator {
	return &Authenticator{keys: keys, now: now, log: log, cached: make(map[Hash]cachedKey), used: make(map[Hash]time.Time)}
}

// Authenticate returns the key of an Authorization header's value, "Bearer <api key>". If the header is missing or malformed,
// or the key is unknown, expired or revoked, the error is of kind webhook.KindUnauthenticated with the same message for the
// client; its cause, which is for the log, says what is wrong. If the store fails, its error is returned.
//
// The first use of a key on a day is recorded in the store before Authenticate returns, because a Lambda function is frozen once
// it has responded. A failure to record it is logged and is not an error.
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
	a.recordUse(ctx, key)
	return key, nil
}

// recordUse records the day in the store if it is the first use of the key on that day. It does so even if the client goes away.
func (a *Authenticator) recordUse(ctx context.Context, key Key) {
	const day = 24 * time.Hour
	today := a.now().UTC().Truncate(day)
	if !key.LastUsedOn.Before(today) || !a.isFirstUse(key.Hash, today) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := a.keys.RecordKeyUse(ctx, key.Hash, today); err != nil {
		a.log.WarnContext(ctx, "the use of an API key was not recorded", "key_id", key.ID, "cause", err.Error())
	}
}

// isFirstUse reports whether this process has not seen the key on that day, or later, before.
func (a *Authenticator) isFirstUse(hash Hash, day time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.used[hash].Before(day) {
		return false
	}
	if len(a.used) >= maxCachedKeys {
		clear(a.used) // rare, and the store ignores what it has recorded already
	}
	a.used[hash] = day
	return true
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
