package webhooktest

import (
	"strings"
	"time"
	"unicode/utf8"

	"webhooks/shared/webhook"
)

// oddText returns valid text of the maximum length of a description with everything that a database might trim, normalize,
// escape or truncate.
func oddText() string {
	odd := " \t\r\n\x00\x01\x7f\u0085\u2028\u2029\ufeff\ufffd\uffff" + // controls, separators, noncharacters
		"e\u0301 \u00e9 \u1100\u1161 \uac00" + // combining and composed
		"\U0001F469\u200d\U0001F4BB \U0010FFFF" + // outside the basic plane
		`'"\%_;--#$:{}<>&` + // special characters of query languages and escapes
		"\u202eabc\u202c \x00 "
	return odd + strings.Repeat("\U0001F4E8", webhook.MaxDescriptionLength-utf8.RuneCountInString(odd))
}

func valueCases() []testCase {
	return []testCase{
		{"text is returned exactly as stored", func(f *fixture) {
			w := f.newWebhook()
			text := []rune(oddText())
			w.Name, w.Description = string(text[:webhook.MaxNameLength]), string(text)
			f.create(w)
			f.wantStored(w)
		}},
		{"text that looks like something else stays text", func(f *fixture) {
			var stored []webhook.Webhook
			for _, text := range []string{"", " ", "0", "1e3", "007", "true", "null", "NULL", "{}", "[]", "x'00'", "\x00"} {
				w := f.newWebhook()
				w.Name, w.Description = text, text
				stored = append(stored, f.create(w)...)
			}
			f.wantStored(stored...)
		}},
		{"pages of more than a megabyte, which some databases cannot return in one response", func(f *fixture) {
			var stored []webhook.Webhook
			for range 22 {
				w := f.newWebhook()
				w.SealedToken = []byte(strings.Repeat("t", 60_000))
				stored = append(stored, f.create(w)...)
			}
			wantWebhooks(f.t, f.list(20, 1).Webhooks, stored[:20])
			wantWebhooks(f.t, f.list(20, 2).Webhooks, stored[20:])
			wantWebhooks(f.t, f.list(100, 1).Webhooks, stored)
			wantWebhooks(f.t, f.list(2, 11).Webhooks, stored[20:])
			f.wantAfter("", 100, stored...)
			f.wantAfter(stored[0].ID, 20, stored[1:21]...)
		}},
		{"times are returned in UTC with millisecond precision", func(f *fixture) {
			var stored []webhook.Webhook
			for _, at := range []time.Time{
				f.now,
				f.now.Truncate(time.Second),
				f.now.Truncate(time.Second).Add(999 * time.Millisecond),
				time.Date(1970, 1, 1, 0, 0, 0, 1_000_000, time.UTC),
				time.Date(2286, 11, 20, 17, 46, 40, 0, time.UTC), // the first with 11 digits of seconds
			} {
				w := f.newWebhook()
				w.CreatedAt = at
				stored = append(stored, f.create(w)...)
			}
			f.wantStored(stored...)
			if got := f.list(1, 1).Webhooks[0].CreatedAt.Location(); got != time.UTC {
				f.t.Errorf("CreatedAt is in %v, want UTC", got)
			}
		}},
	}
}
