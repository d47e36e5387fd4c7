package deliverytest

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

const (
	hook  = "wh_1"
	event = "evt_1"
)

// story builds a history with a webhook and an event of each of two companies.
type story struct {
	t     *testing.T
	at    time.Time
	list  []Entry
	posts int
}

func newStory(t *testing.T) *story {
	s := &story{t: t, at: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	s.add(Created{Company: "acme", Webhook: hook, Types: []string{"paid"}}, Created{Company: "other", Webhook: "wh_2", Types: []string{"paid"}})
	s.wait(time.Minute)
	s.add(s.accepted("acme", event), s.accepted("other", "evt_2"))
	s.attempt("wh_2", "evt_2", 1, 200)
	s.add(Shown{"wh_2", "evt_2", webhook.StatusDelivered})
	return s
}

func (s *story) add(facts ...Fact) {
	for _, f := range facts {
		s.list = append(s.list, Entry{s.at, f})
	}
}

func (s *story) wait(d time.Duration) { s.at = s.at.Add(d) }

func (s *story) accepted(company, id string) Accepted {
	return Accepted{Company: company, Event: id, Type: "paid", At: s.at, Body: sha256.Sum256([]byte(id))}
}

func (s *story) begin(webhookID, eventID string, number int) {
	s.add(Read{webhookID, eventID, number, 0}, Begun{webhookID, eventID, 0})
}

func (s *story) arrived(webhookID, eventID string) Arrived {
	s.posts++
	return Arrived{Post: s.posts, Webhook: webhookID, Event: eventID, Body: sha256.Sum256([]byte(eventID)), Signed: s.at}
}

// outcome returns the outcome of an attempt that ends now, with the wait for the next one, if its status is pending.
func (s *story) outcome(webhookID, eventID string, number, code int, status webhook.Status, step int, wait time.Duration) Recorded {
	o := webhook.Outcome{
		Ref: webhook.Ref{WebhookID: webhookID, EventID: eventID, Made: number - 1}, Status: status, Step: step,
		Attempt: webhook.Attempt{Number: number, At: s.at, StatusCode: code},
	}
	if wait > 0 {
		o.Due = s.at.Add(wait)
	}
	return Recorded{Outcome: o}
}

// attempt adds a whole attempt, which takes no time. The next step after a failed one is the step of the number.
func (s *story) attempt(webhookID, eventID string, number, code int) {
	s.begin(webhookID, eventID, number)
	s.add(s.arrived(webhookID, eventID), Responded{Post: s.posts, Status: code})
	if succeeded(code) {
		s.add(s.outcome(webhookID, eventID, number, code, webhook.StatusDelivered, number-1, 0))
	} else {
		s.add(s.outcome(webhookID, eventID, number, code, webhook.StatusPending, number, schedule()[number]))
	}
}

// fail adds failed attempts on the schedule.
func (s *story) fail(times int) {
	for number := 1; number <= times; number++ {
		s.wait(schedule()[number-1])
		s.attempt(hook, event, number, 500)
	}
}

func (s *story) show(status webhook.Status) { s.add(Shown{hook, event, status}) }

func schedule() []time.Duration {
	return []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second}
}

func (s *story) check(tolerance time.Duration) []Violation {
	return Check(s.list, Options{Schedule: schedule(), Patience: time.Minute, Tolerance: tolerance})
}

func TestCheckExact(t *testing.T) {
	delivered, pending := webhook.StatusDelivered, webhook.StatusPending
	tests := []struct {
		name string
		want string // empty if there is nothing wrong
		tell func(s *story)
	}{
		{"delivered at once", "", func(s *story) { s.attempt(hook, event, 1, 204); s.show(delivered) }},
		{"delivered after a failure", "", func(s *story) { s.fail(1); s.wait(10 * time.Second); s.attempt(hook, event, 2, 200); s.show(delivered) }},
		{"crash before the outcome", "", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), Crashed{})
			s.attempt(hook, event, 1, 200)
			s.show(delivered)
		}},
		{"sent again on a new connection", "", func(s *story) {
			s.begin(hook, event, 1)
			kept := s.arrived(hook, event)
			kept.Kept = true
			s.add(kept, s.arrived(hook, event), Responded{Post: s.posts, Status: 200}, s.outcome(hook, event, 1, 200, delivered, 0, 0))
			s.show(delivered)
		}},
		{"fault of the service", "", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), Dropped{Webhook: hook, Event: event})
			s.attempt(hook, event, 1, 200)
			s.show(delivered)
		}},
		{"granted after delivery", "", func(s *story) {
			s.attempt(hook, event, 1, 200)
			s.add(Granted{hook, event, 2})
			s.begin(hook, event, 2)
			s.add(s.arrived(hook, event), Responded{Post: s.posts, Status: 500}, s.outcome(hook, event, 2, 500, delivered, 0, 0))
			s.show(delivered)
		}},
		{"begun before the deletion", "", func(s *story) {
			s.begin(hook, event, 1)
			s.add(Deleted{hook}, s.arrived(hook, event), Dropped{Webhook: hook, Event: event})
		}},
		{"the clock was set forward", "", func(s *story) {
			s.fail(1)
			s.add(Jumped{10 * time.Second})
			s.attempt(hook, event, 2, 200)
			s.show(delivered)
		}},
		{"probed", "", func(s *story) {
			s.fail(5)
			s.wait(160 * time.Second)
			s.begin(hook, event, 6)
			s.add(s.arrived(hook, event), s.outcome(hook, event, 6, 0, pending, 5, 0))
			s.wait(time.Minute)
			s.attempt(hook, event, 7, 200)
			s.show(delivered)
		}},
		{"gone", "", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), Responded{Post: s.posts, Status: 410, Final: true, Disable: true},
				s.outcome(hook, event, 1, 410, webhook.StatusFailed, 0, 0), s.accepted("acme", "evt_3"), Shown{hook, "evt_3", webhook.StatusHeld})
			s.show(webhook.StatusFailed)
		}},

		{"lost", "invariant 1: webhook wh_1, event evt_1: the delivery is lost", func(s *story) { s.attempt(hook, event, 1, 200) }},
		{"status lost", "invariant 1: webhook wh_1, event evt_1: it is shown as pending", func(s *story) { s.attempt(hook, event, 1, 200); s.show(pending) }},
		{"recorded without a request", "although no attempt runs", func(s *story) { s.add(s.outcome(hook, event, 1, 200, delivered, 0, 0)); s.show(delivered) }},
		{"recorded before the response", "the receiver did not send it", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), s.outcome(hook, event, 1, 200, delivered, 0, 0))
			s.show(delivered)
		}},
		{"given up early", "it becomes failed", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), s.outcome(hook, event, 1, 0, webhook.StatusFailed, 1, 0))
			s.show(webhook.StatusFailed)
		}},
		{"a success that does not count", "it becomes pending", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), Responded{Post: 2, Status: 200}, s.outcome(hook, event, 1, 200, pending, 1, 10*time.Second))
			s.show(pending)
		}},
		{"again after delivery", "invariant 2: webhook wh_1, event evt_1: attempt 2 begins after the delivery was delivered", func(s *story) {
			s.attempt(hook, event, 1, 200)
			s.attempt(hook, event, 2, 200)
			s.show(delivered)
		}},
		{"a grant that is not used up", "attempt 3 begins after the delivery was delivered", func(s *story) {
			s.attempt(hook, event, 1, 200)
			s.add(Granted{hook, event, 2})
			s.attempt(hook, event, 2, 200)
			s.attempt(hook, event, 3, 200)
			s.show(delivered)
		}},
		{"begun after the deletion", "attempt 1 begins after the webhook was deleted", func(s *story) { s.add(Deleted{hook}); s.begin(hook, event, 1) }},
		{"begun although disabled", "although the webhook is disabled", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), Responded{Post: s.posts, Status: 410, Final: true, Disable: true},
				s.outcome(hook, event, 1, 410, webhook.StatusFailed, 0, 0), s.accepted("acme", "evt_3"))
			s.begin(hook, "evt_3", 1)
		}},
		{"sent long after it began", "no attempt has begun", func(s *story) {
			s.begin(hook, event, 1)
			s.wait(17 * time.Second)
			s.add(s.arrived(hook, event))
		}},
		{"changed body", "invariant 3: webhook wh_1, event evt_1: the body", func(s *story) {
			s.begin(hook, event, 1)
			a := s.arrived(hook, event)
			a.Body[0]++
			s.add(a)
		}},
		{"invalid signature", "invariant 3: webhook wh_1, event evt_1: no match", func(s *story) {
			s.begin(hook, event, 1)
			a := s.arrived(hook, event)
			a.Invalid = "no match"
			s.add(a)
		}},
		{"old timestamp", "signed at", func(s *story) {
			s.begin(hook, event, 1)
			a := s.arrived(hook, event)
			a.Signed = a.Signed.Add(-2 * time.Second)
			s.add(a)
		}},
		{"another company's event", "the event belongs to another company", func(s *story) { s.add(s.arrived(hook, "evt_2")) }},
		{"an event that nobody published", "did not subscribe", func(s *story) { s.add(s.arrived(hook, "evt_9")) }},
		{"created after the event", "did not subscribe", func(s *story) {
			s.add(Created{Company: "acme", Webhook: "wh_3", Types: []string{"paid"}}, Read{"wh_3", event, 1, 0})
		}},
		{"a number is left out", "attempt 2 is recorded after attempt 0", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), s.outcome(hook, event, 2, 0, pending, 1, 10*time.Second))
		}},
		{"a number is repeated", "attempt 1 begins after attempt 1", func(s *story) { s.fail(1); s.wait(10 * time.Second); s.begin(hook, event, 1) }},
		{"an old reading", "what was read before another attempt", func(s *story) { s.fail(1); s.wait(10 * time.Second); s.add(Begun{Webhook: hook, Event: event}) }},
		{"two at a time", "while another one runs", func(s *story) { s.begin(hook, event, 1); s.begin(hook, event, 1) }},
		{"stopped too soon", "without the outcome", func(s *story) { s.begin(hook, event, 1); s.add(Stopped{}) }},
		{"too early", "1ms before it is due", func(s *story) { s.fail(1); s.wait(10*time.Second - time.Millisecond); s.begin(hook, event, 2) }},
		{"due too early", "step 1 is due", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), s.outcome(hook, event, 1, 0, pending, 1, 9*time.Second-1))
		}},
		{"a step is skipped", "step 2 is due", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), s.outcome(hook, event, 1, 0, pending, 2, 20*time.Second))
		}},
		{"within a pause", "before the end of the pause", func(s *story) {
			s.add(s.accepted("acme", "evt_3"))
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), Responded{Post: s.posts, Status: 429, PausedUntil: s.at.Add(time.Minute)},
				s.outcome(hook, event, 1, 429, pending, 1, time.Minute))
			s.begin(hook, "evt_3", 1)
		}},
		{"a probe too early", "before the lane is probed", func(s *story) {
			s.fail(5)
			s.add(s.accepted("acme", "evt_3"))
			s.wait(29 * time.Second)
			s.begin(hook, "evt_3", 1)
		}},
		{"two probes", "another one probes", func(s *story) {
			s.fail(5)
			s.add(s.accepted("acme", "evt_3"), s.accepted("acme", "evt_4"))
			s.wait(30 * time.Second)
			s.begin(hook, "evt_3", 1)
			s.begin(hook, "evt_4", 1)
		}},
		{"too many requests", "invariant 4: webhook wh_1, event evt_1: 2 requests for 1 attempts", func(s *story) {
			s.begin(hook, event, 1)
			s.add(s.arrived(hook, event), s.arrived(hook, event), Responded{Post: s.posts, Status: 200}, s.outcome(hook, event, 1, 200, delivered, 0, 0))
			s.show(delivered)
		}},
		{"starved", "invariant 6: webhook wh_1, event evt_1: it has been due for 1m1s", func(s *story) { s.add(Calmed{}); s.wait(61 * time.Second); s.show(pending) }},
		{"late", "its attempt begins 1m1s late", func(s *story) {
			s.add(Calmed{})
			s.wait(61 * time.Second)
			s.attempt(hook, event, 1, 200)
			s.show(delivered)
		}},
		{"a lane that is not probed", "it has been due for 2m0s", func(s *story) { s.fail(5); s.add(Calmed{}); s.wait(280 * time.Second); s.show(pending) }},
		{"an outcome that is not stored", "not stored 1m1s after it ended", func(s *story) {
			s.begin(hook, event, 1)
			s.wait(10 * time.Minute)
			s.add(Calmed{})
			s.wait(61 * time.Second)
			s.show(pending)
		}},
		{"a grant is forgotten", "a granted retry has waited", func(s *story) {
			s.attempt(hook, event, 1, 200)
			s.add(Calmed{}, Granted{hook, event, 2})
			s.wait(61 * time.Second)
			s.show(delivered)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			tt.tell(s)
			expect(t, s.check(0), tt.want)
		})
	}
}

// expect checks that one of the violations contains want, or that there are none if it is empty.
func expect(t *testing.T, violations []Violation, want string) {
	t.Helper()
	got := fmt.Sprint(violations)
	if want == "" && len(violations) > 0 || !strings.Contains(got, want) {
		t.Errorf("got %s, want %q", got, want)
	}
}

// Without facts from inside the service, a request may arrive for some time after a deletion, and not later.
func TestCheckOutside(t *testing.T) {
	for _, tt := range []struct {
		name string
		want string
		tell func(s *story)
	}{
		{"in time", "", func(s *story) { s.add(Deleted{hook}); s.wait(16 * time.Second); s.add(s.arrived(hook, event)) }},
		{"too late", "after the webhook was deleted", func(s *story) { s.add(Deleted{hook}); s.wait(18 * time.Second); s.add(s.arrived(hook, event)) }},
		{"late shown status", "", func(s *story) {
			s.add(s.arrived(hook, event), Responded{Post: s.posts, Status: 200}, s.outcome(hook, event, 1, 200, webhook.StatusDelivered, 0, 0))
			s.show(webhook.StatusDelivered)
		}},
		{"lost", "the delivery is lost", func(s *story) { s.add(s.arrived(hook, event)) }},
		{"created at about the same time", "", func(s *story) {
			s.add(Created{Company: "acme", Webhook: "wh_3", Types: []string{"paid"}}, s.accepted("acme", "evt_3"), Shown{hook, "evt_3", webhook.StatusPending})
			s.show(webhook.StatusPending)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newStory(t)
			outside := s.list[:0]
			for _, e := range s.list {
				switch e.Fact.(type) {
				case Read, Begun:
				default:
					outside = append(outside, e)
				}
			}
			s.list = outside
			s.wait(time.Minute)
			tt.tell(s)
			expect(t, s.check(time.Second), tt.want)
		})
	}
}

func TestNewArrived(t *testing.T) {
	// The example of the specification of Standard Webhooks.
	const token, body = "whsec_plJ3nmyCDGBKInavdOK15jsl", `{"event_type":"ping","data":{"success":true}}`
	header := func(change ...string) http.Header {
		h := http.Header{
			"Content-Type": {"application/json"}, "Webhook-Id": {"msg_loFOjxBNrRLzqYUf"}, "Webhook-Timestamp": {"1731705121"},
			"Webhook-Signature": {"v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="},
		}
		for i := 0; i < len(change); i += 2 {
			h.Set(change[i], change[i+1])
		}
		return h
	}
	got := NewArrived(7, hook, token, header(), []byte(body))
	want := Arrived{Post: 7, Webhook: hook, Event: "msg_loFOjxBNrRLzqYUf", Body: sha256.Sum256([]byte(body)), Signed: time.Unix(1731705121, 0)}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	for name, h := range map[string]http.Header{
		"signature":       header("Webhook-Signature", "v1,AAAA"),
		"timestamp":       header("Webhook-Timestamp", "1731705122"),
		"ID":              header("Webhook-Id", "msg_2"),
		"content type":    header("Content-Type", "text/plain"),
		"idempotency key": header("Idempotency-Key", "a"),
	} {
		if got := NewArrived(7, hook, token, h, []byte(body)); got.Invalid == "" {
			t.Errorf("a wrong %s was accepted", name)
		}
	}
}

func TestRecorder(t *testing.T) {
	at := time.Unix(2, 0)
	r := NewRecorder(func() time.Time { return at })
	r.Add(Crashed{})
	at = time.Unix(1, 0)
	r.Add(Calmed{})
	if got := r.History(); len(got) != 2 || got[0] != (Entry{time.Unix(1, 0), Calmed{}}) || got[1] != (Entry{time.Unix(2, 0), Crashed{}}) {
		t.Errorf("got %v, want the two in the order of time", got)
	}
}
