package delivery

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

const (
	token     = "whsec_plJ3nmyCDGBKInavdOK15jsl"
	eventID   = "msg_loFOjxBNrRLzqYUf"
	body      = `{"event_type":"ping","data":{"success":true}}`
	signature = "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0=" // in the specification
)

func now() time.Time { return time.Unix(1731705121, 0).UTC() }

func TestSign(t *testing.T) {
	got, err := sign(token, eventID, now(), []byte(body))
	if err != nil || got != signature {
		t.Errorf("got %s, %v, want %s", got, err, signature)
	}
	if _, err := sign("whsec_?", eventID, now(), nil); err == nil {
		t.Error("a token that is not base64 was accepted")
	}
}

func TestRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{ // 0 if the value does not count
		"": 0, "120": 2 * time.Minute, " 7 ": 7 * time.Second, "0": 0, "-1": 0, "1.5": 0, "1e3": 0, "soon": 0,
		"86401": 24 * time.Hour, "9999999999": 24 * time.Hour, "99999999999999999999999": 24 * time.Hour,
		"Fri, 15 Nov 2024 21:13:01 GMT": time.Minute, "Friday, 15-Nov-24 21:13:01 GMT": time.Minute, "Fri Nov 15 21:13:01 2024": time.Minute,
		"Fri, 15 Nov 2024 21:11:01 GMT": 0, "Fri, 15 Nov 2034 21:12:01 GMT": 24 * time.Hour,
	} {
		until, ok := retryAfter(http.Header{"Retry-After": {value, "5"}}, now())
		if ok != (want > 0) || ok && until.Sub(now()) != want {
			t.Errorf("Retry-After %q: got %v, %v, want %v", value, until.Sub(now()), ok, want)
		}
	}
}

func TestSchedule(t *testing.T) {
	s := DefaultSchedule()
	total := time.Duration(0)
	for step, wait := range s {
		early, _ := s.next(step, now(), 0)
		late, ok := s.next(step, now(), 0.999999)
		if !ok || early.Sub(now()) != wait*9/10 || late.Sub(now()) > wait*11/10 || wait > 0 && late.Sub(now()) < wait*109/100 {
			t.Errorf("step %d: from %v to %v, want %v ±10 %%", step, early.Sub(now()), late.Sub(now()), wait)
		}
		total += wait
	}
	if _, ok := s.next(len(s), now(), 0); ok || len(s) != 10 || total > webhook.MaxAge {
		t.Errorf("%d steps in %v, want 10 in at most %v, and none after", len(s), total, webhook.MaxAge)
	}
}

func TestValidText(t *testing.T) {
	for excerpt, want := range map[string]string{
		strings.Repeat("\x00", 1024): strings.Repeat("\uFFFD", 341), strings.Repeat("a\xff", 512): strings.Repeat("a\uFFFD", 256),
		"": "", "ok": "ok", "a\x00b": "a\uFFFDb", "€": "€", "a\xe2\x82": "a", "a\xf0\x9f\x98": "a", "\xffa": "\uFFFDa", "a\xff": "a\uFFFD", "\x80\x80\x80\x80\x80": "\uFFFD",
	} {
		if got := validText([]byte(excerpt)); got != want {
			t.Errorf("%q: got %q, want %q", excerpt, got, want)
		}
	}
}

// receiver is a client and a sealer. It responds with a fixed response or error and keeps what was sent.
type receiver struct {
	response endpoint.Response
	err      error
	url      string
	header   http.Header
	body     string
}

func (r *receiver) Post(_ context.Context, u endpoint.URL, header http.Header, body []byte) (endpoint.Response, error) {
	r.url, r.header, r.body = u.String(), header, string(body)
	return r.response, r.err
}

func (r *receiver) Open(context.Context, string, string, []byte) (string, error) { return token, nil }

// work returns the first attempt of a delivery to a healthy lane.
func work() webhook.Work {
	return webhook.Work{
		Ref:     webhook.Ref{Company: "acme", WebhookID: "wh_1", EventID: eventID, AcceptedAt: now().Add(-time.Second)},
		Status:  webhook.StatusPending,
		Due:     now(),
		Webhook: webhook.Webhook{ID: "wh_1", URL: "https://receiver.example/a%2Fb", Version: 3},
		Event:   webhook.Event{ID: eventID, Body: []byte(body)},
	}
}

func newAttempter(r *receiver) *Attempter {
	return &Attempter{Client: r, Sealer: r, Schedule: DefaultSchedule(), Now: now, Random: func() float64 { return 0.5 }}
}

func TestAttemptSends(t *testing.T) {
	r := &receiver{response: endpoint.Response{Status: 200, Excerpt: []byte("thanks"), Bytes: 6}}
	w := work()
	w.Made = 4
	got, err := newAttempter(r).Attempt(t.Context(), w)
	want := webhook.Outcome{Ref: w.Ref, Status: webhook.StatusDelivered, WebhookVersion: 3, Attempt: webhook.Attempt{
		Number: 5, At: now(), URL: "https://receiver.example/a%2Fb", StatusCode: 200, Bytes: 6, Response: "thanks",
	}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if r.url != w.Webhook.URL || r.body != body || r.header.Get("Webhook-Id") != eventID || r.header.Get("Webhook-Signature") != signature ||
		r.header.Get("Content-Type") != "application/json" || r.header.Get("User-Agent") == "" || len(r.header) != 5 {
		t.Errorf("sent %s to %s with %v", r.body, r.url, r.header)
	}
	verifier, err := standardwebhooks.NewWebhook(token)
	if err != nil {
		t.Fatal(err)
	}
	if err := verifier.VerifyIgnoringTimestamp([]byte(r.body), r.header); err != nil {
		t.Errorf("the published library does not verify it: %v", err)
	}
}

func TestAttemptOutcomes(t *testing.T) {
	failing := webhook.Lane{Failures: 5, FailingSince: now().Add(-time.Hour)}
	respond := func(status int, header ...string) *receiver {
		h := make(http.Header)
		for i := 0; i < len(header); i += 2 {
			h.Set(header[i], header[i+1])
		}
		return &receiver{response: endpoint.Response{Status: status, Header: h}}
	}
	wait := func(d time.Duration) time.Time { return now().Add(d) }
	tests := []struct {
		name     string
		receiver *receiver
		change   func(w *webhook.Work)
		status   webhook.Status
		step     int
		due      time.Time
		lane     webhook.LaneOp
		class    webhook.ErrorClass
	}{
		{"204", respond(204), nil, "delivered", 0, time.Time{}, webhook.LaneUnchanged, ""},
		{"200 after failures", respond(200), func(w *webhook.Work) { w.Lane.Failures = 1 }, "delivered", 0, time.Time{}, webhook.LaneSucceeded, ""},
		{"200 and no more events", respond(200, "Webhook-Delivery", "disable"), nil, "delivered", 0, time.Time{}, webhook.LaneDisabled, ""},
		{"500", respond(500), nil, "pending", 1, wait(5 * time.Second), webhook.LaneFailed, "status"},
		{"302", respond(302), nil, "pending", 1, wait(5 * time.Second), webhook.LaneFailed, "status"},
		{"099", respond(99), nil, "pending", 1, wait(5 * time.Second), webhook.LaneFailed, "status"},
		{"410", respond(410), nil, "failed", 0, time.Time{}, webhook.LaneDisabled, "status"},
		{"500 and no more events", respond(500, "Webhook-Delivery", " DISABLE "), nil, "failed", 0, time.Time{}, webhook.LaneDisabled, "status"},
		{"500 and no more attempts", respond(500, "Webhook-Delivery", "abort-message"), nil, "failed", 0, time.Time{}, webhook.LaneFailed, "status"},
		{"429 with Retry-After", respond(429, "Retry-After", "60"), nil, "pending", 1, wait(time.Minute), webhook.LaneFailed, "status"},
		{"503 with a short Retry-After", respond(503, "Retry-After", "1"), nil, "pending", 1, wait(5 * time.Second), webhook.LaneFailed, "status"},
		{"503", respond(503), nil, "pending", 1, wait(5 * time.Second), webhook.LaneFailed, "status"},
		{"500 cannot ask for a pause", respond(500, "Retry-After", "60"), nil, "pending", 1, wait(5 * time.Second), webhook.LaneFailed, "status"},
		{"no response", &receiver{err: &endpoint.PostError{Class: webhook.ErrorTimeout}}, nil, "pending", 1, wait(5 * time.Second), webhook.LaneFailed, "timeout"},
		{"the last step", respond(500), func(w *webhook.Work) { w.Step = 9 }, "failed", 10, time.Time{}, webhook.LaneFailed, "status"},
		{"too old", respond(500), func(w *webhook.Work) { w.AcceptedAt = now().Add(-webhook.MaxAge) }, "failed", 0, time.Time{}, webhook.LaneFailed, "status"},
		{"a probe", respond(500), func(w *webhook.Work) { w.Lane, w.Step = failing, 2 }, "pending", 2, time.Time{}, webhook.LaneProbeFailed, "status"},
		{"a successful probe", respond(200), func(w *webhook.Work) { w.Lane = failing }, "delivered", 0, time.Time{}, webhook.LaneSucceeded, ""},
		{"granted", respond(500), func(w *webhook.Work) { w.Granted, w.Step, w.Due = true, 3, wait(time.Hour) }, "pending", 3, wait(time.Hour), webhook.LaneFailed, "status"},
		{"granted, of a failing lane", respond(500), func(w *webhook.Work) { w.Granted, w.Lane, w.Due = true, failing, wait(time.Hour) }, "pending", 0, wait(time.Hour), webhook.LaneFailed, "status"},
		{"granted, had failed", respond(200), func(w *webhook.Work) { w.Granted, w.Status = true, "failed" }, "delivered", 0, time.Time{}, webhook.LaneUnchanged, ""},
		{"granted, stays failed", respond(500), func(w *webhook.Work) { w.Granted, w.Status = true, "failed" }, "failed", 0, time.Time{}, webhook.LaneFailed, "status"},
		{"granted, stays delivered", respond(410), func(w *webhook.Work) { w.Granted, w.Status = true, "delivered" }, "delivered", 0, time.Time{}, webhook.LaneDisabled, "status"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := work()
			if tt.change != nil {
				tt.change(&w)
			}
			got, err := newAttempter(tt.receiver).Attempt(t.Context(), w)
			if err != nil || got.Status != tt.status || got.Step != tt.step || !got.Due.Equal(tt.due) || got.Lane != tt.lane || got.Attempt.Error != tt.class {
				t.Errorf("got %+v, %v, want %s, step %d, due %v, lane %d, %q", got, err, tt.status, tt.step, tt.due, tt.lane, tt.class)
			}
			if strings.Contains(tt.name, "Retry-After") == got.PausedUntil.IsZero() {
				t.Errorf("paused until %v", got.PausedUntil)
			}
		})
	}
}

// If this service is at fault, the attempt does not count.
func TestAttemptFaults(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	local := &endpoint.PostError{Class: webhook.ErrorConnect}
	for name, tt := range map[string]struct {
		ctx    context.Context
		err    error
		change func(w *webhook.Work)
	}{
		"stopped":     {canceled, &endpoint.PostError{Class: webhook.ErrorTimeout}, nil},
		"no ports":    {t.Context(), errors.Join(endpoint.ErrLocal, local), nil},
		"other error": {t.Context(), errors.New("boom"), nil},
		"invalid URL": {t.Context(), nil, func(w *webhook.Work) { w.Webhook.URL = "http://" + strings.Repeat("a", 9) }},
	} {
		w := work()
		if tt.change != nil {
			tt.change(&w)
		}
		if o, err := newAttempter(&receiver{err: tt.err}).Attempt(tt.ctx, w); err == nil || o.Attempt.Number != 0 {
			t.Errorf("%s: got %+v, %v, want an error and no attempt", name, o, err)
		}
	}
	// A response that has arrived counts: without it, the event would be sent again.
	o, err := newAttempter(&receiver{response: endpoint.Response{Status: 200}}).Attempt(canceled, work())
	if err != nil || o.Status != webhook.StatusDelivered {
		t.Errorf("stopped after a response: got %+v, %v", o, err)
	}
}

func TestBody(t *testing.T) {
	at := time.Date(2026, 1, 2, 4, 4, 5, 6_999_999, time.FixedZone("", 3600))
	got, err := Body(`a.<b>"`, at, []byte(" { \"b\" : 1.10e2,\n\"a\":\"\\u00e9 <&> \\/ é\", \"b\":12345678901234567890 } "))
	want := `{"type":"a.<b>\"","timestamp":"2026-01-02T03:04:05.006Z","data":{"b":1.10e2,"a":"\u00e9 <&> \/ é","b":12345678901234567890}}`
	if err != nil || string(got) != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	if _, err := Body("a", at, []byte("{")); err == nil {
		t.Error("data that is not JSON was accepted")
	}
}

func TestMillisUp(t *testing.T) {
	for nanos, want := range map[int64]int64{0: 0, 1: 1, 999_999: 1, 1_000_000: 1, 1_000_001: 2} {
		if got := millisUp(now().Add(time.Duration(nanos))); !got.Equal(now().Add(time.Duration(want) * time.Millisecond)) {
			t.Errorf("%d ns: got %v", nanos, got)
		}
	}
}
