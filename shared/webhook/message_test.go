package webhook

import (
	"strings"
	"testing"
	"time"
)

func TestMessageText(t *testing.T) {
	at := time.UnixMilli(1_767_323_045_006).UTC()
	for want, m := range map[string]Message{
		`{"kind":"delivery","company":"acme","webhook_id":"wh_1","event_id":"evt_1","accepted_at":1767323045006,"made":2,"slow":true,"count":1}`: {
			Kind: MessageDelivery, Ref: Ref{Company: "acme", WebhookID: "wh_1", EventID: "evt_1", AcceptedAt: at, Made: 2}, Slow: true, Count: 1,
		},
		`{"kind":"lane","company":"acme","webhook_id":"wh_1","slow":true,"after":"dlv_1","count":4}`: {
			Kind: MessageLane, Ref: Ref{Company: "acme", WebhookID: "wh_1"}, Slow: true, After: "dlv_1", Count: 4,
		},
		`{"kind":"fan-out","company":"acme","event_id":"evt_1","accepted_at":1767323045006,"after":"wh_1","count":1}`: {
			Kind: MessageFanOut, Ref: Ref{Company: "acme", EventID: "evt_1", AcceptedAt: at}, After: "wh_1", Count: 1,
		},
	} {
		if got := m.Text(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, err := ParseMessage(want); err != nil || got != m {
			t.Errorf("%s: got %+v, %v", want, got, err)
		}
	}
}

func TestParseMessageRejects(t *testing.T) {
	for _, text := range []string{
		"", "{", "null", "[]", `"delivery"`, "{}", `{"kind":"delivery"}`, `{"kind":"other","company":"acme","webhook_id":"wh_1","count":1}`,
		`{"kind":"delivery","company":"acme","webhook_id":"wh_1","event_id":"evt_1"}`,
		`{"kind":"delivery","company":"acme","webhook_id":"wh_1","event_id":"evt_1","accepted_at":1,"made":-1}`,
		`{"kind":"delivery","company":"acme","webhook_id":"wh_1","event_id":"evt_1","accepted_at":"2026-01-02T03:04:05Z"}`,
		`{"kind":"lane","company":"acme","webhook_id":"wh_1"}`, `{"kind":"lane","company":"acme","count":1}`, `{"kind":"fan-out","company":"acme","count":1}`,
		`{"kind":"lane","company":"secret","webhook_id":7}`,
	} {
		if m, err := ParseMessage(text); err == nil {
			t.Errorf("%s was accepted: %+v", text, m)
		} else if strings.Contains(err.Error(), "secret") {
			t.Errorf("the error quotes the message: %v", err)
		}
	}
}
