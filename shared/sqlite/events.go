package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"time"

	"webhooks/shared/webhook"
)

const (
	// maxFanOut limits the deliveries that one transaction inserts, apart from one for each event. Thousands would delay all other
	// changes.
	maxFanOut = 1000

	// fanOutTurn limits the deliveries that [Store.FanOut] inserts for a company before it is the next one's turn.
	fanOutTurn = 100

	// insertEvent takes the first free number of the millisecond, whose first and last number are ?1 and ?2.
	insertEvent = `
INSERT INTO events (number, id, company, type, key, timestamp, sent, body)
VALUES (coalesce((SELECT max(number) + 1 FROM events WHERE number BETWEEN ?1 AND ?2), ?1), ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (id) DO NOTHING`

	insertDeliveries = `
INSERT INTO deliveries (webhook, event, due)
SELECT webhook, ?1, ?2 FROM subscriptions
WHERE company = ?3 AND event_type = ?4 AND webhook > ?5 AND webhook <= ?6 ORDER BY webhook LIMIT ?7 + 0`

	selectLastOfEvent = `SELECT webhook FROM deliveries WHERE number = ?1`

	selectLastWebhook = `SELECT max(number) FROM webhooks`

	setFanOut = `UPDATE events SET fan_out_at = ?2, fan_out_end = ?3 WHERE number = ?1`

	// selectToFanOut reads the oldest event of the first company after ?1 that has one.
	selectToFanOut = `
SELECT number, company, type, fan_out_at, fan_out_end FROM events
WHERE fan_out_end IS NOT NULL AND company > ?1 ORDER BY company, number LIMIT 1`

	selectAnyToFanOut = `SELECT EXISTS (SELECT 1 FROM events WHERE fan_out_end IS NOT NULL)`

	selectSent = `SELECT company, sent FROM events WHERE id = ?1`

	selectTypeKnown = `
SELECT EXISTS (SELECT 1 FROM subscriptions WHERE company = ?1 AND event_type = ?2)
OR EXISTS (SELECT 1 FROM event_types WHERE company IN ('', ?1) AND name = ?2 AND NOT hidden)`

	selectEvent = `SELECT number, type, key, timestamp, body FROM events WHERE id = ?2 AND company = ?1`
)

// countBits is how many of the lower bits of an event's number count the events of a millisecond.
const countBits = 20

// firstNumber returns the lowest number of the events that were accepted at a time or later.
func firstNumber(t time.Time) int64 {
	millis := t.UnixMilli()
	if t.After(time.UnixMilli(millis)) {
		millis++
	}
	return min(max(millis, 0), math.MaxInt64>>countBits) << countBits
}

// acceptedAt returns when the event with a number was accepted.
func acceptedAt(number int64) time.Time { return time.UnixMilli(number >> countBits).UTC() }

// AcceptEvents implements [webhook.DeliveryStore].
func (s *Store) AcceptEvents(ctx context.Context, events []webhook.NewEvent) ([]bool, error) {
	const page = 4096 // bytes
	events = slices.Clone(events)
	size := 0
	for i := range events {
		events[i].Body = append([]byte{}, events[i].Body...) // nil would be NULL
		size += 1 + len(events[i].Body)/page
	}
	var replayed []bool
	accept := func(ctx context.Context, tx *session) error {
		replayed = make([]bool, len(events))
		var conflict error
		for i := range events {
			var err error
			replayed[i], err = tx.accept(ctx, &events[i])
			switch webhook.KindOf(err) {
			case webhook.KindUnprocessable:
				return &webhook.EventError{Index: i, Err: err}
			case webhook.KindConflict:
				if conflict == nil {
					conflict = &webhook.EventError{Index: i, Err: err}
				}
			default:
				if err != nil {
					return err
				}
			}
		}
		return conflict
	}
	leave, err := s.published.enter(ctx, publisher(events), size)
	if err != nil {
		return nil, translate(err)
	}
	defer leave()
	if err := s.writes.changeMany(ctx, size, accept); err != nil {
		return nil, err // the writer may still write to replayed
	}
	return replayed, nil
}

// accept stores an event with its deliveries, unless it is already stored.
func (s *session) accept(ctx context.Context, e *webhook.NewEvent) (replayed bool, err error) {
	first := firstNumber(e.AcceptedAt.Truncate(time.Millisecond))
	number, inserted, err := s.insert(ctx, insertEvent, first, first|(1<<countBits-1), e.ID, e.Company, e.Type, e.Key,
		e.Timestamp.UnixMilli(), e.Sent[:], e.Body)
	if err != nil {
		return false, err
	}
	if inserted == 0 {
		return true, s.checkReplay(ctx, e)
	}
	f := fanOut{number: number, company: e.Company, eventType: e.Type, end: math.MaxInt64}
	deliveries, complete, err := s.fanOut(ctx, &f, s.room)
	switch {
	case err != nil:
		return false, err
	case !complete:
		if err := s.scan(ctx, selectLastWebhook, nil, &f.end); err != nil {
			return false, err
		}
		return false, s.exec(ctx, setFanOut, number, f.at, f.end)
	case deliveries == 0:
		return false, s.checkType(ctx, e)
	}
	return false, nil
}

// checkReplay returns an error if the stored event with the ID of e is a different one.
func (s *session) checkReplay(ctx context.Context, e *webhook.NewEvent) error {
	if err := s.checkType(ctx, e); err != nil {
		return err
	}
	var company string
	var sent []byte
	if err := s.scan(ctx, selectSent, []any{e.ID}, &company, &sent); err != nil {
		return err
	}
	if company != e.Company || !bytes.Equal(sent, e.Sent[:]) {
		return webhook.KeyUsed()
	}
	return nil
}

// checkType returns an error if the company does not have the type of e.
func (s *session) checkType(ctx context.Context, e *webhook.NewEvent) error {
	var known bool
	if err := s.scan(ctx, selectTypeKnown, []any{e.Company, e.Type}, &known); err != nil {
		return err
	}
	if !known {
		return webhook.TypeUnavailable()
	}
	return nil
}

// fanOut is an event that may not have all of its deliveries yet.
type fanOut struct {
	number             int64
	company, eventType string
	at, end            int64 // webhooks after at and up to end have no delivery yet
}

// fanOut inserts up to limit deliveries of an event, but at least one if there is one. It returns how many, and whether that
// completes the fan-out. If not, it moves f.at.
func (s *session) fanOut(ctx context.Context, f *fanOut, limit int64) (inserted int64, complete bool, err error) {
	limit = max(limit, 1)
	last, inserted, err := s.insert(ctx, insertDeliveries, f.number, f.number>>countBits, f.company, f.eventType, f.at, f.end, limit)
	if err != nil {
		return 0, false, err
	}
	s.room -= inserted
	s.news = true
	if inserted < limit {
		return inserted, true, nil
	}
	return inserted, false, s.scan(ctx, selectLastOfEvent, []any{last}, &f.at)
}

// FanOut implements [webhook.Backlog].
func (s *Store) FanOut(ctx context.Context) (continued bool, err error) {
	if err := s.reads.row(ctx, selectAnyToFanOut).Scan(&continued); err != nil || !continued {
		return false, translate(err)
	}
	err = s.writes.change(ctx, func(ctx context.Context, tx *session) error {
		for tx.room > 0 {
			if more, err := tx.continueFanOut(ctx); err != nil || !more {
				return err
			}
		}
		return nil
	})
	return err == nil, err
}

// continueFanOut continues with the oldest event of a company that does not have all of its deliveries, or returns false if there is
// none. Companies take turns.
func (s *session) continueFanOut(ctx context.Context) (found bool, err error) {
	var f fanOut
	for _, after := range []string{s.fannedOut, ""} {
		err = s.scan(ctx, selectToFanOut, []any{after}, &f.number, &f.company, &f.eventType, &f.at, &f.end)
		if !errors.Is(err, sql.ErrNoRows) {
			break
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	s.fannedOut = f.company
	_, complete, err := s.fanOut(ctx, &f, min(s.room, fanOutTurn))
	if err != nil {
		return false, err
	}
	if complete {
		return true, s.exec(ctx, setFanOut, f.number, nil, nil)
	}
	return true, s.exec(ctx, setFanOut, f.number, f.at, f.end)
}

// Event implements [webhook.DeliveryStore].
func (s *Store) Event(ctx context.Context, company, id string) (webhook.Event, error) {
	e := webhook.Event{Company: company, ID: id}
	var number, timestamp int64
	err := s.reads.row(ctx, selectEvent, company, id).Scan(&number, &e.Type, &e.Key, &timestamp, &e.Body)
	if err != nil {
		return webhook.Event{}, translate(err)
	}
	e.Timestamp, e.AcceptedAt = time.UnixMilli(timestamp).UTC(), acceptedAt(number)
	return e, nil
}
