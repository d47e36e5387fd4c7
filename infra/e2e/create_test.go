package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// testReference sends the request of the API reference and compares the responses with those that it prints.
func testReference(t *testing.T, s *suite) {
	switch {
	case s.own != nil:
		s = s.another(t, "--dev", "--tls-check", "off") // the reference's host is not on loopback
	case s.receiver != referenceReceiver || s.event != referenceEvent:
		t.Skip("the service is not known to accept the URL and event type of the API reference")
	}
	const request = `{
"webhook": {
"name": "Billing Events",
"description": "Receive invoice and payment updates",
"url": "https://example.com/webhooks/billing",
"events": [
"RecurringPayments.charge.paid"
]
}
}`
	const printed = `{"id":"wh_001","name":"Billing Events","description":"Receive invoice and payment updates",` +
		`"url":"https://example.com/webhooks/billing","events":["RecurringPayments.charge.paid"],"token":"generated_webhook_token"}`
	r := s.do(t, s.post(request))
	w := s.created(t, r)
	r.want(t, 201, strings.NewReplacer("wh_001", w.ID, "generated_webhook_token", w.Token).Replace(printed))
	redacted := strings.NewReplacer("wh_001", w.ID, "generated_webhook_token", "redacted").Replace(printed)
	s.do(t, s.get("/webhook?webhookId="+w.ID)).want(t, 200, redacted)
	s.do(t, s.get("/webhooks/"+w.ID)).want(t, 200, redacted)
	if got := s.newest(t).json(); got != redacted {
		t.Errorf("the list ends with %s\nwant %s", got, redacted)
	}
	s.rejects(t,
		row{"empty URL", s.post(strings.Replace(request, referenceReceiver, "", 1)), 400, `A valid "url" must be specified.`},
		row{"unknown event", s.post(strings.Replace(request, "charge.paid", "x", 1)), 422, "Some events are not available"},
		row{"get", s.get("/webhook?webhookId=wh_001"), 404, "Webhook not found."},
		row{"delete", s.delete("/webhook?webhookId=wh_001"), 404, "Webhook not found. Unable to delete unknown resource"},
	)
	s.do(t, s.delete("/webhook?webhookId="+w.ID)).want(t, 200, `{"id":"`+w.ID+`","deleted":true}`)
}

func testCreate(t *testing.T, s *suite) {
	for name, f := range map[string]fields{
		"no description": s.valid().without("description"), "null description": s.valid().with("description", nil),
		"empty description": s.valid().with("description", ""),
	} {
		t.Run(name, func(t *testing.T) { s.stores(t, s.post(f.body()), defaultName, "", s.receiver, s.event) })
	}
}

// Text is returned exactly as it was sent.
func testCreateText(t *testing.T, s *suite) {
	for name, text := range map[string]string{
		"emoji":                 "😀 👩‍👩‍👧‍👦 🏴󠁧󠁢󠁥󠁮󠁧󠁿",
		"control characters":    "a\x00b\x01\x08\t\n\f\r\x1b\x1f\x7f\u0080\u0085\u009f\u2028\u2029c",
		"HTML, SQL, templates":  `<script>&amp;'"</script>'; DROP TABLE webhooks; --{{.}} %s ${x} #{x}`,
		"backslashes":           `\ \\ \n \u0041 \ud800 C:\new`,
		"spaces around":         " \u00a0\u3000 a \u3000\u00a0 ",
		"decomposed, reordered": "\u00e9 e\u0301\u202eabc\u202c שלום",
		"special code points":   "\ufeffa\ufeff\ufffd\uffff\U0010ffff\ue000\U000f0000",
		"redacted":              "redacted",
		"number":                "1e400",
	} {
		t.Run(name, func(t *testing.T) {
			s.stores(t, s.post(s.valid().with("name", text).with("description", text).body()), text, text, s.receiver, s.event)
		})
	}
	t.Run("blank description", func(t *testing.T) {
		s.stores(t, s.post(s.valid().with("description", " ").body()), defaultName, " ", s.receiver, s.event)
	})
	t.Run("escapes", func(t *testing.T) {
		body := strings.NewReplacer(defaultName, `\ud83d\ude00\uD83D\uDE00\u00e9\u003c\/\u0000`, defaultDescription, `\u2028\"\t`).Replace(s.valid().body())
		s.stores(t, s.post(body), "😀😀é</\x00", "\u2028\"\t", s.receiver, s.event)
	})
	authority, path, _ := strings.Cut(strings.TrimPrefix(s.receiver, "https://"), "/")
	for _, url := range []string{
		"https://" + authority,
		"https://" + authority + "/",
		"HTTPS://" + strings.ToUpper(authority) + "/" + path,
		"https://" + authority + "/a/../b/./c//" + path,
		"https://" + authority + "/%7Euser/%2f%2F/" + path,
		"https://" + authority + "/" + path + "?",
		"https://" + authority + "/" + path + "?b=2&a=1&a=%20+'&empty",
	} {
		t.Run(strings.TrimPrefix(url, "https://"+authority), func(t *testing.T) {
			s.stores(t, s.post(s.valid().with("url", url).body()), defaultName, defaultDescription, url, s.event)
		})
	}
}

func testCreateEvents(t *testing.T, s *suite) {
	types := s.types(t, s.keys.both)
	first, last := types[0], types[len(types)-1]
	for _, row := range []struct {
		name   string
		events any
		want   []string
	}{
		{"one string", s.event, []string{s.event}},
		{"40 times the same", slices.Repeat([]string{s.event}, 40), []string{s.event}},
		{"order of first occurrence", []string{last, first, last, first}, []string{last, first}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if len(types) == 1 && len(row.want) == 2 {
				t.Skip("the company has only one event type")
			}
			s.stores(t, s.post(s.valid().with("events", row.events).body()), defaultName, defaultDescription, s.receiver, row.want...)
		})
	}
	s.grows(t, 0, func() {
		for i, events := range []any{
			"no.such.event", []string{"no.such.event"}, []string{s.event, "no.such.event"}, []string{"no.such.event", s.event},
			strings.ToUpper(s.event), " " + s.event, s.event + " ", s.event[:len(s.event)-1], "*", s.event + "\x00", s.event + "," + s.event,
		} {
			s.rejects(t, row{fmt.Sprintf("not available %d: %.40q", i, events), s.post(s.valid().with("events", events).body()), 422, notAvailable})
		}
	})
}
