package e2e

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

const referenceEvent = "RecurringPayments.charge.paid"

// referenceRequest is the request body of the reference page, letter for letter.
const referenceRequest = `{
"webhook": {
"name": "Billing Events",
"description": "Receive invoice and payment updates",
"url": "https://example.com/webhooks/billing",
"events": [
"RecurringPayments.charge.paid"
]
}
}`

// testReference sends what the reference page prints and compares with what it prints.
func testReference(t *testing.T, s *suite) {
	key := s.keys.both
	if s.own != nil {
		// The one host of the reference is not on loopback, so it is not to be asked.
		s = s.own.withoutTLSCheck(t, s)
		key = s.keys.both
	} else if s.receiver != referenceReceiver {
		t.Skip("the service is not known to accept https://example.com: WEBHOOKS_E2E_RECEIVER names another receiver")
	}
	if !slices.Contains(s.types(t, key), referenceEvent) {
		missing(t, "the company cannot subscribe to %s: add it with webhookctl types add", referenceEvent)
	}
	const printed = `{"id":"wh_001","name":"Billing Events","description":"Receive invoice and payment updates",` +
		`"url":"https://example.com/webhooks/billing","events":["RecurringPayments.charge.paid"],"token":"generated_webhook_token"}`
	r := s.do(t, s.creation(referenceRequest).withKey(key))
	w := s.created(t, r)
	want := strings.NewReplacer("wh_001", w.ID, "generated_webhook_token", w.Token).Replace(printed)
	r.wantBody(t, http.StatusCreated, want)

	redacted := strings.Replace(want, w.Token, "redacted", 1)
	s.do(t, request{path: "/webhook?webhookId=" + w.ID, key: key}).wantBody(t, http.StatusOK, redacted)
	s.do(t, request{path: "/webhooks/" + w.ID, key: key}).wantBody(t, http.StatusOK, redacted)
	if got := s.newest(t).json(); got != redacted {
		t.Errorf("the list ends with %s\nwant %s", got, redacted)
	}
	s.do(t, s.creation(strings.Replace(referenceRequest, `"https://example.com/webhooks/billing"`, `""`, 1)).asWrong().withKey(key)).
		wantError(t, http.StatusBadRequest, `A valid "url" must be specified.`)
	s.do(t, s.creation(strings.Replace(referenceRequest, "charge.paid", "charge.unknown", 1)).withKey(key)).
		wantError(t, http.StatusUnprocessableEntity, "Some events are not available")
	s.do(t, request{path: "/webhook?webhookId=wh_001", key: key}).wantError(t, http.StatusNotFound, "Webhook not found.")
	s.do(t, request{method: http.MethodDelete, path: "/webhook?webhookId=" + w.ID, key: key}).
		wantBody(t, http.StatusOK, `{"id":"`+w.ID+`","deleted":true}`)
	s.do(t, request{method: http.MethodDelete, path: "/webhook?webhookId=" + w.ID, key: key}).
		wantError(t, http.StatusNotFound, "Webhook not found. Unable to delete unknown resource")
}

func (r request) asWrong() request {
	r.wrong = true
	return r
}
