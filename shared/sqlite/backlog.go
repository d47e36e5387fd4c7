package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"webhooks/shared/webhook"
)

const (
	selectArrived = `
SELECT w.company, w.number, d.number, d.due FROM deliveries AS d CROSS JOIN webhooks AS w ON w.number = d.webhook
WHERE d.number > ?1 AND d.due IS NOT NULL
ORDER BY d.number LIMIT ?2 + 0`

	selectLastNumber = `SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'`

	// unfinishedLanes is a table of the webhooks after ?1 that have unfinished deliveries. Each takes one seek in the index.
	unfinishedLanes = `
WITH RECURSIVE lanes (number) AS (
    SELECT min(webhook) FROM deliveries WHERE due IS NOT NULL AND webhook > ?1
    UNION ALL
    SELECT (SELECT min(webhook) FROM deliveries WHERE due IS NOT NULL AND webhook > lanes.number)
    FROM lanes WHERE lanes.number IS NOT NULL
)`

	selectLanes = unfinishedLanes + `
SELECT w.company, w.number, 0, NULL FROM lanes CROSS JOIN webhooks AS w ON w.number = lanes.number LIMIT ?2 + 0`

	// selectDue leaves out events before the number ?2, which are too old, and those that are held.
	selectDue = `
SELECT w.company, w.number, d.number, d.due
FROM webhooks AS w CROSS JOIN deliveries AS d INDEXED BY deliveries_unfinished ON d.webhook = w.number AND d.due IS NOT NULL
WHERE w.number = ?1 AND w.disabled_reason = '' AND d.event >= ?2 AND d.event >> 20 >= w.held_before
ORDER BY d.due, d.number LIMIT ?3 + 0`

	// selectGranted reads one granted delivery of each webhook that has some. Each takes one seek in the index.
	selectGranted = `
WITH RECURSIVE lanes (number) AS (
    SELECT min(webhook) FROM deliveries WHERE granted = 1
    UNION ALL
    SELECT (SELECT min(webhook) FROM deliveries WHERE granted = 1 AND webhook > lanes.number)
    FROM lanes WHERE lanes.number IS NOT NULL
)
SELECT w.company, w.number, d.number, d.due
FROM lanes CROSS JOIN webhooks AS w ON w.number = lanes.number AND w.disabled_reason = ''
CROSS JOIN deliveries AS d ON d.number =
    (SELECT number FROM deliveries WHERE granted = 1 AND webhook = w.number ORDER BY webhook, number LIMIT 1)
LIMIT ?1 + 0`

	selectBacklogSize = `SELECT count(*), min(nullif(due, 0)) FROM deliveries WHERE due IS NOT NULL`
)

// Arrived implements [webhook.Backlog]. It leaves out finished deliveries.
func (s *Store) Arrived(ctx context.Context, after int64, limit int) ([]webhook.Pending, error) {
	return s.pending(ctx, selectArrived, limit, after, limit)
}

// LastNumber implements [webhook.Backlog].
func (s *Store) LastNumber(ctx context.Context) (int64, error) {
	var last int64
	err := s.reads.row(ctx, selectLastNumber).Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return last, translate(err)
}

// Lanes implements [webhook.Backlog].
func (s *Store) Lanes(ctx context.Context, after int64, limit int) ([]webhook.Pending, error) {
	return s.pending(ctx, selectLanes, limit, after, limit)
}

// Due implements [webhook.Backlog].
func (s *Store) Due(ctx context.Context, lane int64, limit int, now time.Time) ([]webhook.Pending, error) {
	return s.pending(ctx, selectDue, limit, lane, firstLive(now), limit)
}

// firstLive returns the lowest number of the events whose deliveries are not too old at a time.
func firstLive(now time.Time) int64 { return firstNumber(now.Add(time.Nanosecond - webhook.MaxAge)) }

// Granted implements [webhook.Backlog].
func (s *Store) Granted(ctx context.Context, limit int) ([]webhook.Pending, error) {
	return s.pending(ctx, selectGranted, limit, limit)
}

// pending runs a query that returns up to limit deliveries.
func (s *Store) pending(ctx context.Context, query string, limit int, args ...any) ([]webhook.Pending, error) {
	rows, err := s.reads.rows(ctx, query, args...)
	if err != nil {
		return nil, translate(err)
	}
	defer rows.Close()
	var found []webhook.Pending
	for rows.Next() {
		var p webhook.Pending
		var due sql.NullInt64
		if err := rows.Scan(&p.Company, &p.Lane, &p.Number, &due); err != nil {
			return nil, translate(err)
		}
		p.Due = timeAt(due.Int64)
		if found == nil {
			found = make([]webhook.Pending, 0, min(limit, 64))
		}
		found = append(found, p)
	}
	return found, translate(rows.Err())
}

// numbers runs a query that returns numbers.
func (s *Store) numbers(ctx context.Context, query string, args ...any) ([]int64, error) {
	rows, err := s.reads.rows(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var numbers []int64
	for rows.Next() {
		var number int64
		if err := rows.Scan(&number); err != nil {
			return nil, err
		}
		numbers = append(numbers, number)
	}
	return numbers, rows.Err()
}

// BacklogSize returns the number of unfinished deliveries, and the earliest time at which one of them is due. The time is zero if
// all of them wait for their lanes. Held deliveries count, and so do those that [Store.Upkeep] has not yet marked as failed or
// deleted. It reads the whole index of unfinished deliveries, so it is for metrics that are read every few seconds.
func (s *Store) BacklogSize(ctx context.Context) (pending int64, oldestDue time.Time, err error) {
	var earliest sql.NullInt64
	err = s.reads.row(ctx, selectBacklogSize).Scan(&pending, &earliest)
	return pending, timeAt(earliest.Int64), translate(err)
}
