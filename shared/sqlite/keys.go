package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

const (
	selectKeyByHash = `
SELECT hash, id, company, label, permissions, created_at, expires_at, revoked_at, last_used_on FROM api_keys
WHERE hash = ?1`

	selectKeys = `
SELECT hash, id, company, label, permissions, created_at, expires_at, revoked_at, last_used_on FROM api_keys
WHERE company = ?1 ORDER BY id`

	insertKey = `
INSERT INTO api_keys (hash, id, company, label, permissions, created_at, expires_at, revoked_at, last_used_on)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)`

	revokeKey = `UPDATE api_keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1`

	recordKeyUse = `
UPDATE api_keys SET last_used_on = ?2
WHERE hash = ?1 AND (last_used_on IS NULL OR last_used_on < ?2)`
)

// CreateKey implements [access.KeyStore].
func (s *Store) CreateKey(ctx context.Context, key access.Key) error {
	permissions, err := json.Marshal(key.Permissions)
	if err != nil {
		return translate(fmt.Errorf("storing the permissions of key %s: %w", key.ID, err))
	}
	return s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		return tx.exec(ctx, insertKey, key.Hash[:], key.ID, key.Company, key.Label, string(permissions),
			key.CreatedAt.UnixMilli(), optional(key.ExpiresAt), optional(key.RevokedAt), optional(key.LastUsedOn))
	})
}

// KeyByHash implements [access.KeyStore].
func (s *Store) KeyByHash(ctx context.Context, hash access.Hash) (access.Key, error) {
	key, err := scanKey(s.reads.row(ctx, selectKeyByHash, hash[:]))
	return key, translate(err)
}

// Keys implements [access.KeyStore].
func (s *Store) Keys(ctx context.Context, company string) ([]access.Key, error) {
	rows, err := s.reads.rows(ctx, selectKeys, company)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var keys []access.Key
	for rows.Next() {
		key, err := scanKey(rows)
		if err != nil {
			return nil, translate(err)
		}
		keys = append(keys, key)
	}
	return keys, translate(rows.Err())
}

// RevokeKey implements [access.KeyStore].
func (s *Store) RevokeKey(ctx context.Context, id string, at time.Time) error {
	return s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		found, err := tx.changed(ctx, revokeKey, id, at.UnixMilli())
		if err == nil && !found {
			return webhook.ErrNotFound
		}
		return err
	})
}

// RecordKeyUse implements [access.KeyStore].
func (s *Store) RecordKeyUse(ctx context.Context, hash access.Hash, day time.Time) error {
	return s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		return tx.exec(ctx, recordKeyUse, hash[:], day.UnixMilli())
	})
}

// scanKey reads a row with the columns of selectKeyByHash and selectKeys.
func scanKey(row scanner) (access.Key, error) {
	var key access.Key
	var hash, permissions []byte
	var createdAt int64
	var expiresAt, revokedAt, lastUsedOn sql.NullInt64
	err := row.Scan(&hash, &key.ID, &key.Company, &key.Label, &permissions, &createdAt, &expiresAt, &revokedAt, &lastUsedOn)
	if err != nil {
		return access.Key{}, err
	}
	if err := json.Unmarshal(permissions, &key.Permissions); err != nil {
		return access.Key{}, fmt.Errorf("reading the permissions of key %s: %w", key.ID, err)
	}
	copy(key.Hash[:], hash)
	key.CreatedAt = time.UnixMilli(createdAt).UTC()
	key.ExpiresAt, key.RevokedAt, key.LastUsedOn = timeOf(expiresAt), timeOf(revokedAt), timeOf(lastUsedOn)
	return key, nil
}

// optional returns the column value of a time that may be zero.
func optional(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMilli(), Valid: !t.IsZero()}
}

func timeOf(column sql.NullInt64) time.Time {
	if !column.Valid {
		return time.Time{}
	}
	return time.UnixMilli(column.Int64).UTC()
}
