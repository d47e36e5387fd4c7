package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"
)

// testCreate checks the answer of a creation byte for byte, and what may be left out.
func testCreate(t *testing.T, s *suite) {
	t.Run("byte for byte", func(t *testing.T) {
		r := s.do(t, s.creation(s.valid().body()))
		w := s.created(t, r)
		r.wantBody(t, http.StatusCreated, fmt.Sprintf(`{"id":"%s","name":"Billing Events","description":"Receive invoice and payment updates",`+
			`"url":"%s","events":["%s"],"token":"%s"}`, w.ID, s.receiver, s.event, w.Token))
	})
	for name, change := range map[string]func(fields) fields{
		"no description":      func(f fields) fields { return f.without("description") },
		"null as description": func(f fields) fields { return f.with("description", nil) },
		"empty description":   func(f fields) fields { return f.with("description", "") },
	} {
		t.Run(name, func(t *testing.T) {
			if w := s.create(t, change(s.valid())); w.Description != "" {
				t.Errorf("the description is %q, want none", w.Description)
			}
		})
	}
	t.Run("blank description", func(t *testing.T) {
		if w := s.create(t, s.valid().with("description", " ")); w.Description != " " {
			t.Errorf("the description is %q, want it as sent", w.Description)
		}
	})
	t.Run("the id tells when", func(t *testing.T) {
		r := s.do(t, s.creation(s.valid().body()))
		id, err := ulid.ParseStrict(strings.TrimPrefix(s.created(t, r).ID, "wh_"))
		if err != nil {
			t.Fatal(err)
		}
		now, err := http.ParseTime(r.header.Get("Date"))
		if err != nil {
			now = time.Now()
		}
		if off := now.Sub(id.Timestamp()).Abs(); off > time.Minute {
			t.Errorf("the id is %v off", off)
		}
	})
	t.Run("equal requests make two webhooks", func(t *testing.T) {
		before := s.count(t)
		first, second := s.create(t, s.valid()), s.create(t, s.valid())
		if first.ID == second.ID || first.Token == second.Token {
			t.Error("two creations have an id or a token in common")
		}
		if after := s.count(t); after != before+2 {
			t.Errorf("the count is %d and was %d before two creations", after, before)
		}
	})
	t.Run("the token is shown once", func(t *testing.T) {
		w := s.create(t, s.valid())
		want := w.redacted().json()
		s.get(t, w.ID).wantBody(t, http.StatusOK, want)
		s.do(t, request{path: "/webhook?webhookId=" + w.ID, key: s.keys.both}).wantBody(t, http.StatusOK, want)
		if got := s.newest(t); got.ID != w.ID || got.Token != "redacted" {
			t.Errorf("the list ends with %s, want %s with its token redacted", got.ID, w.ID)
		}
	})
}

// testCreateMissing checks what counts as missing: absent, null, empty, blank, of the wrong type.
func testCreateMissing(t *testing.T, s *suite) {
	for name, body := range map[string]string{
		"absent": "{}", "null": `{"webhook":null}`, "string": `{"webhook":"x"}`, "number": `{"webhook":1}`, "true": `{"webhook":true}`,
		"array": `{"webhook":[{"name":"x"}]}`, "empty string": `{"webhook":""}`, "false": `{"webhook":false}`,
	} {
		t.Run("webhook "+name, func(t *testing.T) {
			s.do(t, s.wrongCreation(body)).wantError(t, http.StatusBadRequest, mustSpecify("webhook"))
		})
	}
	t.Run("webhook empty", func(t *testing.T) {
		s.do(t, s.wrongCreation(`{"webhook":{}}`)).wantError(t, http.StatusBadRequest, mustSpecify("name"))
	})
	values := map[string]any{
		"null": nil, "empty": "", "blank": "   ", "blank lines": "\t\r\n", "ideographic blank": "\u3000",
		"number": 1, "zero": 0, "true": true, "false": false, "object": map[string]any{"a": "b"},
	}
	for _, field := range []string{"name", "url", "events"} {
		t.Run(field+" absent", func(t *testing.T) {
			s.do(t, s.wrongCreation(s.valid().without(field).body())).wantError(t, http.StatusBadRequest, mustSpecify(field))
		})
		for name, value := range values {
			t.Run(field+" "+name, func(t *testing.T) {
				s.do(t, s.wrongCreation(s.valid().with(field, value).body())).wantError(t, http.StatusBadRequest, mustSpecify(field))
			})
		}
	}
	for _, row := range []struct {
		field, name string
		value       any
	}{
		{"name", "array", []string{"x"}},
		{"url", "array", []string{s.receiver}},
		{"events", "empty array", []string{}},
		{"events", "with an empty one", []string{s.event, ""}},
		{"events", "with a blank one", []string{s.event, " \t"}},
		{"events", "with a null", []any{s.event, nil}},
		{"events", "with a number", []any{s.event, 1}},
		{"events", "with an array", []any{[]string{s.event}}},
		{"events", "with an object", []any{map[string]any{s.event: true}}},
		{"description", "number", 1},
		{"description", "true", true},
		{"description", "array", []string{}},
		{"description", "object", map[string]any{}},
	} {
		t.Run(row.field+" "+row.name, func(t *testing.T) {
			s.do(t, s.wrongCreation(s.valid().with(row.field, row.value).body())).wantError(t, http.StatusBadRequest, mustSpecify(row.field))
		})
	}
}

// testCreateLimits checks both sides of every limit, in the unit of each.
func testCreateLimits(t *testing.T, s *suite) {
	longURL := s.receiver + "?" + strings.Repeat("u", 2048-len(s.receiver)-1)
	for name, f := range map[string]fields{
		"name of 255 characters":         s.valid().with("name", strings.Repeat("n", 255)),
		"name of 255 emoji":              s.valid().with("name", strings.Repeat("😀", 255)),
		"name of one character":          s.valid().with("name", "n"),
		"description of 1024 characters": s.valid().with("description", strings.Repeat("d", 1024)),
		"description of 1024 emoji":      s.valid().with("description", strings.Repeat("😀", 1024)),
		"url of 2048 bytes":              s.valid().with("url", longURL),
		"40 events, all the same":        s.valid().with("events", repeat(s.event, 40)),
	} {
		t.Run(name, func(t *testing.T) {
			w := s.create(t, f)
			if w.Name != f["name"] || w.Description != f["description"] || w.URL != f["url"] || len(w.Events) != 1 {
				t.Error("it did not come back as sent")
			}
			if got := decodeWebhook(t, s.get(t, w.ID)); !got.equal(w.redacted()) {
				t.Error("it does not read as its creation's answer said")
			}
		})
	}
	for _, row := range []struct {
		name, field, limit string
		value              any
	}{
		{"name of 256 characters", "name", "255", strings.Repeat("n", 256)},
		{"name of 256 emoji", "name", "255", strings.Repeat("😀", 256)},
		{"name of 256 characters, most of them blanks", "name", "255", "n" + strings.Repeat(" ", 255)},
		{"description of 1025 characters", "description", "1024", strings.Repeat("d", 1025)},
		{"description of 1025 emoji", "description", "1024", strings.Repeat("😀", 1025)},
		{"description of 1025 blanks", "description", "1024", strings.Repeat(" ", 1025)},
		{"url of 2049 bytes", "url", "2048", longURL + "u"},
		{"url of fewer characters and more bytes", "url", "2048", s.receiver + "?" + strings.Repeat("ü", 1024)},
		{"41 events", "events", "40", append(repeat(s.event, 40), "no.such.event")},
		{"41 events, all the same", "events", "40", repeat(s.event, 41)},
		{"event of 129 characters", "events", "128", strings.Repeat("e", 129)},
		{"event of 129 characters among others", "events", "128", []string{s.event, strings.Repeat("e", 129)}},
		{"event of 129 emoji", "events", "128", strings.Repeat("😀", 129)},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := s.do(t, s.wrongCreation(s.valid().with(row.field, row.value).body()))
			r.wantErrorNaming(t, http.StatusBadRequest, row.field, row.limit)
		})
	}
	for name, event := range map[string]string{"128 characters": strings.Repeat("e", 128), "128 emoji": strings.Repeat("😀", 128)} {
		t.Run("event of "+name, func(t *testing.T) {
			s.do(t, s.wrongCreation(s.valid().with("events", event).body())).wantError(t, http.StatusUnprocessableEntity, notAvailable)
		})
	}
}
