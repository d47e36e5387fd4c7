package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// testBodySize checks the limit of 64 KiB, which counts bytes, whatever they are.
func testBodySize(t *testing.T, s *suite) {
	valid := s.valid().body()
	pad := func(size int) string { return valid + strings.Repeat(" ", size-len(valid)) }
	t.Run("at the limit", func(t *testing.T) {
		s.created(t, s.do(t, s.creation(pad(maxBody))))
	})
	t.Run("at the limit, in an ignored field", func(t *testing.T) {
		start, end := valid[:len(valid)-2], `,"ignored":"`
		s.created(t, s.do(t, s.creation(start+end+strings.Repeat("x", maxBody-len(start+end)-2)+`"}`)))
	})
	t.Run("at the limit, streamed", func(t *testing.T) {
		r := s.creation(pad(maxBody))
		r.streamed = true
		s.created(t, s.do(t, r))
	})
	rows := []struct {
		name     string
		size     int
		streamed bool
	}{
		{"one byte over", maxBody + 1, false},
		{"one byte over, streamed", maxBody + 1, true},
		{"far over", 4 * maxBody, false},
		{"far over, streamed", 4 * maxBody, true},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			r := s.wrongCreation(pad(row.size))
			r.streamed = row.streamed
			s.do(t, r).wantErrorNaming(t, http.StatusRequestEntityTooLarge)
		})
	}
	t.Run("where no body is expected", func(t *testing.T) {
		s.onlyOn(t, "gateways treat such bodies in ways of their own", hostServe)
		for _, c := range calls() {
			r := c.request(s, unknownID, s.keys.both)
			r.body, r.wrong = pad(maxBody+1), true
			s.do(t, r).wantErrorNaming(t, http.StatusRequestEntityTooLarge)
		}
	})
}

// testBodySyntax checks what is not one JSON object, in UTF-8, without lone surrogates.
func testBodySyntax(t *testing.T, s *suite) {
	valid := strings.TrimSpace(s.valid().body())
	rows := []struct{ name, body string }{
		{"empty", ""},
		{"blank", " \n"},
		{"null", "null"},
		{"array", "[" + valid + "]"},
		{"string", `"webhook"`},
		{"number", "1"},
		{"true", "true"},
		{"two objects", valid + valid},
		{"object and more", valid + "x"},
		{"object and a bracket", valid + "}"},
		{"cut short", valid[:len(valid)-1]},
		{"comma at the end", valid[:len(valid)-1] + ",}"},
		{"comment", valid + "// a comment"},
		{"single quotes", strings.ReplaceAll(valid, `"`, "'")},
		{"name without quotes", strings.Replace(valid, `"webhook"`, "webhook", 1)},
		{"NaN", strings.Replace(valid, "{", `{"ignored":NaN,`, 1)},
		{"line end in a string", strings.Replace(valid, "{", "{\"ignored\":\"\n\",", 1)},
		{"unknown escape", strings.Replace(valid, "{", `{"ignored":"\x41",`, 1)},
		{"form", "webhook=1"},
		{"lone high surrogate", strings.Replace(valid, "{", `{"ignored":"\ud83d",`, 1)},
		{"lone low surrogate", strings.Replace(valid, "{", `{"ignored":"\ude00",`, 1)},
		{"surrogates in the wrong order", strings.Replace(valid, "{", `{"ignored":"\ude00\ud83d",`, 1)},
		{"high surrogate before another escape", strings.Replace(valid, "{", `{"ignored":"\ud83d\u0041",`, 1)},
		{"high surrogate before another high one", strings.Replace(valid, "{", `{"ignored":"\ud83d\ud83d\ude00",`, 1)},
		{"lone surrogate in a field name", strings.Replace(valid, "{", `{"\ud83d":1,`, 1)},
		{"lone surrogate in the name", strings.Replace(valid, "Billing", `\ud83d`, 1)},
		{"lone surrogate in the description", strings.Replace(valid, "Receive", `\ude00`, 1)},
		{"lone surrogate in an event", strings.Replace(valid, s.event, `\ud83d`, 1)},
		{"lone surrogate in the url", strings.Replace(valid, s.receiver, s.receiver+`?\ud83d`, 1)},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			s.do(t, s.wrongCreation(row.body)).wantErrorNaming(t, http.StatusBadRequest)
		})
	}
	testInvalidUTF8(t, s, valid)
}

func testInvalidUTF8(t *testing.T, s *suite, valid string) {
	rows := []struct{ name, bytes string }{
		{"a byte that never occurs", "\xff"},
		{"a sequence cut short", "\xe2\x82"},
		{"an overlong form", "\xc0\xaf"},
		{"an encoded surrogate", "\xed\xa0\xbd"},
		{"beyond the last code point", "\xf4\x90\x80\x80"},
		{"Latin-1", "Gr\xfc\xdfe"},
	}
	for _, row := range rows {
		t.Run("invalid UTF-8: "+row.name, func(t *testing.T) {
			s.onlyOn(t, "SAM answers bodies that are not UTF-8 itself, with 502", hostServe, hostGateway)
			for _, body := range []string{
				strings.Replace(valid, "Billing", row.bytes, 1),
				strings.Replace(valid, "{", `{"ignored":"`+row.bytes+`",`, 1),
				strings.Replace(valid, "{", `{"`+row.bytes+`":1,`, 1),
			} {
				s.do(t, s.wrongCreation(body)).wantErrorNaming(t, http.StatusBadRequest)
			}
		})
	}
}

// testBodyFields checks that field names match exactly, that others are ignored and that no
// Content-Type is asked for.
func testBodyFields(t *testing.T, s *suite) {
	valid := strings.TrimSpace(s.valid().body())
	wrong := []struct{ name, body, field string }{
		{"Webhook", strings.Replace(valid, `"webhook"`, `"Webhook"`, 1), "webhook"},
		{"WEBHOOK", strings.Replace(valid, `"webhook"`, `"WEBHOOK"`, 1), "webhook"},
		{"webhooK with the Kelvin sign", strings.Replace(valid, `"webhook"`, "\"webhoo\u212a\"", 1), "webhook"},
		{"Name", strings.Replace(valid, `"name"`, `"Name"`, 1), "name"},
		{"URL", strings.Replace(valid, `"url"`, `"URL"`, 1), "url"},
		{"Events", strings.Replace(valid, `"events"`, `"Events"`, 1), "events"},
		{"events with a long s", strings.Replace(valid, `"events"`, "\"event\u017f\"", 1), "events"},
		{"a space in the name", strings.Replace(valid, `"name"`, `"name "`, 1), "name"},
		{"fields outside webhook", strings.TrimPrefix(strings.TrimSuffix(valid, "}"), `{"webhook":`), "webhook"},
	}
	for _, row := range wrong {
		t.Run("not the field: "+row.name, func(t *testing.T) {
			s.do(t, s.wrongCreation(row.body)).wantError(t, http.StatusBadRequest, mustSpecify(row.field))
		})
	}
	ignored := []struct{ name, body string }{
		{"beside webhook", strings.Replace(valid, "{", `{"other":{"deep":[1,null]},`, 1)},
		{"in webhook", strings.Replace(valid, `"name"`, `"id":"wh_001","token":"mine","":1,"name"`, 1)},
		{"NAME after name", strings.Replace(valid, "}}", `,"NAME":"not this","Url":1,"eventS":[],"DESCRIPTION":1}}`, 1)},
		{"WEBHOOK after webhook", strings.TrimSuffix(valid, "}") + `,"WEBHOOK":null,"webHook":1}`},
		{"escaped names", strings.NewReplacer(`"webhook"`, `"\u0077ebhook"`, `"name"`, `"n\u0061me"`).Replace(valid)},
		{"blanks around", "\t\r\n " + valid + " \t\r\n"},
	}
	for _, row := range ignored {
		t.Run("accepted: "+row.name, func(t *testing.T) {
			w := s.created(t, s.do(t, s.creation(row.body)))
			if w.Name != "Billing Events" || w.URL != s.receiver || len(w.Events) != 1 {
				t.Errorf("it made %s", w.redacted().json())
			}
		})
	}
	testContentType(t, s, valid)
}

func testContentType(t *testing.T, s *suite, body string) {
	for name, values := range map[string][]string{
		"none":              nil,
		"empty":             {""},
		"plain text":        {"text/plain; charset=utf-8"},
		"form":              {"application/x-www-form-urlencoded"},
		"bytes":             {"application/octet-stream"},
		"XML":               {"application/xml"},
		"JSON with charset": {"application/json; charset=utf-8"},
		"no media type":     {"json"},
	} {
		t.Run("Content-Type "+name, func(t *testing.T) {
			s.created(t, s.do(t, s.wrongCreation(body).withHeader("Content-Type", values...)))
		})
	}
}
