package webhook

import (
	"context"
	"time"
)

// QueueStore is the part of a store on a host whose deliveries travel as messages of a [Queue]. The suite in webhooktest checks it.
//
// What needs an attempt soon is a message. What waits longer is in the store: for a time, or for its lane. The store can be asked for
// both, but what it returns may be incomplete: an entry that was changed a moment ago may be missing or out of date. Each method that
// changes an entry checks it again.
//
// The rule that nothing is forgotten: an unfinished delivery either has a message, or it waits for a time, or it waits for its lane
// and the lane itself waits for a time.
type QueueStore interface {
	// Accept does what AcceptEvents of [DeliveryStore] does, and returns for each event what has to be sent. If the fan-out of a
	// replayed event may not have been sent completely, it returns what may be missing.
	Accept(ctx context.Context, events []NewEvent) ([]Accepted, error)

	// FanOut returns one page of an event's fan-out, the one that a message of [MessageFanOut] names, and the message for the next
	// page, or nil if there is none. It stores the page if that has not happened yet, so every call returns the same webhooks. It
	// returns no page and no error if the event does not exist.
	FanOut(ctx context.Context, m Message) (page []Ref, next *Message, err error)

	// Look returns what is known about up to 100 deliveries, in the order of refs, in one round trip.
	Look(ctx context.Context, refs []Ref, now time.Time) ([]Look, error)

	// Park makes a delivery that Look has returned wait for its lane, unless it has changed since. Then it makes the lane wait for
	// the time at which it opens, unless the lane already waits or is disabled. It returns whether it made the lane wait for a time
	// that has come: then nothing else will look at the lane before the next sweep.
	Park(ctx context.Context, w Work, now time.Time) (isDue bool, err error)

	// Settle marks a delivery that Look has returned with [LookExpired] as failed, unless it has changed since, so that it does not
	// wait any longer.
	Settle(ctx context.Context, w Work) error

	// Lane is as in [DeliveryStore].
	Lane(ctx context.Context, company, id string) (Webhook, Lane, error)

	// Record is as in [DeliveryStore]. If the outcome is pending and due no later than [MaxDelay] after the attempt has ended, a
	// message is on its way, and the delivery does not wait in the store. If the lane waits for a time, but opens after the attempt
	// has ended because of what that has changed, Record moves that time to when the lane opens.
	Record(ctx context.Context, o Outcome) (applied bool, err error)

	// LookLane returns a lane with the first deliveries that wait for it, oldest first: up to limit of those after a delivery ID.
	LookLane(ctx context.Context, company, webhookID, after string, limit int) (LaneLook, error)

	// MoveLane changes when a lane that LookLane has returned is looked at again, and reports whether it did: it does not if the lane
	// has changed since.
	MoveLane(ctx context.Context, l LaneLook, m LaneMove) (moved bool, err error)

	// Waiting returns up to limit entries of a shard, from 0 to [WaitingShards] - 1, whose time has come at until, earliest first.
	Waiting(ctx context.Context, shard int, until time.Time, limit int) ([]Waiting, error)

	// Claim moves an entry that Waiting has returned to a later time, unless it has changed since, and returns the message to send
	// for it. The claim is lost if nothing handles the message until then.
	Claim(ctx context.Context, w Waiting, until time.Time) (m Message, claimed bool, err error)
}

// WaitingShards is the number of parts into which a store divides what waits for a time.
const WaitingShards = 16

// Accepted is what Accept did with one event.
type Accepted struct {
	// Replayed is whether the event had been stored before.
	Replayed bool
	// Deliveries are those to send messages for: those of the first webhooks or, if the event was replayed, those of them that have
	// had no attempt yet.
	Deliveries []Ref
	// FanOut is the message for the other webhooks, or nil if there are none.
	FanOut *Message
}

// LookState is what is to be done with a delivery.
type LookState int

// All states.
const (
	// LookDone is a delivery that needs nothing: it has finished, another attempt was made since, or it does not exist.
	LookDone LookState = iota
	// LookReady is a delivery that can be attempted, as far as Work of [DeliveryStore] is concerned.
	LookReady
	// LookAhead is a delivery with fewer attempts than the Ref says. The missing outcome is about to be stored, or never will be.
	LookAhead
	// LookHeld is an unfinished delivery of a disabled webhook, or one from before the webhook was enabled again.
	LookHeld
	// LookExpired is an unfinished delivery that is older than [MaxAge], or stored and its webhook or event does not exist.
	LookExpired
)

// Look is what a store knows about a delivery.
type Look struct {
	State LookState
	// Work has only its Ref if the State is LookDone or LookAhead.
	Work Work
}

// LaneLook is what a store knows about a lane and about what waits for it.
type LaneLook struct {
	Company, WebhookID string
	// Exists is whether the webhook exists.
	Exists bool
	Lane   Lane
	// Waiting are the deliveries that wait for the lane.
	Waiting []Ref
	// IdleUntil is the time of the last [LaneMove] if that was Idle, and nothing has been parked since. Otherwise it is zero.
	IdleUntil time.Time
	// Revision identifies the state of the lane.
	Revision int64
}

// LaneMove says when to look at a lane again.
type LaneMove struct {
	// At is that time, or zero if nothing waits for the lane any longer. The latter also removes the lane if its webhook does not
	// exist.
	At time.Time
	// Idle is whether nothing seems to wait for the lane. If a look after At confirms that, nothing does.
	Idle bool
	// Probe is whether the caller is about to make the probe of a failing lane: then the lane does not allow another one before At.
	Probe bool
}

// Waiting is an entry that waits for a time.
type Waiting struct {
	Company, WebhookID string
	// DeliveryID is empty if the entry is a lane.
	DeliveryID string
	// At is the time.
	At time.Time
}

// Slow lanes: a lane counts as slow for SlowFor after an attempt that took longer than SlowAttempt.
const (
	SlowAttempt = 5 * time.Second
	SlowFor     = 10 * time.Minute
)
