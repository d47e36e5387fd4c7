package webhook

import (
	"context"
	"crypto/sha256"
	"time"
)

// DeliveryStore is the contract of storage for events and their deliveries. The conformance suite in webhooktest checks it for
// every implementation. What [Store] says about all methods also applies here. Times are in UTC, in milliseconds, and "now" is
// the caller's clock.
//
// A delivery exists from when its event has been fanned out to its webhook until the webhook is deleted or the event's retention
// ends. An attempt of it can be repeated after a crash, but only one outcome of each attempt number is ever recorded.
type DeliveryStore interface {
	// AcceptEvents stores events, up to 100 with different IDs, each with a delivery, due at AcceptedAt, for every webhook of
	// its company that subscribes to its type at this moment. It may complete the fan-out of an event later, but then the event
	// is already durable, and so is where to continue. It returns, for each event, whether it was already stored: with the same
	// ID and the same Sent. It does not change those events.
	//
	// If an event cannot be accepted, it stores none of them and returns an [*EventError]: of [KindUnprocessable] for the first
	// one whose type is neither visible to the company nor subscribed to by any of its webhooks, or else of [KindConflict] for
	// the first one whose ID is stored with another Sent. If it returns [KindUnavailable], it may have stored some of them;
	// repeating the call is safe if the IDs are the same.
	AcceptEvents(ctx context.Context, events []NewEvent) (replayed []bool, err error)

	// Event returns one event, or [ErrNotFound]. id may be any string.
	Event(ctx context.Context, company, id string) (Event, error)

	// EventDeliveries returns up to limit (1 to 100) deliveries of an event, ascending by webhook ID: those after a cursor
	// that was returned before, or the first ones if the cursor is empty. The page is empty if the event does not exist. Any
	// other cursor returns [KindInvalid] or is ignored.
	EventDeliveries(ctx context.Context, company, eventID, cursor string, limit int, now time.Time) (DeliveryPage, error)

	// Deliveries returns one page of a webhook's deliveries, newest first, or [ErrNotFound] if the webhook does not exist.
	// The order of events accepted in the same millisecond is unspecified but stable. It examines at most [MaxExamined]
	// deliveries, so a page may be short, or empty, although there are more.
	Deliveries(ctx context.Context, q DeliveryQuery) (DeliveryPage, error)

	// Delivery returns one delivery, or [ErrNotFound]. The IDs may be any strings. A store that has no [Backlog] may find a
	// delivery, here and in Deliveries and RetryDelivery, only after its first outcome was recorded.
	Delivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (Delivery, error)

	// RetryDelivery grants one attempt now, in addition to the schedule, and returns the delivery. The grant names the next
	// attempt number: any outcome recorded for that number uses it up, and repeating the call before then has no effect. It
	// returns [ErrNotFound], or [KindConflict] if the webhook is disabled.
	RetryDelivery(ctx context.Context, company, webhookID, deliveryID string, now time.Time) (Delivery, error)

	// Lane returns a webhook, without its token, with its lane, or [ErrNotFound]. id may be any string.
	Lane(ctx context.Context, company, id string) (Webhook, Lane, error)

	// Work returns what is needed to attempt deliveries, up to 100, in any order. It omits deliveries that must not be
	// attempted: the delivery, its webhook or its event does not exist, the number of attempts differs from the Ref's, or the
	// delivery has finished, is held, or is older than [MaxAge]. A grant allows an attempt in any of the last three cases unless
	// the webhook is disabled. Work does not consider when deliveries are due, or whether the lane is paused or failing. If a
	// Ref has a Number, its other fields are ignored, including the number of attempts.
	//
	// The Webhook has its ID, Company, URL, SealedToken and Version; its other fields may be empty. Works of one event may
	// share its body, which must not be modified.
	Work(ctx context.Context, refs []Ref, now time.Time) ([]Work, error)

	// Record applies an outcome: the attempt, the delivery's status, step and due time, and the change of the lane. It calls
	// [Lane.Apply] on the stored lane, with the time at which the attempt ended. It reports whether it applied the outcome: if
	// the delivery or its webhook does not exist, or another outcome was recorded for that attempt number, it changes nothing.
	// It does not change the lane if the webhook's version differs from the outcome's.
	//
	// A store that has no [Backlog] can assume that Work has returned the delivery. If its webhook was deleted since, what it stores,
	// and whether it reports it, does not matter, because nothing returns it.
	Record(ctx context.Context, o Outcome) (applied bool, err error)
}

// Backlog is the part of a store on one host that finds due work for the one process that delivers. It identifies lanes and
// deliveries by numbers, which are positive and never reused. The suite in webhooktest also checks it.
type Backlog interface {
	// Arrived returns up to limit deliveries with numbers greater than after, ascending. A new delivery has a higher number than
	// every delivery that was visible before. Deleted deliveries are omitted, and finished ones may be.
	Arrived(ctx context.Context, after int64, limit int) ([]Pending, error)

	// LastNumber returns the number after which the next delivery will arrive.
	LastNumber(ctx context.Context) (int64, error)

	// Lanes returns up to limit lanes that have unfinished deliveries and numbers greater than after, ascending. It sets only the
	// fields Company and Lane.
	Lanes(ctx context.Context, after int64, limit int) ([]Pending, error)

	// Due returns up to limit unfinished deliveries of a lane: first those that wait for the lane, and then by due time, with
	// ties by number. It omits deliveries that are held or older than [MaxAge]. A lane that does not exist has none.
	Due(ctx context.Context, lane int64, limit int, now time.Time) ([]Pending, error)

	// Granted returns, for up to limit lanes with numbers greater than after, ascending, the lane's first delivery by number with
	// an unused grant. It omits disabled and deleted webhooks. It returns one delivery per lane, so a webhook for which many
	// retries are requested does not delay the others.
	Granted(ctx context.Context, after int64, limit int) ([]Pending, error)

	// FanOut continues the fan-out of events for which AcceptEvents did not complete it, in one limited transaction, and
	// reports whether there was something to do. Then there may be more.
	FanOut(ctx context.Context) (continued bool, err error)

	// Upkeep does one small step of the work that can wait, and reports whether there may be more: it marks unfinished
	// deliveries older than [MaxAge] as failed unless they are held, deletes the deliveries of deleted webhooks, and deletes
	// events accepted before keepFrom, with their deliveries.
	Upkeep(ctx context.Context, now, keepFrom time.Time) (more bool, err error)
}

// Pending is an unfinished delivery.
type Pending struct {
	// Company owns the webhook.
	Company string
	// Lane is the number of its webhook, and Number is its own number.
	Lane, Number int64
	// Due is when its next attempt is due: zero if it waits for its lane.
	Due time.Time
}

// NewEvent is an event to accept.
type NewEvent struct {
	Event
	// Sent is a hash of what the publisher sent. A repeated request with the same key must have the same hash.
	Sent [sha256.Size]byte
}

// EventError says why one of several events cannot be accepted.
type EventError struct {
	// Index is the event's position, from 0.
	Index int
	// Err is an [*Error] for the client.
	Err error
}

// Error returns the text of Err.
func (e *EventError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *EventError) Unwrap() error { return e.Err }

// TypeUnavailable returns the error for an event of a type that the company does not have.
func TypeUnavailable() *Error { return Errorf(KindUnprocessable, "Some events are not available") }

// KeyUsed returns the error for an event whose key was used for a different event.
func KeyUsed() *Error {
	return Errorf(KindConflict, "This key was already used for a different event.")
}

// WebhookDisabled returns the error for retrying a delivery of a disabled webhook.
func WebhookDisabled() *Error {
	return Errorf(KindConflict, "The webhook is disabled, so the delivery cannot be retried.")
}

// InvalidCursor returns the error for a cursor that was not returned before.
func InvalidCursor() *Error { return Errorf(KindInvalid, "A valid \"cursor\" must be specified.") }

// MaxExamined is how many deliveries are examined for one page.
const MaxExamined = 1000

// DeliveryQuery selects deliveries of one webhook.
type DeliveryQuery struct {
	Company, WebhookID string
	// Status and Type are empty if they do not matter.
	Status Status
	Type   string
	// From and To limit when the event was accepted: From is included, To is not. They are zero for no limit.
	From, To time.Time
	// Limit is the size of a page, 1 to 100.
	Limit int
	// Cursor is the Next of the previous page, or empty. Any other text returns [KindInvalid].
	Cursor string
	Now    time.Time
}

// DeliveryPage is one page of deliveries.
type DeliveryPage struct {
	Deliveries []Delivery
	// Next is the cursor of the next page, or empty if there is none.
	Next string
}
