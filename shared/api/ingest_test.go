package api_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"webhooks/shared/api"
	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

// bus is what an event bus forwards to: an ingester, on a store with one type.
type bus struct {
	t      *testing.T
	store  *webhooktest.Memory
	ingest func(ctx context.Context, texts []string) []int
	log    bytes.Buffer

	err error // of the store

	mu       sync.Mutex
	rejected map[string]string // reasons by texts
	deadErr  error             // of the dead-letter queue
}

func newBus(t *testing.T) *bus {
	t.Helper()
	b := &bus{t: t, store: webhooktest.NewMemory(), rejected: make(map[string]string)}
	if err := b.store.AddEventType(t.Context(), webhook.EventType{Name: paid}); err != nil {
		t.Fatal(err)
	}
	b.ingest = api.Ingest(api.Ingester{
		Publisher: api.Publisher{Store: b, Now: func() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 891e6, time.UTC) }, Random: zeros{}},
		Queue:     b,
		Log:       slog.New(slog.NewJSONHandler(&b.log, nil)),
	})
	return b
}

// zeros is a source of randomness.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func (b *bus) AcceptEvents(ctx context.Context, events []webhook.NewEvent) ([]bool, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.store.AcceptEvents(ctx, events)
}

func (b *bus) Reject(_ context.Context, text, reason string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.rejected[text] = reason
	return b.deadErr
}

// envelope is an event as EventBridge forwards it.
func envelope(id, time, eventType, detail string) string {
	return `{"version":"0","id":"` + id + `","detail-type":"` + eventType + `","source":"app","account":"123456789012","time":"` + time +
		`","region":"eu-west-1","resources":[],"detail":` + detail + `}`
}

const (
	busTime = "2026-01-02T03:04:05Z"
	detail  = `{"company":"acme","data":` + invoice + `}`
)

func TestIngest(t *testing.T) {
	b := newBus(t)
	texts := []string{
		envelope("id-1", busTime, paid, detail),
		envelope("id-1", busTime, paid, detail), // forwarded twice
		envelope("id-2", "2026-01-02T03:04:06Z", paid, `{"company":"acme","key":"4711","data":`+invoice+`}`),
		envelope("id-3", "2026-01-02T03:04:07Z", paid, `{"company":"acme","key":"4711","data":`+invoice+`}`), // put on the bus again
		`{"id":"id-4","detail-type":"` + paid + `","detail":` + detail + `}`,
	}
	if returned := b.ingest(t.Context(), texts); len(returned) > 0 || len(b.rejected) > 0 || b.log.Len() > 0 {
		t.Errorf("returned %v, rejected %v, log %s", returned, b.rejected, &b.log)
	}
	for _, key := range []string{"id-1", "4711", "id-4"} {
		got, err := b.store.Event(t.Context(), "acme", webhook.KeyedEventID("acme", key))
		want := webhook.Event{
			ID: webhook.KeyedEventID("acme", key), Company: "acme", Type: paid, Key: key,
			Timestamp: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), AcceptedAt: time.Date(2026, 3, 4, 5, 6, 7, 891e6, time.UTC),
		}
		switch key {
		case "4711":
			want.Timestamp = got.Timestamp // of either one
		case "id-4":
			want.Timestamp = want.AcceptedAt
		}
		body := `{"type":"` + paid + `","timestamp":"` + want.Timestamp.Format("2006-01-02T15:04:05.000Z") + `","data":` + invoice + `}`
		if want.Body = []byte(body); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, error %v, want %+v", key, got, err, want)
		}
	}
}

func TestIngestRejects(t *testing.T) {
	for name, row := range map[string]struct{ text, reason string }{
		"not JSON":          {`{`, "The request body is not valid JSON: line 1, column 1: unexpected end of JSON input."},
		"not an object":     {`[]`, "The request body must be a single JSON object."},
		"no detail":         {envelope("id", busTime, paid, `"text"`), `A valid "detail" must be specified.`},
		"no type":           {envelope("id", busTime, "", detail), `A valid "type" must be specified.`},
		"no data":           {envelope("id", busTime, paid, `{"company":"acme"}`), `A valid "data" must be specified.`},
		"invalid key":       {envelope("id", busTime, paid, `{"company":"acme","data":{},"key":1}`), `"key" must be 1 to 255 visible ASCII characters.`},
		"invalid time":      {envelope("id", "today", paid, detail), `"timestamp" must be a time in RFC 3339 with an offset, for example 2026-01-02T03:04:05Z.`},
		"no company":        {envelope("id", busTime, paid, `{"data":{}}`), `A valid "company" must be specified.`},
		"company twice":     {envelope("id", busTime, paid, `{"company":"acme","company":"b","data":{}}`), `The field "company" appears more than once.`},
		"unknown type":      {envelope("id", busTime, "invoice.unknown", detail), "Some events are not available"},
		"key of another":    {envelope("id", busTime, paid, `{"company":"acme","data":{"other":1},"key":"used"}`), "This key was already used for a different event."},
		"more than 256 KiB": {envelope("id", busTime, paid, `{"company":"acme","data":{"a":"`+strings.Repeat("x", 256<<10)+`"}}`), "An event must not exceed 262144 bytes."},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBus(t)
			used := envelope("id-0", busTime, paid, `{"company":"acme","data":{},"key":"used"}`)
			if returned := b.ingest(t.Context(), []string{used}); len(returned) > 0 {
				t.Fatal("the first event was returned")
			}
			if returned := b.ingest(t.Context(), []string{row.text, used}); len(returned) > 0 || !reflect.DeepEqual(b.rejected, map[string]string{row.text: row.reason}) {
				t.Errorf("returned %v, rejected %v, want the reason %s", returned, b.rejected, row.reason)
			}
			if log := b.log.String(); strings.Count(log, `"msg":"event rejected"`) != 1 || strings.Contains(log, "invoice") {
				t.Errorf("log %s", log)
			}
			b.deadErr = webhook.Unavailable(errors.New("no queue"))
			if returned := b.ingest(t.Context(), []string{used, row.text}); !reflect.DeepEqual(returned, []int{1}) {
				t.Errorf("returned %v without a dead-letter queue, want the second event", returned)
			}
		})
	}
}

// A failure of the service returns the messages to the queue.
func TestIngestReturns(t *testing.T) {
	for _, err := range []error{webhook.Unavailable(errors.New("no database")), errors.New("no database"), context.DeadlineExceeded} {
		b := newBus(t)
		b.err = err
		texts := []string{envelope("1", busTime, paid, detail), `{`, envelope("2", busTime, paid, detail)}
		if returned := b.ingest(t.Context(), texts); !reflect.DeepEqual(returned, []int{0, 2}) || len(b.rejected) != 1 {
			t.Errorf("%v: returned %v, rejected %v", err, returned, b.rejected)
		}
		if log := b.log.String(); strings.Count(log, `"level":"ERROR"`) != 2 || strings.Contains(log, "invoice") {
			t.Errorf("%v: log %s", err, log)
		}
	}
}
