package sqlite

import (
	"context"
	"database/sql"
	"errors"

	"webhooks/shared/webhook"
)

const (
	selectNumber = `
SELECT d.number FROM webhooks AS w
CROSS JOIN events AS e ON e.id = ?3 AND e.company = ?1
CROSS JOIN deliveries AS d ON d.webhook = w.number AND d.event = e.number
WHERE w.company = ?1 AND w.id = ?2`

	selectAttempts = `SELECT attempts FROM deliveries WHERE number = ?1 AND made = ?2`

	updateDelivery = `
UPDATE deliveries SET status = ?3, due = ?4, step = ?5, made = made + 1, granted = 0, attempts = ?6
WHERE number = ?1 AND made = ?2 AND EXISTS (SELECT 1 FROM webhooks AS w WHERE w.number = deliveries.webhook)`
)

// Statuses as they are stored.
const (
	storedPending = iota
	storedDelivered
	storedFailed
)

// Record implements [webhook.DeliveryStore]. Outcomes that end at about the same time share a commit.
func (s *Store) Record(ctx context.Context, o webhook.Outcome) (bool, error) {
	var applied bool
	err := s.writes.changeSoon(ctx, func(ctx context.Context, tx *session) (err error) {
		applied, err = tx.record(ctx, &o)
		return err
	})
	if err != nil {
		return false, err // the writer may still write to applied
	}
	return applied, nil
}

// record stores an outcome and reports whether it was the first one for its attempt number.
func (s *session) record(ctx context.Context, o *webhook.Outcome) (applied bool, err error) {
	number, attempts := o.Number, []webhook.Attempt{o.Attempt}
	if number == 0 {
		err = s.scan(ctx, selectNumber, []any{o.Company, o.WebhookID, o.EventID}, &number)
	}
	if err == nil && o.Made > 0 {
		attempts, err = s.addAttempt(ctx, number, o)
	}
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	status, due := storedOutcome(o)
	applied, err = s.changed(ctx, updateDelivery, number, o.Made, status, due, o.Step, encodeAttempts(attempts))
	if err != nil || !applied || o.Lane == webhook.LaneUnchanged {
		return applied, err
	}
	return true, s.changeLane(ctx, number, o)
}

// addAttempt returns the latest attempts of a delivery, the last of which is the new one, or sql.ErrNoRows if the delivery has had
// another number of attempts.
func (s *session) addAttempt(ctx context.Context, number int64, o *webhook.Outcome) ([]webhook.Attempt, error) {
	var value []byte
	if err := s.scan(ctx, selectAttempts, []any{number, o.Made}, &value); err != nil {
		return nil, err
	}
	attempts, err := decodeAttempts(value, o.Made)
	if err != nil {
		return nil, err
	}
	attempts = append(attempts, o.Attempt)
	return attempts[max(0, len(attempts)-webhook.MaxAttempts):], nil
}

// storedOutcome returns the columns status and due.
func storedOutcome(o *webhook.Outcome) (status int, due any) {
	switch o.Status {
	case webhook.StatusDelivered:
		return storedDelivered, nil
	case webhook.StatusFailed:
		return storedFailed, nil
	default:
		return storedPending, millis(o.Due)
	}
}
