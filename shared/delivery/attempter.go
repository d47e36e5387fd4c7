package delivery

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

// userAgent is sent with every event.
const userAgent = "Webhooks/1"

// maxResponse is how much of a response is kept, in bytes.
const maxResponse = 1 << 10

type poster interface {
	Post(ctx context.Context, u endpoint.URL, header http.Header, body []byte) (endpoint.Response, error)
}

type tokenOpener interface {
	Open(ctx context.Context, company, webhookID string, sealed []byte) (string, error)
}

// Attempter makes attempts to deliver events. It is safe for concurrent use by multiple goroutines. All fields are required.
type Attempter struct {
	// Client posts to receivers: an *endpoint.Client.
	Client poster
	// Sealer opens the webhooks' tokens.
	Sealer   tokenOpener
	Schedule Schedule
	// Now is the clock.
	Now func() time.Time
	// Random returns a number in [0, 1).
	Random func() float64
}

// Attempt posts the event of w to its webhook once and returns what that changes. It changes nothing itself. An error is a
// fault of this service: the event may not have been sent, and nothing is counted.
func (a *Attempter) Attempt(ctx context.Context, w webhook.Work) (webhook.Outcome, error) {
	u, err := endpoint.Parse(w.Webhook.URL)
	if err != nil {
		return webhook.Outcome{}, fmt.Errorf("webhook %s: %w", w.WebhookID, err)
	}
	token, err := a.Sealer.Open(ctx, w.Company, w.WebhookID, w.Webhook.SealedToken)
	if err != nil {
		return webhook.Outcome{}, err
	}
	began := a.Now()
	signature, err := sign(token, w.EventID, began, w.Event.Body)
	if err != nil {
		return webhook.Outcome{}, fmt.Errorf("webhook %s: %w", w.WebhookID, err)
	}
	response, err := a.Client.Post(ctx, u, http.Header{
		"Content-Type":      {"application/json"},
		"User-Agent":        {userAgent},
		"Webhook-Id":        {w.EventID},
		"Webhook-Timestamp": {strconv.FormatInt(began.Unix(), 10)},
		"Webhook-Signature": {signature},
	}, w.Event.Body)
	ended := a.Now()
	failure, noResponse := errors.AsType[*endpoint.PostError](err)
	if err != nil && (!noResponse || errors.Is(err, endpoint.ErrLocal) || ctx.Err() != nil) {
		return webhook.Outcome{}, fmt.Errorf("posting: %w", errors.Join(context.Cause(ctx), err))
	}
	m := meaningOf(response, ended)
	o := a.outcome(w, m, ended)
	o.Attempt = webhook.Attempt{
		Number:     w.Made + 1,
		At:         began.UTC().Truncate(time.Millisecond),
		Duration:   ended.Sub(began),
		URL:        w.Webhook.URL,
		StatusCode: response.Status,
		Bytes:      response.Bytes,
		Response:   validText(response.Excerpt),
	}
	switch {
	case noResponse:
		o.Attempt.Error = failure.Class
	case !m.delivered:
		o.Attempt.Error = webhook.ErrorStatus
	}
	return o, nil
}

// outcome returns what happens next, after an attempt that ended at a time.
func (a *Attempter) outcome(w webhook.Work, m meaning, ended time.Time) webhook.Outcome {
	o := webhook.Outcome{
		Ref: w.Ref, EventType: w.Event.Type, Status: w.Status, Step: w.Step,
		Lane: m.laneOp(w), PausedUntil: millisUp(m.pausedUntil), WebhookVersion: w.Webhook.Version,
	}
	switch {
	case m.delivered:
		o.Status = webhook.StatusDelivered
	case w.Status != webhook.StatusPending: // a granted attempt of one that is final
	case m.final || ended.Sub(w.AcceptedAt) >= webhook.MaxAge:
		o.Status = webhook.StatusFailed
	case isProbe(w): // it waits for its lane again
	case w.Granted:
		o.Due = w.Due
	default:
		o.Step++
		due, ok := a.Schedule.next(o.Step, ended, a.Random())
		if !ok {
			o.Status = webhook.StatusFailed
			return o
		}
		if m.pausedUntil.After(due) {
			due = m.pausedUntil
		}
		o.Due = millisUp(due)
	}
	return o
}

// millisUp returns a time in UTC, rounded up to milliseconds, which is what stores keep: no attempt may begin too early.
func millisUp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(time.Millisecond - 1).UTC().Truncate(time.Millisecond)
}

// validText returns the beginning of a response as valid UTF-8 without NUL, which not every database can store. A character
// that was cut off at the end is omitted. Invalid bytes are replaced with longer text, so the result is cut again.
func validText(excerpt []byte) string {
	text := strings.ToValidUTF8(wholeRunes(string(excerpt)), "\uFFFD")
	text = strings.ReplaceAll(text, "\x00", "\uFFFD")
	return wholeRunes(text[:min(len(text), maxResponse)])
}

// wholeRunes returns a text without a character that is cut off at its end.
func wholeRunes(text string) string {
	for i := len(text) - 1; i >= max(0, len(text)-utf8.UTFMax); i-- {
		if utf8.RuneStart(text[i]) {
			if !utf8.FullRuneInString(text[i:]) {
				return text[:i]
			}
			break
		}
	}
	return text
}
