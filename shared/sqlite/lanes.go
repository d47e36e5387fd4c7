package sqlite

import (
	"context"
	"encoding/json"
	"time"

	"webhooks/shared/webhook"
)

const (
	// laneColumns are the columns of a lane, in the table webhooks.
	laneColumns = `failures, first_failure, failing_since, probe_at, probes, paused_until, disabled_reason, held_before`

	// packedLane is a lane as one value, a JSON array of laneColumns, or NULL for a new one. That is what almost all of them are, and
	// reading one column takes much less time than reading eight.
	packedLane = `
CASE WHEN failures OR first_failure OR failing_since OR probe_at OR probes OR paused_until OR disabled_reason <> '' OR held_before
THEN json_array(` + laneColumns + `) END`

	selectLane = `
SELECT id, name, description, url, events, x'', version, created_at, ` + laneColumns + `
FROM webhooks WHERE company = ?1 AND id = ?2`

	selectLaneOfDelivery = `
SELECT w.number, version, ` + laneColumns + `
FROM deliveries AS d JOIN webhooks AS w ON w.number = d.webhook WHERE d.number = ?1`

	updateLane = `
UPDATE webhooks SET failures = ?2, first_failure = ?3, failing_since = ?4, probe_at = ?5, probes = ?6, paused_until = ?7,
    disabled_reason = ?8, held_before = ?9
WHERE number = ?1`
)

// laneRow has the values of laneColumns.
type laneRow struct {
	failures, firstFailure, failingSince, probeAt, probes, pausedUntil int64
	disabledReason                                                     string
	heldBefore                                                         int64
}

// columns returns dest and the destinations of laneColumns.
func (r *laneRow) columns(dest ...any) []any {
	return append(dest, &r.failures, &r.firstFailure, &r.failingSince, &r.probeAt, &r.probes, &r.pausedUntil,
		&r.disabledReason, &r.heldBefore)
}

// unpack reads a value of packedLane.
func (r *laneRow) unpack(packed []byte) error {
	*r = laneRow{}
	if packed == nil {
		return nil
	}
	columns := r.columns()
	return json.Unmarshal(packed, &columns)
}

func (r *laneRow) lane() webhook.Lane {
	return webhook.Lane{
		Failures: int(r.failures), FirstFailure: timeAt(r.firstFailure),
		FailingSince: timeAt(r.failingSince), ProbeAt: timeAt(r.probeAt), Probes: int(r.probes),
		PausedUntil: timeAt(r.pausedUntil), DisabledReason: r.disabledReason, HeldBefore: timeAt(r.heldBefore),
	}
}

// Lane implements [webhook.DeliveryStore].
func (s *Store) Lane(ctx context.Context, company, id string) (webhook.Webhook, webhook.Lane, error) {
	w := webhook.Webhook{Company: company}
	var lane laneRow
	if err := scanWebhook(withLane{s.reads.row(ctx, selectLane, company, id), &lane}, &w); err != nil {
		return webhook.Webhook{}, webhook.Lane{}, translate(err)
	}
	w.SealedToken = nil
	return w, lane.lane(), nil
}

// withLane is a row with laneColumns after the columns that [scanWebhook] reads.
type withLane struct {
	row  scanner
	lane *laneRow
}

// Scan reads the columns and those of the lane.
func (r withLane) Scan(dest ...any) error { return r.row.Scan(r.lane.columns(dest...)...) }

// changeLane applies the change of an outcome to the lane of a delivery's webhook.
func (s *session) changeLane(ctx context.Context, delivery int64, o *webhook.Outcome) error {
	var number, version int64
	var row laneRow
	if err := s.scan(ctx, selectLaneOfDelivery, []any{delivery}, row.columns(&number, &version)...); err != nil {
		return err
	}
	if version != o.WebhookVersion {
		return nil
	}
	l := row.lane().Apply(o.Lane, o.Attempt.Ended(), o.PausedUntil)
	return s.exec(ctx, updateLane, number, l.Failures, millis(l.FirstFailure), millis(l.FailingSince), millis(l.ProbeAt),
		l.Probes, millis(l.PausedUntil), l.DisabledReason, millis(l.HeldBefore))
}

// millis returns the column value of a time that may be zero.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// timeAt returns the time of a column value, or the zero time for 0.
func timeAt(millis int64) time.Time {
	if millis == 0 {
		return time.Time{}
	}
	return time.UnixMilli(millis).UTC()
}
