package api_test

import (
	"fmt"
	"strings"
	"testing"
)

const (
	sizeRange = `"size" must be an integer from 1 to 100.`
	pageRange = `"page" must be an integer from 1 to 2147483647.`
)

// element is a webhook that create made, as lists and gets show it.
func element(name string) string {
	return `{"id":"{` + name + `}","name":"` + name + `","description":"","url":"https://hooks.example/` + name +
		`","events":["` + paid + `"],"token":"redacted"}`
}

func list(count, size, page, last int, names ...string) string {
	var elements []string
	for _, name := range names {
		elements = append(elements, element(name))
	}
	return fmt.Sprintf(`{"entities":"Webhook","count":%d,"per_page":%d,"pages":{"current":%d,"max":%d},"elements":[%s]}`,
		count, size, page, last, strings.Join(elements, ","))
}

// created makes webhooks, in this order and all within one millisecond.
func created(names ...string) func(*world) {
	return func(w *world) {
		for _, name := range names {
			w.create(name, call{})
		}
	}
}

func TestListWebhooks(t *testing.T) {
	five := created("a", "b", "c", "d", "e")
	rows := []row{
		{name: "size is 100 and page 1 by default", given: created("a"),
			call: call{target: "/webhooks"}, status: 200, body: list(1, 100, 1, 1, "a")},
		{name: "no webhooks are an empty array, never null, on one page",
			call: call{target: "/webhooks"}, status: 200, body: list(0, 100, 1, 1)},
		{name: "oldest first, also within a millisecond", given: five,
			call: call{target: "/webhooks"}, status: 200, body: list(5, 100, 1, 1, "a", "b", "c", "d", "e")},
		{name: "count is the company's total, max is rounded up", given: five,
			call: call{target: "/webhooks?size=2"}, status: 200, body: list(5, 2, 1, 3, "a", "b")},
		{name: "a page in between", given: five,
			call: call{target: "/webhooks?size=2&page=2"}, status: 200, body: list(5, 2, 2, 3, "c", "d")},
		{name: "the last page has the rest", given: five,
			call: call{target: "/webhooks?size=2&page=3"}, status: 200, body: list(5, 2, 3, 3, "e")},
		{name: "max where the count is a multiple of the size", given: created("a", "b"),
			call: call{target: "/webhooks?size=1"}, status: 200, body: list(2, 1, 1, 2, "a")},
		{name: "a page past max has no elements and is no error", given: five,
			call: call{target: "/webhooks?size=2&page=4"}, status: 200, body: list(5, 2, 4, 3)},
		{name: "the largest page", given: five,
			call: call{target: "/webhooks?page=2147483647"}, status: 200, body: list(5, 100, 2147483647, 1)},
		{name: "the largest size", given: five,
			call: call{target: "/webhooks?size=100"}, status: 200, body: list(5, 100, 1, 1, "a", "b", "c", "d", "e")},
		{name: "leading zeros are digits", given: five,
			call: call{target: "/webhooks?size=002&page=01"}, status: 200, body: list(5, 2, 1, 3, "a", "b")},
		{name: "another company's webhooks are not there", given: five,
			call: call{target: "/webhooks", key: "rival"}, status: 200, body: list(0, 100, 1, 1)},
		{name: "the order stays the same", given: five,
			call: call{target: "/webhooks"}, status: 200, check: func(t *testing.T, w *world, r reply) {
				w.do(call{target: "/webhooks"}).want(t, 200, r.body)
			}},
		{name: "what was deleted is gone from list and count", given: func(w *world) {
			five(w)
			w.do(call{method: "DELETE", target: "/webhooks/{b}"})
		}, call: call{target: "/webhooks"}, status: 200, body: list(4, 100, 1, 1, "a", "c", "d", "e")},
		{name: "a key that may only read may list", given: created("a"),
			call: call{target: "/webhooks", key: "reader"}, status: 200, body: list(1, 100, 1, 1, "a")},
		{name: "parameters there are not are ignored, case included",
			call: call{target: "/webhooks?SIZE=7&sort=name"}, status: 200, body: list(0, 100, 1, 1)},
		{name: "an empty query", call: call{target: "/webhooks?"}, status: 200, body: list(0, 100, 1, 1)},
		{name: "HEAD works as GET does", given: created("a"),
			call: call{method: "HEAD", target: "/webhooks"}, status: 200, check: sameHeadersAs("/webhooks")},

		{name: "webhookId is not for the list",
			call: call{target: "/webhooks?webhookId=" + wellFormedID}, status: 400, body: refused(notAList)},
		{name: "an empty webhookId neither", call: call{target: "/webhooks?webhookId="}, status: 400, body: refused(notAList)},
		{name: "size is judged before page", call: call{target: "/webhooks?page=0&size=0"}, status: 400, body: refused(sizeRange)},
		{name: "a malformed escape", call: call{target: "/webhooks?size=%zz"}, status: 400, body: refused("The query string is malformed.")},
		{name: "a malformed escape elsewhere", call: call{target: "/webhooks?x=%"}, status: 400, body: refused("The query string is malformed.")},
		{name: "a semicolon separates nothing", call: call{target: "/webhooks?size=1;page=2"}, status: 400, body: refused("The query string is malformed.")},
	}
	for name, value := range map[string]string{
		"zero": "=0", "negative": "=-1", "a word": "=abc", "empty": "=", "no value": "", "a sign": "=%2B1", "a space": "=%201",
		"a fraction": "=1.0", "an exponent": "=1e1", "hexadecimal": "=0x1", "an underscore": "=1_0",
		"digits of another script": "=%D9%A1", "beyond 64 bits": "=18446744073709551617", "endless": "=" + strings.Repeat("9", 5000),
		"NUL": "=1%00", "invalid UTF-8": "=%ff",
	} {
		rows = append(rows,
			row{name: "size: " + name, call: call{target: "/webhooks?size" + value}, status: 400, body: refused(sizeRange)},
			row{name: "page: " + name, call: call{target: "/webhooks?page" + value}, status: 400, body: refused(pageRange)})
	}
	rows = append(rows,
		row{name: "size: 101", call: call{target: "/webhooks?size=101"}, status: 400, body: refused(sizeRange)},
		row{name: "size: repeated", call: call{target: "/webhooks?size=1&size=1"}, status: 400, body: refused(sizeRange)},
		row{name: "page: 2147483648", call: call{target: "/webhooks?page=2147483648"}, status: 400, body: refused(pageRange)},
		row{name: "page: repeated", call: call{target: "/webhooks?page=1&page=2"}, status: 400, body: refused(pageRange)})
	run(t, rows)
}

const notAList = "This is the list of webhooks. Get a single one by GET /webhooks/{webhookId} or GET /webhook?webhookId=."

// sameHeadersAs checks that an answer to HEAD is that to GET without its body.
func sameHeadersAs(target string) func(*testing.T, *world, reply) {
	return func(t *testing.T, w *world, r reply) {
		get := w.do(call{target: target})
		if r.body != "" {
			t.Errorf("got the body %s, want none", r.body)
		}
		for name := range get.header {
			if name != "Date" && name != "X-Request-Id" && r.header.Get(name) != get.header.Get(name) {
				t.Errorf("%s: got %q, want %q", name, r.header.Get(name), get.header.Get(name))
			}
		}
	}
}
