// Package deliverytest checks histories of deliveries against the invariants of the service, whoever recorded them: a simulation,
// which sees everything in order, or a test of a running service, which sees what publishers and receivers see.
package deliverytest

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"webhooks/shared/webhook"
)

// Entry is a fact with the time at which it happened, by a clock that does not jump.
type Entry struct {
	At   time.Time
	Fact Fact
}

// Fact is something that happened: one of the other types in this file.
type Fact interface{ apply(c *checker) }

// Created says that a webhook of a company was created, with the types that it subscribes to.
type Created struct {
	Company, Webhook string
	Types            []string
}

// Deleted says that a webhook was deleted: no attempt may begin from now on.
type Deleted struct{ Webhook string }

// Accepted says that an event was accepted: every webhook that now subscribes to its type must get it.
type Accepted struct {
	Company, Event, Type string
	// At is the time of acceptance, by the clock of the service.
	At time.Time
	// Body is the hash of what receivers must get.
	Body [sha256.Size]byte
}

// Granted says that a client requested a retry: the attempt with that number may begin at any time.
type Granted struct {
	Webhook, Event string
	Number         int
}

// Read says that the engine read a delivery with its webhook and lane as they are at this time. If an attempt follows, this is when
// it begins.
type Read struct {
	Webhook, Event string
	// Number is the number of the attempt that may follow.
	Number int
	// Run identifies the attempt that may follow if several attempts of a delivery can run at the same time. Otherwise it is 0.
	Run int64
}

// Begun says that the engine begins the attempt for what it last read for a run.
type Begun struct {
	Webhook, Event string
	Run            int64
}

// Arrived says that a receiver got a whole request.
type Arrived struct {
	// Post identifies the request among all requests.
	Post int
	// Webhook is the one that the receiver belongs to, Event the webhook-id it got.
	Webhook, Event string
	Body           [sha256.Size]byte
	// Signed is the time in webhook-timestamp.
	Signed time.Time
	// Invalid says what is wrong with the headers or the signature. It is empty if they are right.
	Invalid string
	// Kept is whether the connection had served a request before. If no response follows, the engine may send the request again.
	Kept bool
}

// Responded says how a receiver is about to respond to a request. There is no such fact if the response is not valid HTTP.
type Responded struct {
	Post, Status int
	// PausedUntil is the time in the clock of the service until which the receiver asks for a pause, or zero.
	PausedUntil time.Time
	// Final is whether the receiver asks for no further attempts, Disable whether it asks for no further events.
	Final, Disable bool
}

// Recorded says that the store applied an outcome. Without facts of type [Read], only its Ref, Attempt and Status matter.
type Recorded struct {
	webhook.Outcome
	Run int64
}

// Dropped says that an attempt ended without an outcome that could be stored: because of a fault of the service, or because
// the delivery no longer exists.
type Dropped struct {
	Webhook, Event string
	Run            int64
	// Superseded is whether the attempt was a duplicate: the outcome of another attempt with the same number was stored before.
	Superseded bool
}

// Repeated says that a message was repeated. It may cause a duplicate of one attempt of each delivery of the webhook and the event. An
// empty Webhook or Event stands for all of them.
type Repeated struct{ Webhook, Event string }

// Parked says that a delivery waits for its lane from now on, and no longer for a time.
type Parked struct{ Webhook, Event string }

// Crashed says that the engine has crashed. What it had begun may be repeated.
type Crashed struct{}

// Stopped says that the engine has stopped in an orderly way. What it had begun has ended.
type Stopped struct{}

// Jumped says that the clock of the service was set forward or, if By is negative, back.
type Jumped struct{ By time.Duration }

// Calmed says that there will be no more faults: nothing that is due may wait from now on.
type Calmed struct{}

// Shown says what the API shows of a delivery at the end.
type Shown struct {
	Webhook, Event string
	Status         webhook.Status
}

// Recorder records a history. It is safe for concurrent use by multiple goroutines.
type Recorder struct {
	now     func() time.Time
	mu      sync.Mutex
	history []Entry
}

// NewRecorder returns a recorder with a clock that does not jump.
func NewRecorder(now func() time.Time) *Recorder { return &Recorder{now: now} }

// Add records that something happens now.
func (r *Recorder) Add(f Fact) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.history = append(r.history, Entry{r.now(), f})
}

// History returns what was recorded so far, in the order of time.
func (r *Recorder) History() []Entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	history := slices.Clone(r.history)
	slices.SortStableFunc(history, func(a, b Entry) int { return a.At.Compare(b.At) })
	return history
}

// NewArrived returns the fact for a request that the receiver of a webhook got. It verifies the signature under the webhook's token
// with the published library.
func NewArrived(post int, webhookID, token string, header http.Header, body []byte) Arrived {
	a := Arrived{Post: post, Webhook: webhookID, Event: header.Get("Webhook-Id"), Body: sha256.Sum256(body)}
	verifier, err := standardwebhooks.NewWebhook(token)
	if err == nil {
		err = verifier.VerifyIgnoringTimestamp(body, header)
	}
	if err != nil {
		a.Invalid = err.Error()
	}
	seconds, err := strconv.ParseInt(header.Get("Webhook-Timestamp"), 10, 64)
	if err != nil {
		a.Invalid = "invalid webhook-timestamp"
	}
	a.Signed = time.Unix(seconds, 0)
	for name, want := range map[string]string{"Content-Type": "application/json", "Idempotency-Key": ""} {
		if got := header.Get(name); got != want {
			a.Invalid = fmt.Sprintf("%s: %q", name, got)
		}
	}
	return a
}
