package seal

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"webhooks/shared/webhook"
)

// HashBody gives what is remembered of a request's body under an idempotency key: the id of the
// current token key (8 bytes), and the beginning of an HMAC-SHA256 under it (24 bytes) of the
// company, the webhook, the idempotency key and the body. Whoever can write to the database, but
// has no token key, can make none, and so cannot have the answer that holds a webhook's token
// repeated to a request of their own.
func (s Sealer) HashBody(ctx context.Context, company, webhookID string, key webhook.IdempotencyKey, body []byte) (hash [sha256.Size]byte, err error) {
	current, err := s.Keys.Current(ctx)
	if err != nil {
		return hash, fmt.Errorf("hashing a body: %w", err)
	}
	return current.hashBody(company, webhookID, key, body), nil
}

// IsBody reports whether hash is what HashBody gave for the same arguments, under whichever key it
// was then. [ErrUnknownKey] is that of a key that is not here.
func (s Sealer) IsBody(ctx context.Context, hash [sha256.Size]byte, company, webhookID string, key webhook.IdempotencyKey, body []byte) (bool, error) {
	then, err := s.Keys.Key(ctx, KeyID(hash[:keyIDSize]))
	if err != nil {
		return false, fmt.Errorf("comparing a body: %w", err)
	}
	want := then.hashBody(company, webhookID, key, body)
	return hmac.Equal(hash[:], want[:]), nil
}

func (k Key) hashBody(company, webhookID string, key webhook.IdempotencyKey, body []byte) (hash [sha256.Size]byte) {
	mac := hmac.New(sha256.New, k.bodyKey)
	mac.Write(binding(key[:], company, webhookID)) // NUL ends the company, and an id has a fixed length
	mac.Write([]byte{0})
	mac.Write(body)
	copy(hash[:], k.id[:])
	copy(hash[keyIDSize:], mac.Sum(nil))
	return hash
}
