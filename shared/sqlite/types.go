package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

const (
	selectTypes = `
SELECT company, name, description, added_at FROM event_types
WHERE company IN ('', ?1) AND NOT hidden`

	selectAvailable = `
SELECT name FROM event_types
WHERE company IN ('', ?1) AND name IN (SELECT value FROM json_each(?2)) AND NOT hidden`

	// addType adds a type, makes a hidden one visible again, or changes the description of a visible one.
	addType = `
INSERT INTO event_types (company, name, description, added_at, hidden) VALUES (?1, ?2, ?3, ?4, 0)
ON CONFLICT (company, name) DO UPDATE SET
    description = CASE WHEN hidden OR excluded.description <> '' THEN excluded.description ELSE description END,
    added_at = CASE WHEN hidden THEN excluded.added_at ELSE added_at END,
    hidden = 0`

	hideType = `UPDATE event_types SET hidden = 1 WHERE company = ?1 AND name = ?2 AND NOT hidden`
)

// EventTypes implements [webhook.Store].
func (s *Store) EventTypes(ctx context.Context, company string) ([]webhook.EventType, error) {
	rows, err := s.reads.rows(ctx, selectTypes, company)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var platform, own []webhook.EventType
	for rows.Next() {
		var t webhook.EventType
		var addedAt int64
		if err := rows.Scan(&t.Company, &t.Name, &t.Description, &addedAt); err != nil {
			return nil, translate(err)
		}
		t.AddedAt = time.UnixMilli(addedAt).UTC()
		if t.Company == "" {
			platform = append(platform, t)
		} else {
			own = append(own, t)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, translate(err)
	}
	return webhook.AvailableTypes(platform, own), nil
}

// AddEventType implements [webhook.Store].
func (s *Store) AddEventType(ctx context.Context, t webhook.EventType) error {
	return s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		return tx.exec(ctx, addType, t.Company, t.Name, t.Description, t.AddedAt.UnixMilli())
	})
}

// RemoveEventType implements [webhook.Store].
func (s *Store) RemoveEventType(ctx context.Context, company, name string) error {
	return s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		found, err := tx.changed(ctx, hideType, company, name)
		if err == nil && !found {
			return webhook.ErrNotFound
		}
		return err
	})
}

// available returns the names that a company can subscribe to, possibly with duplicates.
func (s *Store) available(ctx context.Context, company string, names []string) ([]string, error) {
	// Leave out invalid names, because JSON might not preserve them.
	names = slices.DeleteFunc(slices.Clone(names), func(name string) bool { return !webhook.StorableEventTypeName(name) })
	if len(names) == 0 {
		return nil, nil
	}
	asJSON, err := json.Marshal(names)
	if err != nil {
		return nil, translate(fmt.Errorf("looking for event types: %w", err))
	}
	rows, err := s.reads.rows(ctx, selectAvailable, company, string(asJSON))
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var available []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, translate(err)
		}
		available = append(available, name)
	}
	return available, translate(rows.Err())
}
