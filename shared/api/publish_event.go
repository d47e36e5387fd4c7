package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/delivery"
	"webhooks/shared/webhook"
)

type eventAccepter interface {
	AcceptEvents(ctx context.Context, events []webhook.NewEvent) (replayed []bool, err error)
}

// Publisher has the parts that publishing an event needs.
type Publisher struct {
	// Store keeps the events.
	Store eventAccepter
	// Now is the clock for IDs and for the time at which events are accepted.
	Now func() time.Time
	// Random is the source of IDs: crypto/rand.Reader.
	Random io.Reader
}

type eventIDBody struct {
	ID string `json:"id"`
}

type eventIDsBody struct {
	Events []eventIDBody `json:"events"`
}

// PublishEvent is the endpoint that accepts one event, or a batch of them, for delivery.
func PublishEvent(p Publisher) Endpoint {
	ids := &idGenerator{now: p.Now, entropy: ulid.Monotonic(p.Random, 0)}
	return Endpoint{function: "publish-event", serve: func(ctx context.Context, r request) (response, error) {
		sent, batch, err := parseNewEvents(r)
		if err != nil {
			return response{}, err
		}
		events, err := ids.accepted(sent)
		if err != nil {
			return response{}, err
		}
		replayed, err := p.Store.AcceptEvents(ctx, events)
		if e, ok := errors.AsType[*webhook.EventError](err); ok && batch {
			err = inBatch(e.Index, err)
		}
		if err != nil {
			return response{}, err
		}
		return published(events, batch, !slices.Contains(replayed, false)), nil
	}}
}

// accepted returns the events to store, all with the same acceptance time.
func (g *idGenerator) accepted(sent []newEvent) ([]webhook.NewEvent, error) {
	events := make([]webhook.NewEvent, len(sent))
	var now time.Time
	for i, e := range sent {
		id, at, err := g.next()
		if err != nil {
			return nil, err
		}
		if i == 0 {
			now = at
		}
		events[i] = webhook.NewEvent{Sent: e.sent, Event: webhook.Event{
			ID:         webhook.NewEventID(id),
			Company:    e.company,
			Type:       e.eventType,
			Key:        e.key,
			Timestamp:  e.timestamp.Truncate(time.Millisecond),
			AcceptedAt: now,
		}}
		event := &events[i].Event
		if e.key != "" {
			event.ID = e.id()
		}
		if event.Timestamp.IsZero() {
			event.Timestamp = now
		}
		if event.Body, err = delivery.Body(event.Type, event.Timestamp, e.data); err != nil {
			return nil, err
		}
	}
	return events, nil
}

// published returns the response to a request that published events. replayed is whether all of them had been accepted before.
func published(events []webhook.NewEvent, batch, replayed bool) response {
	r := response{status: http.StatusAccepted, header: make(map[string]string)}
	if replayed {
		r.header["Idempotent-Replayed"] = "true"
	}
	if !batch {
		r.header["Location"] = "/events/" + events[0].ID
		r.body = eventIDBody{events[0].ID}
		return r
	}
	body := eventIDsBody{Events: make([]eventIDBody, len(events))}
	for i, e := range events {
		body.Events[i] = eventIDBody{e.ID}
	}
	r.body = body
	return r
}
