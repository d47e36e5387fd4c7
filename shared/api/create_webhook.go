package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

type webhookCreator interface {
	PrepareCreation(ctx context.Context, q webhook.CreationQuery) (webhook.CreationState, error)
	CreateWebhook(ctx context.Context, c webhook.Creation) (*webhook.EarlierCreation, error)
	Webhook(ctx context.Context, company, id string) (webhook.Webhook, error)
}

type tokenSealer interface {
	Seal(ctx context.Context, company, webhookID, token string) ([]byte, error)
	Open(ctx context.Context, company, webhookID string, sealed []byte) (string, error)
}

type tlsChecker interface {
	CheckTLS(ctx context.Context, url endpoint.URL) error
}

// Creator has the parts that creating a webhook needs.
type Creator struct {
	// Store keeps the webhooks.
	Store webhookCreator
	// Sealer encrypts their tokens, and decrypts one to repeat an earlier response.
	Sealer tokenSealer
	// TLS checks, within 5 s, that a URL's host is public and its certificate valid.
	TLS tlsChecker
	// Quota is the maximum number of webhooks per company; zero means [webhook.DefaultQuota].
	Quota int
	// Now is the clock for IDs and idempotency keys.
	Now func() time.Time
	// Random is the source of IDs and tokens: crypto/rand.Reader.
	Random io.Reader
}

// CreateWebhook is the endpoint that creates a webhook, and the only one that ever shows a token.
func CreateWebhook(c Creator) Endpoint {
	return Endpoint{function: "create-webhook", serve: newCreation(c).serve}
}

// creation is the endpoint's state: its parts, the bound on its TLS checks, and its last ID.
type creation struct {
	Creator
	slots *tlsSlots
	ids   idGenerator
}

func newCreation(c Creator) *creation {
	c.Quota = cmp.Or(c.Quota, webhook.DefaultQuota)
	return &creation{
		Creator: c,
		slots:   newTLSSlots(c.Now),
		ids:     idGenerator{now: c.Now, entropy: ulid.Monotonic(c.Random, 0)},
	}
}

// serve runs the checks in the order of the contract; the first failure is the response.
//
// Requests that race under one idempotency key do not wait for each other. Each runs its own checks,
// and the store lets only one of them create a webhook.
func (c *creation) serve(ctx context.Context, r request) (response, error) {
	key, err := idempotencyKey(r.header)
	if err != nil {
		return response{}, err
	}
	wanted, err := parseNewWebhook(r.header.Get("Content-Encoding"), r.body)
	if err != nil {
		return response{}, err
	}
	target, err := endpoint.Parse(wanted.url)
	if err != nil {
		return response{}, err
	}
	a := attempt{newWebhook: wanted, company: r.key.Company, key: key, bodyHash: sha256.Sum256(r.body)}

	earlier, err := c.admit(ctx, a)
	if err != nil {
		return response{}, err
	}
	if earlier != nil {
		return c.repeat(ctx, a, *earlier)
	}
	if err := c.checkTLS(ctx, a.company, target); err != nil {
		return response{}, err
	}
	return c.create(ctx, a)
}

// attempt is a valid request to create a webhook.
type attempt struct {
	newWebhook
	company  string
	key      *webhook.IdempotencyKey // nil if the request has none
	bodyHash [sha256.Size]byte
}

// idempotencyKey returns the request's Idempotency-Key, or nil if it has none.
func idempotencyKey(header http.Header) (*webhook.IdempotencyKey, error) {
	sent, err := clientKey(header)
	if err != nil || sent == "" {
		return nil, err
	}
	key := webhook.NewIdempotencyKey("create-webhook", sent)
	return &key, nil
}

const maxClientKey = 255 // characters

// clientKey returns the text of the header Idempotency-Key, or an empty string if the request does not have it.
func clientKey(header http.Header) (string, error) {
	if len(header.Values("Idempotency-Key")) == 0 {
		return "", nil
	}
	sent := joinedHeader(header, "Idempotency-Key")
	if !isClientKey(sent) {
		return "", webhook.Errorf(webhook.KindInvalid,
			"The header \"Idempotency-Key\" must be 1 to %d visible ASCII characters.", maxClientKey)
	}
	return sent, nil
}

func isClientKey(text string) bool {
	invisible := func(c rune) bool { return c <= ' ' || c > '~' }
	return text != "" && len(text) <= maxClientKey && !strings.ContainsFunc(text, invisible)
}

// admit decides whether the company can create the webhook. It returns the earlier creation under the
// same idempotency key, if there is one.
func (c *creation) admit(ctx context.Context, a attempt) (*webhook.EarlierCreation, error) {
	state, err := c.Store.PrepareCreation(ctx, webhook.CreationQuery{
		Company: a.company, Events: a.events, Key: a.key, Now: c.Now(),
	})
	switch {
	case err != nil:
		return nil, err
	case state.Earlier != nil:
		return state.Earlier, nil
	case len(state.Unavailable) > 0:
		return nil, webhook.Errorf(webhook.KindUnprocessable, "Some events are not available")
	case state.Count >= c.Quota:
		return nil, webhook.QuotaReached(c.Quota)
	}
	return nil, nil
}

func (c *creation) checkTLS(ctx context.Context, company string, target endpoint.URL) error {
	return c.slots.check(ctx, company, func() error { return c.TLS.CheckTLS(ctx, target) })
}

// create stores the webhook. If another request with the same idempotency key was faster, nothing is
// stored and the response is that request's.
func (c *creation) create(ctx context.Context, a attempt) (response, error) {
	id, now, err := c.ids.next()
	if err != nil {
		return response{}, err
	}
	id = webhook.NewID(id)
	token, err := webhook.NewToken(c.Random)
	if err != nil {
		return response{}, err
	}
	sealed, err := c.Sealer.Seal(ctx, a.company, id, token)
	if err != nil {
		return response{}, err
	}
	created := webhook.Creation{
		Webhook: webhook.Webhook{
			ID:          id,
			Company:     a.company,
			Name:        a.name,
			Description: a.description,
			URL:         a.url,
			Events:      a.events,
			SealedToken: sealed,
			Version:     1,
			CreatedAt:   now,
		},
		Quota: c.Quota,
	}
	if a.key != nil {
		created.Idempotency = &webhook.IdempotencyRecord{Key: *a.key, BodyHash: a.bodyHash}
	}
	earlier, err := c.Store.CreateWebhook(ctx, created)
	if err != nil {
		return response{}, err
	}
	if earlier != nil {
		return c.repeat(ctx, a, *earlier)
	}
	return a.created(id, token), nil
}

// repeat returns the response to an earlier creation once more. Its fields are those of this request,
// which has the same body, byte for byte; the token is the one that was stored.
func (c *creation) repeat(ctx context.Context, a attempt, earlier webhook.EarlierCreation) (response, error) {
	if a.bodyHash != earlier.BodyHash {
		return response{}, webhook.Errorf(webhook.KindConflict,
			"This \"Idempotency-Key\" was already used with a different request body in the last %d hours.",
			int(webhook.IdempotencyTTL/time.Hour))
	}
	stored, err := c.Store.Webhook(ctx, a.company, earlier.WebhookID)
	if webhook.KindOf(err) == webhook.KindNotFound {
		return response{}, webhook.Errorf(webhook.KindConflict,
			"The webhook created with this \"Idempotency-Key\" has since been deleted.")
	}
	if err != nil {
		return response{}, err
	}
	token, err := c.Sealer.Open(ctx, a.company, stored.ID, stored.SealedToken)
	if err != nil {
		return response{}, err
	}
	repeated := a.created(stored.ID, token)
	repeated.header["Idempotent-Replayed"] = "true"
	return repeated, nil
}

func (a attempt) created(id, token string) response {
	return response{
		status: http.StatusCreated,
		header: map[string]string{"Location": "/webhooks/" + id},
		body: webhookBody{
			ID:          id,
			Name:        a.name,
			Description: a.description,
			URL:         a.url,
			Events:      a.events,
			Token:       token,
		},
	}
}

// idGenerator returns ascending ULIDs, even within one millisecond, so that a list shows what one process created in the
// order of its creation.
type idGenerator struct {
	mu      sync.Mutex
	now     func() time.Time
	entropy *ulid.MonotonicEntropy
}

// next returns a ULID and the time in it (UTC, in milliseconds).
func (g *idGenerator) next() (id string, at time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u, err := ulid.New(ulid.Timestamp(g.now()), g.entropy)
	if err != nil {
		return "", time.Time{}, err
	}
	return u.String(), u.Timestamp().UTC(), nil
}
