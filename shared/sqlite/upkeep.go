package sqlite

import (
	"context"
	"time"
)

// upkeepRows limits the rows that one step of [Store.Upkeep] changes.
const upkeepRows = 500

const (
	selectDeletedWebhooks = `SELECT number FROM deleted_webhooks ORDER BY number LIMIT 1`

	deleteDeliveriesOfWebhook = `
DELETE FROM deliveries WHERE number IN (SELECT number FROM deliveries WHERE webhook = ?1 LIMIT ?2 + 0)`

	deleteDeletedWebhook = `DELETE FROM deleted_webhooks WHERE number = ?1`

	// selectExpired reads deliveries of events before the number ?2. It examines the lanes whose first unfinished delivery is
	// one of them, and of each only the first ?3 deliveries.
	selectExpired = unfinishedLanes + `
SELECT d.number FROM lanes
CROSS JOIN webhooks AS w ON w.number = lanes.number AND w.disabled_reason = ''
CROSS JOIN deliveries AS d ON d.number IN
    (SELECT number FROM deliveries WHERE webhook = w.number AND due IS NOT NULL ORDER BY due, number LIMIT ?3 + 0)
WHERE (SELECT event FROM deliveries WHERE webhook = w.number AND due IS NOT NULL ORDER BY due, number LIMIT 1) < ?2
AND d.event < ?2 AND d.event >> 20 >= w.held_before LIMIT ?3 + 0`

	failDeliveries = `
UPDATE deliveries SET status = 2, due = NULL
WHERE number IN (SELECT value FROM json_each(?1)) AND due IS NOT NULL`

	selectOldEvents = `SELECT number FROM events WHERE number < ?1 ORDER BY number LIMIT ?2 + 0`

	// deleteOldDeliveries deletes up to ?3 deliveries of the events with the numbers from ?1 to ?2.
	deleteOldDeliveries = `
DELETE FROM deliveries WHERE number IN (
    SELECT d.number
    FROM (SELECT DISTINCT company FROM events WHERE number BETWEEN ?1 AND ?2) AS c
    CROSS JOIN webhooks AS w ON w.company = c.company
    CROSS JOIN deliveries AS d ON d.webhook = w.number AND d.event BETWEEN ?1 AND ?2
    LIMIT ?3 + 0
)`

	deleteOldEvents = `DELETE FROM events WHERE number BETWEEN ?1 AND ?2`
)

// Upkeep implements [webhook.Backlog].
func (s *Store) Upkeep(ctx context.Context, now, keepFrom time.Time) (more bool, err error) {
	for _, step := range []func() (bool, error){
		func() (bool, error) { return s.deleteOrphans(ctx) },
		func() (bool, error) { return s.deleteOld(ctx, keepFrom) },
		func() (bool, error) { return s.failExpired(ctx, now) },
	} {
		if more, err := step(); err != nil || more {
			return more, translate(err)
		}
	}
	return false, nil
}

// deleteOrphans deletes deliveries of a deleted webhook.
func (s *Store) deleteOrphans(ctx context.Context) (done bool, err error) {
	deleted, err := s.numbers(ctx, selectDeletedWebhooks)
	if err != nil || len(deleted) == 0 {
		return false, err
	}
	return true, s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		rows, err := tx.count(ctx, deleteDeliveriesOfWebhook, deleted[0], upkeepRows)
		if err != nil || rows == upkeepRows {
			return err
		}
		return tx.exec(ctx, deleteDeletedWebhook, deleted[0])
	})
}

// deleteOld deletes the deliveries of events that were accepted before a time, and then the events.
func (s *Store) deleteOld(ctx context.Context, keepFrom time.Time) (done bool, err error) {
	const maxEvents = upkeepRows / 10
	old, err := s.numbers(ctx, selectOldEvents, firstNumber(keepFrom), maxEvents)
	if err != nil || len(old) == 0 {
		return false, err
	}
	first, last := old[0], old[len(old)-1]
	return true, s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		rows, err := tx.count(ctx, deleteOldDeliveries, first, last, upkeepRows-maxEvents)
		if err != nil || rows == upkeepRows-maxEvents {
			return err
		}
		return tx.exec(ctx, deleteOldEvents, first, last)
	})
}

// failExpired marks deliveries that are too old as failed, in each lane in the order in which they are due. A delivery behind one
// that is not too old has to wait, but it is never attempted.
func (s *Store) failExpired(ctx context.Context, now time.Time) (done bool, err error) {
	expired, err := s.numbers(ctx, selectExpired, 0, firstLive(now), upkeepRows)
	if err != nil || len(expired) == 0 {
		return false, err
	}
	return true, s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		return tx.exec(ctx, failDeliveries, jsonArray(expired))
	})
}
