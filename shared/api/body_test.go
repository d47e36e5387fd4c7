package api_test

import (
	"strings"
	"testing"
)

// What makes a body no JSON object of text, whatever it says.
func TestBody(t *testing.T) {
	const (
		noObject  = `{"error":"The body must be one JSON object."}`
		noUTF8    = `{"error":"The body must be valid UTF-8."}`
		surrogate = `{"error":"The body must not hold half of a surrogate pair."}`
	)
	rows := []row{
		{name: "no body", call: call{method: "POST", target: "/webhooks"}, status: 400, body: noObject},
		{name: "an empty body in chunks", call: call{method: "POST", target: "/webhooks", reader: chunks("")}, status: 400, body: noObject},
		{name: "webhook given twice", call: post(`{"webhook":{},"webhook":{` + good + `}}`), status: 400, body: refused(`The field "webhook" must not be given twice.`)},
		{name: "webhook given twice, once escaped", call: post(`{"webhook":{` + good + `},"\u0077ebhook":{` + good + `}}`), status: 400,
			body: refused(`The field "webhook" must not be given twice.`)},
		{name: "webhook and Webhook are two", call: post(`{"webhook":{` + good + `},"Webhook":{}}`), status: 201},
		{name: "the long s is no s", call: post(`{"webhook":{` + strings.Replace(good, `"events"`, `"event`+"\u017f"+`"`, 1) + `}}`), status: 400, body: specify("events")},
		{name: "nesting within reason is ignored", call: post(`{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + `,"webhook":{` + good + `}}`), status: 201},
		{name: "nesting beyond reason", call: post(`{"x":` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `,"webhook":{` + good + `}}`), status: 400, body: noObject},
		{name: "a whole surrogate pair", call: post(with(good + `,"description":"\uD83D\uDE00\ud83d\ude00"`)), status: 201},
		{name: "an escaped backslash before a u", call: post(with(good + `,"description":"\\ud800"`)), status: 201},
	}
	for _, name := range []string{"name", "url", "events", "description"} {
		rows = append(rows, row{name: name + " given twice", call: post(with(good + `,"description":"","` + name + `":["x"]`)), status: 400,
			body: refused(`The field "` + name + `" must not be given twice.`)})
	}
	for name, body := range map[string]string{
		"white space": " \n", "null": "null", "a string": `"webhook"`, "a number": "1", "true": "true", "an array": "[" + with(good) + "]",
		"two objects": with(good) + with(good), "two lines": with(good) + "\n" + with(good), "a comma after": with(good) + ",",
		"a bracket after": with(good) + "}", "NUL after": with(good) + "\x00", "unfinished": `{"webhook":{` + good, "a brace": "{",
		"a byte order mark": "\ufeff" + with(good), "a no-break space before": "\u00a0" + with(good), "a comma before the brace": `{"webhook":{` + good + `,}}`,
		"a comment": "/**/" + with(good), "single quotes": `{'webhook':{}}`, "no quotes": `{webhook:{}}`, "a form": "webhook[name]=n",
		"a line end in a string": "{\"webhook\":{\"name\":\"\n\"}}", "NUL in a string": "{\"webhook\":{\"name\":\"\x00\"}}", "a wrong escape": `{"webhook":{"name":"\x"}}`,
		"a short escape": `{"webhook":{"name":"\u12"}}`, "NaN": `{"x":NaN}`, "a leading zero": `{"x":01}`, "64 KiB of [": strings.Repeat("[", 64<<10), "64 KiB of {\"a\":": strings.Repeat(`{"a":`, 13107),
	} {
		rows = append(rows, row{name: "not one object: " + name, call: post(body), status: 400, body: noObject})
	}
	for name, text := range map[string]string{
		"a lone byte": "\xff", "an overlong form": "\xc0\xaf", "half a character": "\xe2\x82", "an encoded surrogate": "\xed\xa0\x80", "beyond Unicode": "\xf4\x90\x80\x80",
	} {
		rows = append(rows,
			row{name: "invalid UTF-8 in a field: " + name, call: post(with(good + `,"description":"` + text + `"`)), status: 400, body: noUTF8},
			row{name: "invalid UTF-8 in what is ignored: " + name, call: post(`{"` + text + `":0,"webhook":{` + good + `}}`), status: 400, body: noUTF8},
			row{name: "invalid UTF-8 outside of strings: " + name, call: post(with(good) + text), status: 400, body: noUTF8})
	}
	for name, text := range map[string]string{
		"high": `\ud800`, "low": `\udc00`, "high before a letter": `\ud83dx`, "high before an escape": `\ud83d\n`, "high before a letter's escape": `\ud83d\u0041`,
		"two high": `\ud83d\ud83d`, "two low": `\ude00\ude00`, "the wrong way round": `\ude00\ud83d`, "in capitals": `\uD800`, "after a pair": `\ud83d\ude00\ude00`,
		"after a backslash": `\\\ud800`, "before an escaped backslash": `\ud83d\\ude00`,
	} {
		rows = append(rows,
			row{name: "half a pair in a field: " + name, call: post(with(good + `,"description":"` + text + `"`)), status: 400, body: surrogate},
			row{name: "half a pair in what is ignored: " + name, call: post(`{"x":["` + text + `"],"webhook":{` + good + `}}`), status: 400, body: surrogate},
			row{name: "half a pair in a field's name: " + name, call: post(`{"` + text + `":0,"webhook":{` + good + `}}`), status: 400, body: surrogate})
	}
	run(t, rows)
}
