package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

const (
	// selectState returns one row: the company's count, and the earlier creation if its record has not expired.
	selectState = `
SELECT coalesce((SELECT webhooks FROM counters WHERE company = ?1), 0), earlier.body_hash, earlier.webhook_id
FROM (SELECT 1) LEFT JOIN idempotency_records AS earlier
ON earlier.company = ?1 AND earlier.key = ?2 AND earlier.expires_at > ?3`

	selectEarlier = `
SELECT body_hash, webhook_id FROM idempotency_records
WHERE company = ?1 AND key = ?2 AND expires_at > ?3`

	// countUp changes no row if the count has reached the quota.
	countUp = `
INSERT INTO counters (company, webhooks) SELECT ?1, 1 WHERE ?2 > 0
ON CONFLICT (company) DO UPDATE SET webhooks = webhooks + 1 WHERE webhooks < ?2`

	insertWebhook = `
INSERT INTO webhooks (company, id, name, description, url, events, sealed_token, version, created_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`

	insertSubscriptions = `
INSERT INTO subscriptions (company, event_type, webhook) SELECT ?1, value, ?2 FROM json_each(?3)`

	replaceRecord = `
REPLACE INTO idempotency_records (company, key, body_hash, webhook_id, expires_at)
VALUES (?1, ?2, ?3, ?4, ?5)`

	// deleteExpired runs for every record that is added, so deleting two is enough to keep up.
	deleteExpired = `
DELETE FROM idempotency_records WHERE (company, key) IN
(SELECT company, key FROM idempotency_records WHERE expires_at <= ?1 ORDER BY expires_at LIMIT 2)`
)

// PrepareCreation implements [webhook.Store].
func (s *Store) PrepareCreation(ctx context.Context, q webhook.CreationQuery) (webhook.CreationState, error) {
	var state webhook.CreationState
	var key, bodyHash []byte
	var webhookID sql.NullString
	if q.Key != nil {
		key = q.Key[:]
	}
	row := s.reads.row(ctx, selectState, q.Company, key, q.Now.UnixMilli())
	if err := row.Scan(&state.Count, &bodyHash, &webhookID); err != nil {
		return webhook.CreationState{}, translate(err)
	}
	if webhookID.Valid {
		state.Earlier = &webhook.EarlierCreation{WebhookID: webhookID.String}
		copy(state.Earlier.BodyHash[:], bodyHash)
	}
	available, err := s.available(ctx, q.Company, q.Events)
	if err != nil {
		return webhook.CreationState{}, err
	}
	for _, event := range q.Events {
		if !slices.Contains(available, event) {
			state.Unavailable = append(state.Unavailable, event)
		}
	}
	return state, nil
}

// creation holds the column values of a creation. It shares no memory with the caller.
type creation struct {
	company, id, name, description, url, events string
	sealedToken                                 []byte
	version, createdAt                          int64
	quota                                       int
	key, bodyHash                               []byte // nil without an idempotency record
	expiresAt                                   int64
}

func newCreation(c webhook.Creation) (creation, error) {
	w := c.Webhook
	events, err := json.Marshal(w.Events)
	if err != nil {
		return creation{}, fmt.Errorf("storing the events of webhook %s: %w", w.ID, err)
	}
	row := creation{
		company: w.Company, id: w.ID, name: w.Name, description: w.Description, url: w.URL,
		events: string(events), sealedToken: slices.Clone(w.SealedToken),
		version: w.Version, createdAt: w.CreatedAt.UnixMilli(), quota: c.Quota,
	}
	if r := c.Idempotency; r != nil {
		row.key, row.bodyHash = slices.Clone(r.Key[:]), slices.Clone(r.BodyHash[:])
		row.expiresAt = w.CreatedAt.Add(webhook.IdempotencyTTL).UnixMilli()
	}
	return row, nil
}

// CreateWebhook implements [webhook.Store].
func (s *Store) CreateWebhook(ctx context.Context, c webhook.Creation) (*webhook.EarlierCreation, error) {
	row, err := newCreation(c)
	if err != nil {
		return nil, translate(err)
	}
	now := s.now()
	var earlier *webhook.EarlierCreation
	err = s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		var err error
		if earlier, err = row.earlier(ctx, tx); err != nil || earlier != nil {
			return err
		}
		if err := row.store(ctx, tx); err != nil || row.key == nil {
			return err
		}
		return row.remember(ctx, tx, now)
	})
	if err != nil {
		return nil, err // the writer may still write to earlier
	}
	return earlier, nil
}

// earlier returns the earlier creation with the same idempotency key, or nil if there is none or its record has expired.
func (c *creation) earlier(ctx context.Context, tx *session) (*webhook.EarlierCreation, error) {
	if c.key == nil {
		return nil, nil
	}
	var found webhook.EarlierCreation
	var bodyHash []byte
	err := tx.scan(ctx, selectEarlier, []any{c.company, c.key, c.createdAt}, &bodyHash, &found.WebhookID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	copy(found.BodyHash[:], bodyHash)
	return &found, err
}

// store counts and stores the webhook with its subscriptions, unless the quota is reached.
func (c *creation) store(ctx context.Context, tx *session) error {
	counted, err := tx.changed(ctx, countUp, c.company, c.quota)
	if err != nil {
		return err
	}
	if !counted {
		return webhook.QuotaReached(c.quota)
	}
	number, _, err := tx.insert(ctx, insertWebhook, c.company, c.id, c.name, c.description, c.url, c.events,
		c.sealedToken, c.version, c.createdAt)
	if err != nil {
		return err
	}
	return tx.exec(ctx, insertSubscriptions, c.company, number, c.events)
}

// remember stores the idempotency record, replacing an expired one, and deletes a few others that have expired according to
// this machine's clock.
func (c *creation) remember(ctx context.Context, tx *session, now time.Time) error {
	if err := tx.exec(ctx, replaceRecord, c.company, c.key, c.bodyHash, c.id, c.expiresAt); err != nil {
		return err
	}
	return tx.exec(ctx, deleteExpired, now.UnixMilli())
}
