package webhook

import (
	"crypto/sha256"
	"time"
)

// Status is the state of a delivery.
type Status string

// All statuses.
const (
	// StatusPending is a delivery that waits for a time, or for its lane.
	StatusPending Status = "pending"
	// StatusDelivered is a delivery that the receiver has acknowledged.
	StatusDelivered Status = "delivered"
	// StatusFailed is a delivery that is not retried automatically.
	StatusFailed Status = "failed"
	// StatusHeld is a delivery of a disabled webhook.
	StatusHeld Status = "held"
)

// ErrorClass is why an attempt was not successful, as the API shows it.
type ErrorClass string

// All classes.
const (
	ErrorDNS     ErrorClass = "dns"     // the receiver's name could not be looked up
	ErrorConnect ErrorClass = "connect" // no connection
	ErrorTLS     ErrorClass = "tls"     // no TLS handshake, or an invalid certificate
	ErrorTimeout ErrorClass = "timeout" // no response in time
	ErrorBlocked ErrorClass = "blocked" // the address is not allowed
	ErrorHTTP    ErrorClass = "http"    // no valid HTTP response
	ErrorStatus  ErrorClass = "status"  // a response that is not 2xx
)

// MaxAge is how long after its event was accepted an unfinished delivery fails, whatever the schedule.
const MaxAge = 84 * time.Hour

// Ref identifies a delivery and says how many attempts were made. A store ignores a change with an older Ref than its own.
type Ref struct {
	Company, WebhookID, EventID string
	// AcceptedAt is when the event was accepted.
	AcceptedAt time.Time
	// Made is the number of attempts that have ended.
	Made int
	// Number identifies the delivery in a store on one host: see [Backlog]. It is 0 if it is unknown, or if the store has no
	// numbers.
	Number int64
}

// DeliveryID returns the delivery's ID: "dlv_" and a ULID of the time at which the event was accepted and a hash of company,
// webhook and event. IDs sort by time, and anyone who knows the event and the webhook can compute the ID.
func (r Ref) DeliveryID() string {
	hash := sha256.Sum256([]byte(r.Company + "\x00" + r.WebhookID + "\x00" + r.EventID))
	var id [16]byte
	millis := uint64(r.AcceptedAt.UnixMilli())
	for i := range 6 {
		id[i] = byte(millis >> (40 - 8*i))
	}
	copy(id[6:], hash[:])
	return deliveryIDPrefix + encodeULID(id)
}

// Work is all that one attempt needs.
type Work struct {
	Ref
	// Status is pending, unless Granted.
	Status Status
	// Step is the step of the schedule that the attempt is for, from 0.
	Step int
	// Due is when that attempt is due. It is zero if the delivery waits for its lane.
	Due time.Time
	// Granted is whether a client requested this attempt. It ignores the schedule and the lane, and does not change the step.
	Granted bool
	Webhook Webhook
	Lane    Lane
	Event   Event
}

// Attempt is one POST of an event to a webhook.
type Attempt struct {
	// Number counts the attempts of a delivery from 1.
	Number int
	// At is when it began, in UTC, in milliseconds.
	At       time.Time
	Duration time.Duration
	// URL is the webhook's URL at that time.
	URL string
	// StatusCode is 0 if there was no response.
	StatusCode int
	// Error is empty if the receiver acknowledged the event.
	Error ErrorClass
	// Bytes is how much of the response's body was read.
	Bytes int
	// Response is the beginning of the response's body, at most 1 KiB of valid UTF-8.
	Response string
}

// Ended returns when the attempt ended.
func (a Attempt) Ended() time.Time { return a.At.Add(a.Duration) }

// MaxAttempts is the number of attempts of a delivery that are kept: the latest ones.
const MaxAttempts = 20

// Delivery is a delivery as the API shows it.
type Delivery struct {
	Ref
	EventType string
	// Status is derived from what is stored, the lane, and the time of reading; see [StatusOf].
	Status Status
	// Due is when the next attempt is due. It is zero if there is none, or if the delivery waits for its lane, which includes a
	// lane that opens later than the delivery is due.
	Due time.Time
	// Attempts are the latest [MaxAttempts], oldest first. Only the latest one has a Response.
	Attempts []Attempt
}

// StatusOf returns the status, at a time, of a delivery that is stored with the given status. An unfinished delivery is held if
// [Lane.Holds] says so, and otherwise fails at the age of [MaxAge].
func StatusOf(stored Status, l Lane, acceptedAt, now time.Time) Status {
	switch {
	case stored != StatusPending:
		return stored
	case l.Holds(acceptedAt):
		return StatusHeld
	case now.Sub(acceptedAt) >= MaxAge:
		return StatusFailed
	default:
		return StatusPending
	}
}

// Outcome is what an attempt changes. A store applies all of it or, if the delivery has had another attempt since, nothing.
type Outcome struct {
	Ref
	EventType string
	Attempt   Attempt
	Status    Status
	// Step is the step of the schedule that the next attempt is for.
	Step int
	// Due is when the next attempt is due, in UTC, in milliseconds. It is zero if there is none, or if the delivery waits for
	// its lane.
	Due time.Time
	// Lane is the change of the webhook's lane. PausedUntil is the time until which the receiver asked for a pause, or zero.
	Lane        LaneOp
	PausedUntil time.Time
	// WebhookVersion is the version of the webhook that was attempted. A later version ignores the change of the lane.
	WebhookVersion int64
}
