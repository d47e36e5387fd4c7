package api

import (
	"time"

	"webhooks/shared/webhook"
)

// deliveryBody is a delivery in a response.
type deliveryBody struct {
	ID            string         `json:"id"`
	EventID       string         `json:"event_id"`
	EventType     string         `json:"event_type"`
	Status        webhook.Status `json:"status"`
	CreatedAt     moment         `json:"created_at"`
	AttemptCount  int            `json:"attempt_count"`
	NextAttemptAt moment         `json:"next_attempt_at"`
	LastAttempt   *attemptBody   `json:"last_attempt"`
}

// deliveryWithAttemptsBody is a delivery with its latest attempts, oldest first.
type deliveryWithAttemptsBody struct {
	deliveryBody
	Attempts []attemptBody `json:"attempts"`
}

type attemptBody struct {
	Number     int                 `json:"number"`
	At         moment              `json:"at"`
	DurationMS int64               `json:"duration_ms"`
	URL        string              `json:"url"`
	StatusCode *int                `json:"status_code"`
	Error      *webhook.ErrorClass `json:"error"`
	Bytes      int                 `json:"bytes"`
	Response   *string             `json:"response"`
}

func newDeliveryBody(d webhook.Delivery) deliveryBody {
	body := deliveryBody{
		ID:            d.DeliveryID(),
		EventID:       d.EventID,
		EventType:     d.EventType,
		Status:        d.Status,
		CreatedAt:     moment(d.AcceptedAt),
		AttemptCount:  d.Made,
		NextAttemptAt: moment(d.Due),
	}
	if last := len(d.Attempts) - 1; last >= 0 {
		body.LastAttempt = new(newAttemptBody(d.Attempts[last], true))
	}
	return body
}

func newDeliveryWithAttemptsBody(d webhook.Delivery) deliveryWithAttemptsBody {
	body := deliveryWithAttemptsBody{newDeliveryBody(d), make([]attemptBody, 0, len(d.Attempts))}
	for i, a := range d.Attempts {
		body.Attempts = append(body.Attempts, newAttemptBody(a, i == len(d.Attempts)-1))
	}
	return body
}

// newAttemptBody returns an attempt. Only the latest one has the response, if there was one.
func newAttemptBody(a webhook.Attempt, latest bool) attemptBody {
	body := attemptBody{
		Number:     a.Number,
		At:         moment(a.At),
		DurationMS: a.Duration.Milliseconds(),
		URL:        a.URL,
		StatusCode: orNull(a.StatusCode),
		Error:      orNull(a.Error),
		Bytes:      a.Bytes,
	}
	if latest && a.StatusCode != 0 {
		body.Response = &a.Response
	}
	return body
}

// moment is a time in a response: in UTC with milliseconds, or null if it is zero.
type moment time.Time

// MarshalJSON implements [json.Marshaler].
func (m moment) MarshalJSON() ([]byte, error) {
	if time.Time(m).IsZero() {
		return []byte("null"), nil
	}
	return []byte(time.Time(m).UTC().Format(`"2006-01-02T15:04:05.000Z"`)), nil
}

// orNull returns a pointer to the value, or nil for the zero value, so that JSON has null.
func orNull[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

// notFound replaces the message of [webhook.ErrNotFound] with one that says what was not found.
func notFound(err error, what string) error {
	if webhook.KindOf(err) == webhook.KindNotFound {
		return webhook.Errorf(webhook.KindNotFound, "%s not found.", what)
	}
	return err
}
