package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"

	"webhooks/shared/webhook"
)

// Queries for moving a company to another store. They are rare and therefore not prepared.
const (
	selectAfter = `
SELECT id, name, description, url, events, sealed_token, version, created_at
FROM webhooks WHERE company = ?1 AND id > ?2 ORDER BY id LIMIT ?3`

	selectWebhookExists = `SELECT 1 FROM webhooks WHERE company = ?1 AND id = ?2`

	selectLevel = `SELECT name, description, added_at, hidden FROM event_types WHERE company = ?1`

	importType = `
INSERT INTO event_types (company, name, description, added_at, hidden) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (company, name) DO NOTHING`
)

// WebhooksAfter implements [webhook.Store].
func (s *Store) WebhooksAfter(ctx context.Context, company, after string, limit int) ([]webhook.Webhook, error) {
	rows, err := s.reads.db.QueryContext(ctx, selectAfter, company, after, limit)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var webhooks []webhook.Webhook
	for rows.Next() {
		w := webhook.Webhook{Company: company}
		if err := scanWebhook(rows, &w); err != nil {
			return nil, translate(err)
		}
		webhooks = append(webhooks, w)
	}
	return webhooks, translate(rows.Err())
}

// ImportWebhook implements [webhook.Store].
func (s *Store) ImportWebhook(ctx context.Context, w webhook.Webhook) error {
	row, err := newCreation(webhook.Creation{Webhook: w, Quota: math.MaxInt})
	if err != nil {
		return translate(err)
	}
	return s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		var found int
		switch err := tx.scan(ctx, selectWebhookExists, []any{row.company, row.id}, &found); {
		case err == nil:
			return webhook.WebhookExists(row.id)
		case !errors.Is(err, sql.ErrNoRows):
			return err
		}
		return row.store(ctx, tx)
	})
}

// AllEventTypes implements [webhook.Store].
func (s *Store) AllEventTypes(ctx context.Context, company string) ([]webhook.EventType, error) {
	rows, err := s.reads.db.QueryContext(ctx, selectLevel, company)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var types []webhook.EventType
	for rows.Next() {
		t := webhook.EventType{Company: company}
		var addedAt int64
		if err := rows.Scan(&t.Name, &t.Description, &addedAt, &t.Hidden); err != nil {
			return nil, translate(err)
		}
		t.AddedAt = time.UnixMilli(addedAt).UTC()
		types = append(types, t)
	}
	if err := rows.Err(); err != nil {
		return nil, translate(err)
	}
	return webhook.TypesByAge(types), nil
}

// ImportEventType implements [webhook.Store].
func (s *Store) ImportEventType(ctx context.Context, t webhook.EventType) error {
	return s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		stored, err := tx.changed(ctx, importType, t.Company, t.Name, t.Description, t.AddedAt.UnixMilli(), t.Hidden)
		if err == nil && !stored {
			return webhook.TypeExists(t.Name)
		}
		return err
	})
}
