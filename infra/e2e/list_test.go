package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const maxPage = 2147483647

func testListParameters(t *testing.T, s *suite) {
	for name, value := range map[string]string{
		"zero": "=0", "negative": "=-1", "word": "=abc", "empty": "=", "no value": "", "plus sign": "=%2B1", "fraction": "=1.5",
		"exponent": "=1e1", "hexadecimal": "=0x1", "underscore": "=1_0", "list": "=1,2", "space before": "=%201", "space after": "=1%20",
		"Arabic digit": "=%D9%A1", "NUL": "=1%00", "over 31 bits": "=2147483648", "over 32 bits": "=4294967297",
		"over 64 bits": "=18446744073709551617", "very long": "=" + strings.Repeat("9", 2000),
		"twice": "=1&NAME=2", "twice the same": "=1&NAME=1", "twice, once empty": "=1&NAME=",
	} {
		s.rejects(t,
			row{"size " + name, s.get("/webhooks?size" + strings.ReplaceAll(value, "NAME", "size")), 400, badSize},
			row{"page " + name, s.get("/webhooks?page" + strings.ReplaceAll(value, "NAME", "page")), 400, badPage})
	}
	s.rejects(t,
		row{"size 101", s.get("/webhooks?size=101"), 400, badSize},
		row{"webhookId", s.get("/webhooks?webhookId=" + unknownID), 400, notOneWebhook},
		row{"webhookId with a page", s.get("/webhooks?size=1&page=1&webhookId=" + unknownID), 400, notOneWebhook},
		row{"empty webhookId", s.get("/webhooks?webhookId="), 400, notOneWebhook},
		row{"malformed escape", s.get("/webhooks?size=%zz").on(serve), 400, badQuery},
		row{"malformed escape in another parameter", s.get("/webhooks?x=%").on(serve), 400, badQuery},
		row{"semicolon", s.get("/webhooks?size=1;page=2").on(serve), 400, badQuery},
	)
	t.Run("defaults", func(t *testing.T) {
		want := s.do(t, s.get("/webhooks?page=1&size=100"))
		for _, query := range []string{"", "?", "?page=1", "?size=100", "?size=0100&page=01", "?SIZE=7&sort=name"} {
			s.do(t, s.get("/webhooks"+query)).wantSame(t, want)
		}
	})
	t.Run("last page number", func(t *testing.T) {
		count := s.count(t)
		for _, size := range []int{1, 100} {
			s.do(t, s.get(fmt.Sprintf("/webhooks?size=%d&page=%d", size, maxPage))).want(t, 200, fmt.Sprintf(
				`{"entities":"Webhook","count":%d,"per_page":%d,"pages":{"current":%d,"max":%d},"elements":[]}`,
				count, size, maxPage, max(1, (count+size-1)/size)))
		}
	})
}

// Pages of any size are the same list, oldest first.
func testListPages(t *testing.T, s *suite) {
	want := s.list(t, s.keys.both, 100)
	for i := range 6 {
		want = append(want, s.create(t, s.valid().with("name", fmt.Sprint("Page ", i))).redacted())
	}
	wantList(t, s.list(t, s.keys.both, 100), want)
	removed := len(want) - 3
	s.remove(t, want[removed])
	want = slices.Delete(want, removed, removed+1)
	for _, size := range []int{1, 2, 7, 100} {
		if size == 1 && len(want) > 50 {
			continue // slow
		}
		t.Run(fmt.Sprint("size ", size), func(t *testing.T) { wantList(t, s.list(t, s.keys.both, size), want) })
	}
	t.Run("the last element", func(t *testing.T) {
		n := len(want)
		s.do(t, s.get(fmt.Sprintf("/webhooks?page=%d&size=1", n))).want(t, 200, fmt.Sprintf(
			`{"entities":"Webhook","count":%d,"per_page":1,"pages":{"current":%d,"max":%d},"elements":[%s]}`, n, n, n, want[n-1].json()))
	})
}
