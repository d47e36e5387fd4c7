package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// testBodySyntax sends bodies that are not a JSON object in valid Unicode.
func testBodySyntax(t *testing.T, s *suite) {
	valid := s.valid().body()
	extra := func(member string) string { return strings.Replace(valid, "{", "{"+member+",", 1) }
	const noName, noValue = "invalid character where a field name in double quotes is expected", "invalid character where a value is expected"
	for _, r := range []struct{ name, body, message string }{
		{"empty", "", notOneObject},
		{"blank", " \n", notOneObject},
		{"null", "null", notOneObject},
		{"array", "[" + valid + "]", notOneObject},
		{"string", `"webhook"`, notOneObject},
		{"no-break space", "\u00a0" + valid, notOneObject},
		{"64 KiB of [", strings.Repeat("[", maxBody), notOneObject},
		{"byte order mark", "\ufeff" + valid, byteOrderMark},
		{"two objects", valid + "\n" + valid, notJSON(2, 1, "invalid character after top-level value")},
		{"text after", valid + "x", notJSON(1, len(valid)+1, "invalid character after top-level value")},
		{"NUL after", "{}\x00", notJSON(1, 3, "invalid character after top-level value")},
		{"incomplete", valid[:len(valid)-1], notJSON(1, len(valid)-1, "unexpected end of JSON input")},
		{"trailing comma", "{\r\n  \"ä\": \"ü\",\r\n}", notJSON(3, 1, noName)},
		{"comment", "{} // a comment", notJSON(1, 4, "invalid character after top-level value")},
		{"single quotes", "{'webhook': 1}", notJSON(1, 2, noName)},
		{"unquoted name", "{\n\twebhook: 1}", notJSON(2, 2, noName)},
		{"missing comma", "{\"ä\": \"ü\" \"a\"}", notJSON(1, 11, "invalid character after object key:value pair")},
		{"NaN", `{"a":NaN}`, notJSON(1, 6, noValue)},
		{"NUL in string", "{\"a\":\"\x00\"}", notJSON(1, 7, "invalid character in string literal")},
		{"line end in string", "{\"a\":\"\n\"}", notJSON(1, 7, "invalid character in string literal")},
		{"short escape", `{"a":"\u12"}`, notJSON(1, 11, `invalid character in \u hexadecimal character escape`)},
		{"nested 20,000 times", extra(`"ignored":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000)), notJSON(1, 10_011, "…")},
	} {
		s.rejects(t, row{r.name, s.post(r.body), 400, r.message})
	}
	s.rejects(t,
		row{"gzip", s.post("\x1f\x8b\x08"+valid).on(serve, gateway), 400, compressed}, // SAM responds with 502
		row{"Content-Encoding", s.post("{").with("Content-Encoding", "BR"), 400, compressed})
	// everywhere returns bodies that contain text in a field, in an ignored field, and in a field's name.
	everywhere := func(text string) []string {
		return []string{strings.Replace(valid, "Billing", text, 1), extra(`"ignored":["` + text + `"]`), extra(`"` + text + `":1`)}
	}
	for name, text := range map[string]string{
		"high": `\ud83d`, "low": `\ude00`, "capitals": `\uD800`, "reversed": `\ude00\ud83d`, "high before a letter": `\ud83dx`,
		"high before an escape": `\ud83d\n`, "high before a letter's escape": `\ud83d\u0041`, "two high": `\ud83d\ud83d\ude00`,
		"low after a pair": `\ud83d\ude00\ude00`, "after a backslash": `\\\ud800`, "before a backslash": `\ud83d\\ude00`,
	} {
		for i, body := range append(everywhere(text),
			strings.Replace(valid, "Receive", text, 1), strings.Replace(valid, s.event, text, 1), strings.Replace(valid, s.receiver, s.receiver+"?"+text, 1)) {
			s.rejects(t, row{fmt.Sprint("surrogates: ", name, " ", i), s.post(body), 400, loneSurrogate})
		}
	}
	for name, bytes := range map[string]string{
		"stray byte": "\xff", "incomplete": "\xe2\x82", "overlong": "\xc0\xaf", "surrogate": "\xed\xa0\xbd", "too large": "\xf4\x90\x80\x80", "Latin-1": "Gr\xfc\xdfe",
	} {
		for i, body := range append(everywhere(bytes), valid+bytes) {
			// SAM responds to such bodies with 502.
			s.rejects(t, row{fmt.Sprint("invalid UTF-8: ", name, " ", i), s.post(body).on(serve, gateway), 400, notUTF8})
		}
	}
}

// Field names are matched exactly, other fields and the query are ignored, and no Content-Type is required.
func testBodyFields(t *testing.T, s *suite) {
	valid := s.valid().body()
	replace := func(old, new string) request { return s.post(strings.Replace(valid, old, new, 1)) }
	for _, r := range []struct{ field, sent string }{
		{"webhook", "Webhook"}, {"webhook", "WEBHOOK"}, {"webhook", "webhoo\u212a"}, {"name", "Name"}, {"name", "name "},
		{"url", "URL"}, {"events", "Events"}, {"events", "event\u017f"},
	} {
		s.rejects(t, row{fmt.Sprintf("%+q", r.sent), replace(`"`+r.field+`"`, `"`+r.sent+`"`), 400, mustSpecify(r.field)})
	}
	for field, value := range map[string]string{"name": `"other"`, "url": `""`, "events": "1", "description": "null"} {
		s.rejects(t, row{field + " twice", replace("}}", `,"`+field+`":`+value+"}}"), 400, repeatedField(field)})
	}
	s.rejects(t,
		row{"webhook twice", replace("{", `{"webhook":{},`), 400, repeatedField("webhook")},
		row{"webhook twice, once escaped", replace("{", `{"\u0077ebhook":{},`), 400, repeatedField("webhook")},
		row{"no webhook", s.post(strings.TrimPrefix(strings.TrimSuffix(valid, "}"), `{"webhook":`)), 400, mustSpecify("webhook")},
	)
	query := s.post(valid)
	query.path += "?webhookId=x&%zz"
	accepted := map[string]request{
		"a query":                query.on(serve),
		"fields outside webhook": replace("{", `{"id":1e999999,"other":{"deep":[1,null]},`),
		"fields in webhook":      replace(`"name"`, `"id":"wh_001","token":"mine","":1,"name"`),
		"ignored fields twice":   replace("{", `{"x":1,"x":2,`),
		"NAME after name":        replace("}}", `,"NAME":"not this","Url":1,"eventS":[],"DESCRIPTION":1}}`),
		"WEBHOOK after webhook":  s.post(strings.TrimSuffix(valid, "}") + `,"WEBHOOK":null,"webHook":1}`),
		"escaped names":          s.post(strings.NewReplacer(`"webhook"`, `"\u0077ebhook"`, `"name"`, `"n\u0061me"`).Replace(valid)),
		"space around":           s.post("\t\r\n " + valid + " \t\r\n"),
		"no Content-Type":        s.post(valid).with("Content-Type"),
		"Content-Encoding":       s.post(valid).with("Content-Encoding", "utf-8"),
	}
	for _, contentType := range []string{
		"", "json", "text/plain; charset=latin1", "application/json; charset=utf-8", "application/xml", "application/octet-stream",
		"application/x-www-form-urlencoded",
	} {
		accepted["Content-Type "+contentType] = s.post(valid).with("Content-Type", contentType)
	}
	for name, r := range accepted {
		t.Run("accepted: "+name, func(t *testing.T) { s.stores(t, r, defaultName, defaultDescription, s.receiver, s.event) })
	}
}

// testCreateMissing sends fields that are absent, null, blank or of the wrong type.
func testCreateMissing(t *testing.T, s *suite) {
	s.rejects(t,
		row{"webhook absent", s.post("{}"), 400, mustSpecify("webhook")},
		row{"webhook empty", s.post(`{"webhook":{}}`), 400, mustSpecify("name")},
		row{"webhook an array", s.post(`{"webhook":[{"name":"x"}]}`), 400, mustSpecify("webhook")},
	)
	values := map[string]any{
		"null": nil, "empty": "", "blank": "   ", "control characters": "\t\r\n\v\f", "ideographic space": "\u3000", "no-break space": "\u00a0",
		"zero-width space and joiner": "\u200b\u200d", "line separator": "\u2028", "next line": "\u0085", "other control characters": "\x00\x1b",
		"number": 1, "zero": 0, "true": true, "false": false,
	}
	for value, v := range values {
		s.rejects(t,
			row{"webhook " + value, s.post(encode(map[string]any{"webhook": v})), 400, mustSpecify("webhook")},
			row{"entry of events " + value, s.post(s.valid().with("events", []any{s.event, v}).body()), 400, mustSpecify("events")})
	}
	values["object"] = map[string]any{"a": "b"}
	for _, field := range []string{"name", "url", "events"} {
		s.rejects(t, row{field + " absent", s.post(s.valid().without(field).body()), 400, mustSpecify(field)})
		for value, v := range values {
			s.rejects(t, row{field + " " + value, s.post(s.valid().with(field, v).body()), 400, mustSpecify(field)})
		}
	}
	for field, values := range map[string][]any{
		"name": {[]string{"x"}}, "url": {[]string{s.receiver}}, "description": {1, true, []string{}, map[string]any{}},
		"events": {[]string{}, []any{[]string{s.event}}, []any{map[string]any{s.event: true}}},
	} {
		for _, v := range values {
			s.rejects(t, row{fmt.Sprintf("%s %T", field, v), s.post(s.valid().with(field, v).body()), 400, mustSpecify(field)})
		}
	}
}

// testCreateLimits tests both sides of every limit.
func testCreateLimits(t *testing.T, s *suite) {
	url := s.receiver + "?" + strings.Repeat("u", 2048-len(s.receiver)-1)
	for _, row := range []struct{ name, description, url string }{
		{strings.Repeat("n", 255), strings.Repeat("d", 1024), s.receiver},
		{strings.Repeat("😀", 255), strings.Repeat("😀", 1024), s.receiver},
		{"n", "d", url},
	} {
		t.Run(fmt.Sprintf("accepted: %.20s", row.name), func(t *testing.T) {
			f := s.valid().with("name", row.name).with("description", row.description).with("url", row.url)
			s.stores(t, s.post(f.body()), row.name, row.description, row.url, s.event)
		})
	}
	for _, r := range []struct {
		name, field string
		value       any
		status      int
		message     string
	}{
		{"256 characters", "name", strings.Repeat("n", 256), 400, longName},
		{"255 spaces", "name", "n" + strings.Repeat(" ", 255), 400, longName},
		{"1025 characters", "description", strings.Repeat("d", 1025), 400, longDescription},
		{"2049 bytes", "url", url + "u", 400, longURL},
		{"fewer characters, more bytes", "url", s.receiver + "?" + strings.Repeat("ü", 1024), 400, longURL},
		{"41", "events", append(slices.Repeat([]string{s.event}, 40), "no.such.event"), 400, tooManyEvents},
		{"41 times the same", "events", slices.Repeat([]string{s.event}, 41), 400, tooManyEvents},
		{"129 characters", "events", strings.Repeat("e", 129), 400, longEvent},
		{"129 characters, one of two", "events", []string{s.event, strings.Repeat("e", 129)}, 400, longEvent},
		{"128 emoji", "events", strings.Repeat("😀", 128), 422, notAvailable},
	} {
		s.rejects(t, row{r.field + " of " + r.name, s.post(s.valid().with(r.field, r.value).body()), r.status, r.message})
	}
}

// defect is something wrong with a creation.
type defect struct {
	name    string
	step    int    // of the order in which the contract checks; defects of one step may be found in any order
	field   string // can have only one defect
	value   any    // of the field; nil if it is absent
	status  int
	message string
}

const keyField = "idempotency key"

// testCreateOrder creates webhooks with every two defects that can occur together: the one that is checked first is reported.
func testCreateOrder(t *testing.T, s *suite) {
	used := newKey()
	s.created(t, s.do(t, s.post(s.valid().with("name", "First use").body()).idempotent(used)))
	defects := []defect{
		{"malformed key", 0, keyField, "not visible", 400, badKey},
		{"no name", 20, "name", nil, 400, mustSpecify("name")},
		{"no url", 21, "url", nil, 400, mustSpecify("url")},
		{"no events", 22, "events", nil, 400, mustSpecify("events")},
		{"blank event", 22, "events", []any{s.event, " "}, 400, mustSpecify("events")},
		{"number as description", 23, "description", 1, 400, mustSpecify("description")},
		{"long name", 30, "name", strings.Repeat("n", 256), 400, longName},
		{"long description", 30, "description", strings.Repeat("d", 1025), 400, longDescription},
		{"long url", 30, "url", "http://" + strings.Repeat("u", 2048), 400, longURL},
		{"41 events", 30, "events", slices.Repeat([]string{"no.such.event"}, 41), 400, tooManyEvents},
		{"long event", 30, "events", strings.Repeat("e", 129), 400, longEvent},
		{"http url", 40, "url", "http://example.com/", 422, urlInvalid},
		{"used key", 50, keyField, used, 409, usedKey},
		{"unavailable event", 60, "events", []any{s.event, "no.such.event"}, 422, notAvailable},
	}
	if s.own != nil { // step 70, the quota, is in testQuota
		defects = append(defects, defect{"unreachable url", 80, "url", s.own.receivers.closed, 400, notReached})
	}
	with := func(defects ...defect) request {
		f, key := s.valid(), ""
		for _, d := range defects {
			switch {
			case d.field == keyField:
				key = d.value.(string)
			case d.value == nil:
				f = f.without(d.field)
			default:
				f = f.with(d.field, d.value)
			}
		}
		if key == "" {
			return s.post(f.body())
		}
		return s.post(f.body()).idempotent(key)
	}
	s.grows(t, 0, func() {
		for i, first := range defects {
			s.rejects(t, row{first.name, with(first), first.status, first.message})
			for _, second := range defects[i+1:] {
				if first.step != second.step && first.field != second.field {
					s.rejects(t, row{first.name + " before " + second.name, with(first, second), first.status, first.message})
				}
			}
		}
	})
}
