package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// MaxDelay is the longest time for which a queue can delay a message (a limit of Amazon SQS).
const MaxDelay = 15 * time.Minute

// MessageKind says what a message asks for.
type MessageKind string

// All kinds of messages.
const (
	// MessageDelivery asks for the next attempt of the delivery in Ref.
	MessageDelivery MessageKind = "delivery"
	// MessageLane asks to look at the lane of Ref's Company and WebhookID, because deliveries wait for it.
	MessageLane MessageKind = "lane"
	// MessageFanOut asks for the deliveries of Ref's Company and EventID to the next webhooks.
	MessageFanOut MessageKind = "fan-out"
)

// Message is a message of a queue. A queue delivers each message at least once, in any order. So a message is only a hint that there
// may be something to do: the store decides. Any message can be repeated at any time, and has no effect if its work is done.
type Message struct {
	Kind MessageKind
	Ref
	// Slow is whether the message goes through the queue for lanes that were slow or failing lately.
	Slow bool
	// After is where to continue, or empty for the start: after the delivery with this ID of a lane, or after the webhook with this
	// ID in a fan-out.
	After string
	// Count is the number of deliveries to release from a lane, or the number of the page of a fan-out, from 1. For a delivery, it is
	// how often the message was sent again because the outcome before it was not stored.
	Count int
	// Delay is how long the queue keeps the message back, at most [MaxDelay]. It is not part of the message that arrives.
	Delay time.Duration
}

// Queue sends messages. It is safe for concurrent use by multiple goroutines.
type Queue interface {
	// Send sends messages, any number of them. If it returns an error, of [KindUnavailable], it may have sent some of them. A
	// message never arrives before its Delay has passed.
	Send(ctx context.Context, messages ...Message) error

	// Reject moves the text of a message that can never be handled to the dead-letter queue, with the reason for the operator.
	Reject(ctx context.Context, text, reason string) error
}

// wireMessage is a message as a queue has it. Times are in milliseconds since 1970.
type wireMessage struct {
	Kind       MessageKind `json:"kind"`
	Company    string      `json:"company"`
	WebhookID  string      `json:"webhook_id,omitempty"`
	EventID    string      `json:"event_id,omitempty"`
	AcceptedAt int64       `json:"accepted_at,omitempty"`
	Made       int         `json:"made,omitempty"`
	Slow       bool        `json:"slow,omitempty"`
	After      string      `json:"after,omitempty"`
	Count      int         `json:"count,omitempty"`
}

// Text returns the message as JSON, for a queue.
func (m Message) Text() string {
	w := wireMessage{
		Kind: m.Kind, Company: m.Company, WebhookID: m.WebhookID, EventID: m.EventID, Made: m.Made, Slow: m.Slow, After: m.After, Count: m.Count,
	}
	if !m.AcceptedAt.IsZero() {
		w.AcceptedAt = m.AcceptedAt.UnixMilli()
	}
	text, err := json.Marshal(w)
	if err != nil {
		panic(err) // a struct of texts and numbers can always be encoded
	}
	return string(text)
}

// ParseMessage reads a message from its text. The error says what is wrong without quoting the text.
func ParseMessage(text string) (Message, error) {
	var w wireMessage
	if err := json.Unmarshal([]byte(text), &w); err != nil {
		return Message{}, fmt.Errorf("the message is not valid JSON of the expected form: %T", err)
	}
	m := Message{
		Kind: w.Kind, Slow: w.Slow, After: w.After, Count: w.Count,
		Ref: Ref{Company: w.Company, WebhookID: w.WebhookID, EventID: w.EventID, Made: w.Made},
	}
	if w.AcceptedAt != 0 {
		m.AcceptedAt = time.UnixMilli(w.AcceptedAt).UTC()
	}
	complete := false
	switch m.Kind {
	case MessageDelivery:
		complete = m.Company != "" && m.WebhookID != "" && m.EventID != "" && !m.AcceptedAt.IsZero() && m.Made >= 0
	case MessageLane:
		complete = m.Company != "" && m.WebhookID != "" && m.Count >= 1
	case MessageFanOut:
		complete = m.Company != "" && m.EventID != "" && m.Count >= 1
	}
	if !complete {
		return Message{}, fmt.Errorf("the message has an unknown kind or lacks a field that its kind requires")
	}
	return m, nil
}
