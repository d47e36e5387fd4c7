package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"strconv"
	"time"

	"webhooks/shared/webhook"
)

const (
	// selectWork reads the deliveries with the numbers in a JSON array.
	selectWork = `
SELECT d.number, d.event, d.status, d.due, d.step, d.made, d.granted,
    w.company, w.id, w.url, w.sealed_token, w.version, ` + packedLane + `
FROM json_each(?1) AS wanted
CROSS JOIN deliveries AS d ON d.number = wanted.value
CROSS JOIN webhooks AS w ON w.number = d.webhook`

	// selectBodies reads the events with the numbers in a JSON array.
	selectBodies = `
SELECT e.number, e.id, e.company, e.type, e.key, e.timestamp, e.body
FROM json_each(?1) AS wanted CROSS JOIN events AS e ON e.number = wanted.value`
)

// Work implements [webhook.DeliveryStore].
func (s *Store) Work(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Work, error) {
	numbers, made, err := s.resolve(ctx, refs)
	if err != nil {
		return nil, translate(err)
	}
	works, events, err := s.readWork(ctx, numbers, made, now)
	if err != nil || len(works) == 0 {
		return nil, translate(err)
	}
	bodies, err := s.readEvents(ctx, events)
	if err != nil {
		return nil, translate(err)
	}
	complete := works[:0]
	for i, w := range works {
		if e, ok := bodies[events[i]]; ok {
			w.Event, w.EventID = e, e.ID
			complete = append(complete, w)
		}
	}
	return complete, nil
}

// resolve returns the numbers of deliveries, and the expected numbers of attempts of those that are identified by other fields.
func (s *Store) resolve(ctx context.Context, refs []webhook.Ref) (numbers []int64, made map[int64]int, err error) {
	numbers = make([]int64, 0, len(refs))
	for _, r := range refs {
		if r.Number != 0 {
			numbers = append(numbers, r.Number)
			continue
		}
		var number int64
		err := s.reads.row(ctx, selectNumber, r.Company, r.WebhookID, r.EventID).Scan(&number)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if made == nil {
			made = make(map[int64]int)
		}
		numbers, made[number] = append(numbers, number), r.Made
	}
	return numbers, made, nil
}

// readWork returns the work of deliveries that are to be attempted, without the events, and the numbers of the events.
func (s *Store) readWork(ctx context.Context, numbers []int64, made map[int64]int, now time.Time) (works []webhook.Work, events []int64, err error) {
	rows, err := s.reads.rows(ctx, selectWork, jsonArray(numbers))
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	works, events = make([]webhook.Work, 0, len(numbers)), make([]int64, 0, len(numbers))
	var row deliveryRow
	var lane laneRow
	var packed sql.RawBytes
	var w webhook.Work
	columns := []any{
		&w.Number, &row.event, &row.status, &row.due, &w.Step, &w.Made, &w.Granted,
		&w.Webhook.Company, &w.Webhook.ID, &w.Webhook.URL, &w.Webhook.SealedToken, &w.Webhook.Version, &packed,
	}
	for rows.Next() {
		if err := rows.Scan(columns...); err != nil {
			return nil, nil, err
		}
		if err := lane.unpack(packed); err != nil {
			return nil, nil, err
		}
		w.Lane = lane.lane()
		if expected, ok := made[w.Number]; ok && expected != w.Made || !mayBeAttempted(&w, row.statusAt(w.Lane, now)) {
			continue
		}
		w.Company, w.WebhookID, w.AcceptedAt = w.Webhook.Company, w.Webhook.ID, acceptedAt(row.event)
		w.Status, w.Due = row.statusAt(webhook.Lane{}, now), timeAt(row.due.Int64)
		works, events = append(works, w), append(events, row.event)
	}
	return works, events, rows.Err()
}

// mayBeAttempted reports whether a delivery with a status is to be attempted.
func mayBeAttempted(w *webhook.Work, status webhook.Status) bool {
	if w.Granted {
		return w.Lane.DisabledReason == ""
	}
	return status == webhook.StatusPending
}

// readEvents returns the events with some numbers, each of which may occur several times.
func (s *Store) readEvents(ctx context.Context, numbers []int64) (map[int64]webhook.Event, error) {
	events := make(map[int64]webhook.Event, len(numbers))
	distinct := make([]int64, 0, len(numbers))
	for _, number := range numbers {
		if _, ok := events[number]; !ok {
			events[number] = webhook.Event{}
			distinct = append(distinct, number)
		}
	}
	clear(events)
	rows, err := s.reads.rows(ctx, selectBodies, jsonArray(distinct))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var e webhook.Event
		var number, timestamp int64
		if err := rows.Scan(&number, &e.ID, &e.Company, &e.Type, &e.Key, &timestamp, &e.Body); err != nil {
			return nil, err
		}
		e.Timestamp, e.AcceptedAt = time.UnixMilli(timestamp).UTC(), acceptedAt(number)
		events[number] = e
	}
	return events, rows.Err()
}

// jsonArray returns numbers as a JSON array, which is how a query can take any number of them.
func jsonArray(numbers []int64) string {
	text := make([]byte, 0, 2+12*len(numbers))
	text = append(text, '[')
	for i, number := range numbers {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, number, 10)
	}
	return string(append(text, ']'))
}
