package api

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

type rejecter interface {
	Reject(ctx context.Context, text, reason string) error
}

// Ingester has the parts that [Ingest] needs.
type Ingester struct {
	Publisher
	// Queue takes the messages of events that cannot be accepted.
	Queue rejecter
	// Log gets a line for every event that was not accepted. No line contains any part of the event.
	Log *slog.Logger
}

// Ingest returns the function that accepts the events that an event bus (Amazon EventBridge) forwards to a queue, one event a message. It
// does what [PublishEvent] does with a platform key: whoever may put events on the bus can publish for every company. The function
// handles the texts of messages concurrently. It rejects those of events that can never be accepted, with the reason, and returns the
// indexes of those to return to the queue, because the service failed.
func Ingest(i Ingester) (handle func(ctx context.Context, texts []string) (returned []int)) {
	ids := &idGenerator{now: i.Now, entropy: ulid.Monotonic(i.Random, 0)}
	return func(ctx context.Context, texts []string) (returned []int) {
		failed := make([]bool, len(texts))
		var handling sync.WaitGroup
		for n, text := range texts {
			handling.Go(func() { failed[n] = !i.ingest(ctx, ids, text) })
		}
		handling.Wait()
		for n := range failed {
			if failed[n] {
				returned = append(returned, n)
			}
		}
		return returned
	}
}

// ingest accepts or rejects an event and reports whether it did.
func (i *Ingester) ingest(ctx context.Context, ids *idGenerator, text string) (finished bool) {
	defer func() {
		if p := recover(); p != nil {
			i.Log.ErrorContext(ctx, "panic", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			finished = false
		}
	}()
	sent, err := parseBusEvent([]byte(text))
	if err == nil {
		var events []webhook.NewEvent
		if events, err = ids.accepted([]newEvent{sent}); err == nil {
			_, err = i.Store.AcceptEvents(ctx, events)
		}
	}
	if err == nil {
		return true
	}
	e := classified(err)
	if slices.Contains(rejectedKinds(), e.Kind) {
		i.Log.WarnContext(ctx, "event rejected", "reason", e.Message, "company", sent.company)
		if err = i.Queue.Reject(ctx, text, e.Message); err == nil {
			return true
		}
	}
	i.Log.ErrorContext(ctx, "event returned to the queue", "cause", Cause(err))
	return false
}

// rejectedKinds returns the kinds of errors that the event is to blame for.
func rejectedKinds() []webhook.Kind {
	return []webhook.Kind{webhook.KindInvalid, webhook.KindTooLarge, webhook.KindUnprocessable, webhook.KindConflict}
}

// parseBusEvent reads an event in the envelope of EventBridge: "detail-type" is its type, and "detail" has its "company", "data" and
// perhaps "key". The envelope's "id" is the key of an event without one, because a bus can forward an event more than once. The
// envelope's "time" is the timestamp. It does not count when an event is repeated with its key: it is the bus that sets it, unless
// the publisher does.
func parseBusEvent(text []byte) (newEvent, error) {
	if len(text) > maxEventBody {
		return newEvent{}, eventTooLarge()
	}
	envelope, err := decodeBody("", text, "id", "detail-type", "time", "detail")
	if err != nil {
		return newEvent{}, err
	}
	if !isObject(envelope["detail"]) {
		return newEvent{}, mustBeSpecified("detail")
	}
	detail, err := decodeObject(envelope["detail"], "company", "data", "key")
	if err != nil {
		return newEvent{}, err
	}
	key := detail["key"]
	if isNull(key) {
		key = envelope["id"]
	}
	fields := object{"type": envelope["detail-type"], "data": detail["data"], "key": key, "timestamp": envelope["time"], "company": detail["company"]}
	e, err := decodeNewEvent(fields, "", access.Key{})
	e.sent = hashOf(e.eventType, "", e.data)
	return e, err
}
