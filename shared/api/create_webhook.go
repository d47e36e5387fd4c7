package api

import (
	"cmp"
	"context"
	"crypto/sha256"
	"io"
	"net/http"
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
	HashBody(ctx context.Context, company, webhookID string, key webhook.IdempotencyKey, body []byte) ([sha256.Size]byte, error)
	IsBody(ctx context.Context, hash [sha256.Size]byte, company, webhookID string, key webhook.IdempotencyKey, body []byte) (bool, error)
}

type tlsChecker interface {
	CheckTLS(ctx context.Context, url endpoint.URL) error
}

// Creator is what creating webhooks takes.
type Creator struct {
	// Store is where webhooks are kept.
	Store webhookCreator
	// Sealer encrypts their tokens, and opens one again where a creation is repeated.
	Sealer tokenSealer
	// TLS checks, within 5 s, that a URL's host is public and its certificate valid.
	TLS tlsChecker
	// Quota is how many webhooks a company may have; zero is [webhook.DefaultQuota].
	Quota int
	// Now is the clock, of ids and of idempotency keys.
	Now func() time.Time
	// Random is where ids and tokens come from: crypto/rand.Reader.
	Random io.Reader
}

// CreateWebhook is the endpoint that makes a webhook, and the only one that ever shows a token.
func CreateWebhook(c Creator) Endpoint {
	c.Quota = cmp.Or(c.Quota, webhook.DefaultQuota)
	e := newCreating(c)
	return Endpoint{function: "create-webhook", serve: e.serve}
}

type creating struct {
	Creator
	turns *turns
	slots *checkSlots
	ids   ids
}

func newCreating(c Creator) *creating {
	return &creating{
		Creator: c,
		turns:   newTurns(),
		slots:   newCheckSlots(),
		ids:     ids{now: c.Now, entropy: ulid.Monotonic(c.Random, 0)},
	}
}

// attempt is a valid request for a creation.
type attempt struct {
	creation
	company string
	target  endpoint.URL
	key     *webhook.IdempotencyKey // nil for none
	body    []byte
}

// serve checks in the order of the contract, where the first failure answers.
func (e *creating) serve(ctx context.Context, r request) (response, error) {
	a, err := parseAttempt(r)
	if err != nil {
		return response{}, err
	}
	leave := e.turns.enter(ctx, a.company, a.key)
	defer leave()
	earlier, err := e.admit(ctx, a)
	if err == nil && earlier == nil {
		earlier, err = e.checkTLS(ctx, a)
	}
	switch {
	case err != nil:
		return response{}, err
	case earlier != nil:
		return e.repeat(ctx, a, *earlier)
	}
	return e.create(ctx, a)
}

// admit decides by what is stored. It gives the earlier creation under the same key, if there is one.
func (e *creating) admit(ctx context.Context, a attempt) (*webhook.EarlierCreation, error) {
	state, err := e.prepare(ctx, a)
	switch {
	case err != nil:
		return nil, err
	case state.Earlier != nil:
		return state.Earlier, nil
	case len(state.Unavailable) > 0:
		return nil, webhook.Errorf(webhook.KindUnprocessable, "Some events are not available")
	case state.Count >= e.Quota:
		return nil, webhook.QuotaReached(e.Quota)
	}
	return nil, nil
}

// prepare reads what decides about the creation. The state is no snapshot: it may count a webhook
// made a moment ago under the very same key, and not have its record yet. So where a company is full
// and there is a key, it looks once more before anybody is refused.
func (e *creating) prepare(ctx context.Context, a attempt) (webhook.CreationState, error) {
	q := webhook.CreationQuery{Company: a.company, Events: a.events, Key: a.key, Now: e.Now()}
	state, err := e.Store.PrepareCreation(ctx, q)
	if err != nil || a.key == nil || state.Earlier != nil || state.Count < e.Quota {
		return state, err
	}
	return e.Store.PrepareCreation(ctx, q)
}

// parseAttempt does what needs neither store nor network.
func parseAttempt(r request) (attempt, error) {
	key, err := idempotencyKey(r.header, "create-webhook")
	if err != nil {
		return attempt{}, err
	}
	wanted, err := parseCreation(r.body)
	if err != nil {
		return attempt{}, err
	}
	target, err := endpoint.Parse(wanted.url)
	if err != nil {
		return attempt{}, err
	}
	return attempt{
		creation: wanted,
		company:  r.company,
		target:   target,
		key:      key,
		body:     r.body,
	}, nil
}

// create makes and stores the webhook, unless another request with the same idempotency key was
// faster: then its answer is this one's as well.
func (e *creating) create(ctx context.Context, a attempt) (response, error) {
	id, now, err := e.ids.next()
	if err != nil {
		return response{}, err
	}
	token, err := webhook.NewToken(e.Random)
	if err != nil {
		return response{}, err
	}
	sealed, err := e.Sealer.Seal(ctx, a.company, id, token)
	if err != nil {
		return response{}, err
	}
	record, err := e.record(ctx, a, id)
	if err != nil {
		return response{}, err
	}
	earlier, err := e.Store.CreateWebhook(ctx, a.toStore(id, sealed, now, e.Quota, record))
	switch {
	case err != nil:
		return response{}, err
	case earlier != nil:
		return e.repeat(ctx, a, *earlier)
	}
	return a.created(id, token), nil
}

// record is what is remembered of the request under its idempotency key, nil without one.
func (e *creating) record(ctx context.Context, a attempt, id string) (*webhook.IdempotencyRecord, error) {
	if a.key == nil {
		return nil, nil
	}
	hash, err := e.Sealer.HashBody(ctx, a.company, id, *a.key, a.body)
	return &webhook.IdempotencyRecord{Key: *a.key, BodyHash: hash}, err
}

func (a attempt) toStore(id string, sealed []byte, now time.Time, quota int, record *webhook.IdempotencyRecord) webhook.Creation {
	return webhook.Creation{
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
		Quota:       quota,
		Idempotency: record,
	}
}

// repeat gives the answer of an earlier creation again. It said what this request's body says,
// which is the same to the byte, and the token is the one stored then.
func (e *creating) repeat(ctx context.Context, a attempt, earlier webhook.EarlierCreation) (response, error) {
	same, err := e.Sealer.IsBody(ctx, earlier.BodyHash, a.company, earlier.WebhookID, *a.key, a.body)
	if err != nil {
		return response{}, err
	}
	if !same {
		return response{}, webhook.Errorf(webhook.KindConflict,
			"This \"Idempotency-Key\" was used with another body in the last %d hours.", idempotencyHours)
	}
	stored, err := e.Store.Webhook(ctx, a.company, earlier.WebhookID)
	if webhook.KindOf(err) == webhook.KindNotFound {
		return response{}, webhook.Errorf(webhook.KindConflict,
			"The webhook created with this \"Idempotency-Key\" has been deleted since.")
	}
	if err != nil {
		return response{}, err
	}
	token, err := e.Sealer.Open(ctx, a.company, stored.ID, stored.SealedToken)
	if err != nil {
		return response{}, err
	}
	return a.created(stored.ID, token), nil
}

const idempotencyHours = int(webhook.IdempotencyTTL / time.Hour)

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

// ids makes the ids of webhooks, each greater than the one before also within a millisecond, so
// that what one process makes is listed in the order of its making.
type ids struct {
	mu      sync.Mutex
	now     func() time.Time
	entropy *ulid.MonotonicEntropy
}

// next gives an id and the time that is in it, UTC, in milliseconds.
func (g *ids) next() (id string, at time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u, err := ulid.New(ulid.Timestamp(g.now()), g.entropy)
	if err != nil {
		return "", time.Time{}, err
	}
	return webhook.NewID(u.String()), u.Timestamp().UTC(), nil
}
