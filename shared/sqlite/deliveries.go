package sqlite

import (
	"context"
	"database/sql"
	"math"
	"strconv"
	"strings"
	"time"

	"webhooks/shared/webhook"
)

const (
	selectLaneOfWebhook = `SELECT number, ` + laneColumns + ` FROM webhooks WHERE company = ?1 AND id = ?2`

	// selectDeliveries reads the deliveries of a webhook with events from ?2 to ?3, newest first.
	selectDeliveries = `
SELECT d.number, d.event, e.id, e.type, d.status, d.due, d.made, d.attempts
FROM deliveries AS d CROSS JOIN events AS e ON e.number = d.event
WHERE d.webhook = ?1 AND d.event BETWEEN ?2 AND ?3 ORDER BY d.event DESC LIMIT ?4 + 0`

	// selectEventDeliveries probes for a delivery of each of the company's webhooks.
	selectEventDeliveries = `
SELECT w.id, d.number, d.event, e.id, e.type, d.status, d.due, d.made, d.attempts, ` + laneColumns + `
FROM events AS e
CROSS JOIN webhooks AS w ON w.company = e.company AND w.id > ?3
CROSS JOIN deliveries AS d ON d.webhook = w.number AND d.event = e.number
WHERE e.id = ?2 AND e.company = ?1 ORDER BY w.id LIMIT ?4 + 0`

	grant = `UPDATE deliveries SET granted = 1 WHERE number = ?1`
)

// deliveryRow is a delivery as it is stored.
type deliveryRow struct {
	number, event int64
	eventID       string
	eventType     string
	status        int
	due           sql.NullInt64
	made          int
	attempts      []byte
}

// columns returns the destinations of the columns of a delivery.
func (r *deliveryRow) columns() []any {
	return []any{&r.number, &r.event, &r.eventID, &r.eventType, &r.status, &r.due, &r.made, &r.attempts}
}

// statusOf returns a stored status.
func statusOf(stored int) webhook.Status {
	switch stored {
	case storedDelivered:
		return webhook.StatusDelivered
	case storedFailed:
		return webhook.StatusFailed
	default:
		return webhook.StatusPending
	}
}

// statusAt returns the status of the delivery at a time.
func (r *deliveryRow) statusAt(l webhook.Lane, now time.Time) webhook.Status {
	return webhook.StatusOf(statusOf(r.status), l, acceptedAt(r.event), now)
}

// delivery returns the delivery as the API shows it at a time.
func (r *deliveryRow) delivery(company, webhookID string, l webhook.Lane, now time.Time) (webhook.Delivery, error) {
	attempts, err := decodeAttempts(r.attempts, r.made)
	if err != nil {
		return webhook.Delivery{}, err
	}
	d := webhook.Delivery{
		Ref: webhook.Ref{
			Company: company, WebhookID: webhookID, EventID: r.eventID,
			AcceptedAt: acceptedAt(r.event), Made: r.made, Number: r.number,
		},
		EventType: r.eventType,
		Status:    r.statusAt(l, now),
		Attempts:  attempts,
	}
	if due := timeAt(r.due.Int64); d.Status == webhook.StatusPending && !l.OpensAt().After(due) {
		d.Due = due
	}
	return d, nil
}

// EventDeliveries implements [webhook.DeliveryStore]. A cursor is the ID of the last webhook of the previous page.
func (s *Store) EventDeliveries(ctx context.Context, company, eventID, cursor string, limit int, now time.Time) (webhook.DeliveryPage, error) {
	if cursor != "" && !webhook.ValidID(cursor) {
		return webhook.DeliveryPage{}, webhook.InvalidCursor()
	}
	rows, err := s.reads.rows(ctx, selectEventDeliveries, company, eventID, cursor, limit+1)
	if err != nil {
		return webhook.DeliveryPage{}, translate(err)
	}
	defer rows.Close()
	var page webhook.DeliveryPage
	for rows.Next() {
		if len(page.Deliveries) == limit {
			page.Next = page.Deliveries[limit-1].WebhookID
			break
		}
		var webhookID string
		var row deliveryRow
		var lane laneRow
		if err := rows.Scan(lane.columns(append([]any{&webhookID}, row.columns()...)...)...); err != nil {
			return webhook.DeliveryPage{}, translate(err)
		}
		d, err := row.delivery(company, webhookID, lane.lane(), now)
		if err != nil {
			return webhook.DeliveryPage{}, translate(err)
		}
		page.Deliveries = append(page.Deliveries, d)
	}
	return page, translate(rows.Err())
}

// Deliveries implements [webhook.DeliveryStore]. A cursor is the number of the last event of the previous page, in base 36.
func (s *Store) Deliveries(ctx context.Context, q webhook.DeliveryQuery) (webhook.DeliveryPage, error) {
	first, last, err := eventRange(q)
	if err != nil {
		return webhook.DeliveryPage{}, err
	}
	var page webhook.DeliveryPage
	examined, latest := 0, int64(0)
	err = s.eachDelivery(ctx, q.Company, q.WebhookID, first, last, func(row *deliveryRow, l webhook.Lane) (bool, error) {
		if examined == webhook.MaxExamined || len(page.Deliveries) == q.Limit {
			page.Next = strconv.FormatInt(latest, 36)
			return false, nil
		}
		examined, latest = examined+1, row.event
		if q.Type != "" && q.Type != row.eventType || q.Status != "" && q.Status != row.statusAt(l, q.Now) {
			return true, nil
		}
		d, err := row.delivery(q.Company, q.WebhookID, l, q.Now)
		page.Deliveries = append(page.Deliveries, d)
		return true, err
	})
	if err != nil {
		return webhook.DeliveryPage{}, translate(err)
	}
	return page, nil
}

// eventRange returns the first and the last number of the events of a page, or an error if the cursor is invalid.
func eventRange(q webhook.DeliveryQuery) (first, last int64, err error) {
	last = math.MaxInt64
	if !q.From.IsZero() {
		first = firstNumber(q.From)
	}
	if !q.To.IsZero() {
		last = firstNumber(q.To) - 1
	}
	if q.Cursor == "" {
		return first, last, nil
	}
	before, err := strconv.ParseInt(q.Cursor, 36, 64)
	if err != nil || before <= 0 || strconv.FormatInt(before, 36) != q.Cursor {
		return 0, 0, webhook.InvalidCursor()
	}
	return first, min(last, before-1), nil
}

// eachDelivery calls do for the deliveries of a webhook in a range of events, newest first, until do returns false, and for at most
// [webhook.MaxExamined] + 1 of them. It returns sql.ErrNoRows if the webhook does not exist.
func (s *Store) eachDelivery(ctx context.Context, company, webhookID string, first, last int64, do func(*deliveryRow, webhook.Lane) (more bool, err error)) error {
	var number int64
	var lane laneRow
	if err := s.reads.row(ctx, selectLaneOfWebhook, company, webhookID).Scan(lane.columns(&number)...); err != nil {
		return err
	}
	rows, err := s.reads.rows(ctx, selectDeliveries, number, first, last, webhook.MaxExamined+1)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var row deliveryRow
		if err := rows.Scan(row.columns()...); err != nil {
			return err
		}
		if more, err := do(&row, lane.lane()); err != nil || !more {
			return err
		}
	}
	return rows.Err()
}

// Delivery implements [webhook.DeliveryStore].
func (s *Store) Delivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error) {
	millis, ok := millisOf(deliveryID)
	if !ok {
		return webhook.Delivery{}, webhook.ErrNotFound
	}
	first := millis << countBits
	var found *webhook.Delivery
	err := s.eachDelivery(ctx, company, webhookID, first, first|(1<<countBits-1), func(row *deliveryRow, l webhook.Lane) (bool, error) {
		d, err := row.delivery(company, webhookID, l, now)
		if err != nil || d.DeliveryID() != deliveryID {
			return true, err
		}
		found = &d
		return false, nil
	})
	if err == nil && found == nil {
		err = webhook.ErrNotFound
	}
	if err != nil {
		return webhook.Delivery{}, translate(err)
	}
	return *found, nil
}

// millisOf returns the time in a delivery ID, in milliseconds since 1970, or false if it is not the ID of a delivery that could be
// stored.
func millisOf(deliveryID string) (millis int64, ok bool) {
	const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ" // Crockford base32
	ulid, ok := strings.CutPrefix(deliveryID, "dlv_")
	if !ok || !webhook.ValidULID(ulid) {
		return 0, false
	}
	for _, digit := range ulid[:10] {
		millis = millis<<5 | int64(strings.IndexRune(alphabet, digit))
	}
	return millis, millis <= math.MaxInt64>>countBits
}

// RetryDelivery implements [webhook.DeliveryStore].
func (s *Store) RetryDelivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (webhook.Delivery, error) {
	d, err := s.Delivery(ctx, company, webhookID, deliveryID, now)
	if err != nil {
		return webhook.Delivery{}, err
	}
	err = s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		var number, version int64
		var lane laneRow
		if err := tx.scan(ctx, selectLaneOfDelivery, []any{d.Number}, lane.columns(&number, &version)...); err != nil {
			return err
		}
		if lane.disabledReason != "" {
			return webhook.WebhookDisabled()
		}
		tx.news = true
		return tx.exec(ctx, grant, d.Number)
	})
	if err != nil {
		return webhook.Delivery{}, err
	}
	return s.Delivery(ctx, company, webhookID, deliveryID, now)
}
