package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
)

const pastEveryPage = 2147483647

// wrongParameter is a query that the list refuses, the parameter at fault and the end of its range.
type wrongParameter struct{ name, query, parameter, last string }

func wrongParameters() []wrongParameter {
	values := map[string]string{
		"zero": "0", "negative": "-1", "word": "abc", "empty": "", "fraction": "1.5", "exponent": "1e1", "hexadecimal": "0x1", "list": "1,2",
		"blank before": "%201", "blank after": "1%20", "Arabic digit": "%D9%A1", "NUL": "1%00", "beyond 32 bits": "4294967297",
		"beyond 64 bits": "18446744073709551617",
	}
	var all []wrongParameter
	for _, p := range []struct{ name, last, above string }{{"size", "100", "101"}, {"page", "2147483647", "2147483648"}} {
		add := func(name, query string) {
			all = append(all, wrongParameter{p.name + " " + name, query, p.name, p.last})
		}
		for name, value := range values {
			add(name, p.name+"="+value)
		}
		add("one above", p.name+"="+p.above)
		add("repeated", p.name+"=1&"+p.name+"=2")
		add("repeated with one value", p.name+"=1&"+p.name+"=1")
		add("repeated, then empty", p.name+"=1&"+p.name+"=")
	}
	return all
}

// testListParameters checks what size and page may be.
func testListParameters(t *testing.T, s *suite) {
	for _, row := range wrongParameters() {
		t.Run(row.name, func(t *testing.T) {
			r := s.do(t, request{path: "/webhooks?" + row.query, key: s.keys.both, wrong: true})
			r.wantErrorNaming(t, http.StatusBadRequest, row.parameter, "1", row.last)
		})
	}
	t.Run("with an id it is no list", func(t *testing.T) {
		r := s.do(t, request{path: "/webhooks?webhookId=" + unknownID, key: s.keys.both, wrong: true})
		r.wantErrorNaming(t, http.StatusBadRequest, "/webhooks/")
	})
	t.Run("with an id and a page it is no list", func(t *testing.T) {
		r := s.do(t, request{path: "/webhooks?size=1&page=1&webhookId=" + unknownID, key: s.keys.both, wrong: true})
		r.wantErrorNaming(t, http.StatusBadRequest, "/webhooks/")
	})
	t.Run("with an empty id it is no list", func(t *testing.T) {
		s.do(t, request{path: "/webhooks?webhookId=", key: s.keys.both, wrong: true}).wantErrorNaming(t, http.StatusBadRequest)
	})
	t.Run("defaults", func(t *testing.T) {
		s.list(t, s.keys.both, 100, 1)
		want := s.do(t, request{path: "/webhooks?page=1&size=100", key: s.keys.both})
		for _, query := range []string{"", "?", "?page=1", "?size=100"} {
			s.do(t, request{path: "/webhooks" + query, key: s.keys.both}).wantSame(t, want)
		}
	})
	t.Run("largest page", func(t *testing.T) {
		count := s.count(t)
		for _, size := range []int{1, 100} {
			r := s.do(t, request{path: fmt.Sprintf("/webhooks?size=%d&page=%d", size, pastEveryPage), key: s.keys.both})
			last := max(1, (count+size-1)/size)
			r.wantBody(t, http.StatusOK, fmt.Sprintf(
				`{"entities":"Webhook","count":%d,"per_page":%d,"pages":{"current":%d,"max":%d},"elements":[]}`, count, size, pastEveryPage, last))
		}
	})
}

// testListPages checks that pages of any size are the same list cut differently, oldest first.
func testListPages(t *testing.T, s *suite) {
	before := s.all(t, s.keys.both, 100)
	var made []webhook
	for i := range 5 {
		made = append(made, s.create(t, s.valid().with("name", fmt.Sprintf("Page %d", i))))
	}
	want := slices.Clone(before)
	for _, w := range made {
		want = append(want, w.redacted())
	}
	sizes := []int{2, 3, 7, 50, 99, 100}
	if len(want) <= 50 {
		sizes = append(sizes, 1) // with more it would take long
	}
	for _, size := range sizes {
		t.Run(fmt.Sprintf("size %d", size), func(t *testing.T) {
			wantList(t, s.all(t, s.keys.both, size), want)
		})
	}
	t.Run("again the same", func(t *testing.T) {
		path := request{path: "/webhooks", key: s.keys.both}
		s.do(t, path).wantSame(t, s.do(t, path))
	})
	t.Run("one page, byte for byte", func(t *testing.T) {
		n := len(want)
		r := s.do(t, request{path: fmt.Sprintf("/webhooks?page=%d&size=1", n), key: s.keys.both})
		r.wantBody(t, http.StatusOK, fmt.Sprintf(`{"entities":"Webhook","count":%d,"per_page":1,"pages":{"current":%d,"max":%d},"elements":[`+
			`{"id":"%s","name":"Page 4","description":"Receive invoice and payment updates","url":"%s","events":["%s"],"token":"redacted"}]}`,
			n, n, n, made[4].ID, s.receiver, s.event))
	})
	t.Run("past the last", func(t *testing.T) {
		if p := s.list(t, s.keys.both, 1, len(want)+1); len(p.Elements) != 0 {
			t.Errorf("page %d of %d has %d elements", len(want)+1, p.Pages.Max, len(p.Elements))
		}
	})
}

// testListChanges checks that a creation adds to the end and a deletion takes one away, and that
// the order of the others stays.
func testListChanges(t *testing.T, s *suite) {
	first, second, third := s.create(t, s.valid()), s.create(t, s.valid()), s.create(t, s.valid())
	want := s.all(t, s.keys.both, 100)
	if n := len(want); n < 3 || want[n-3].ID != first.ID || want[n-2].ID != second.ID || want[n-1].ID != third.ID {
		t.Fatal("the list does not end with what was created, in that order")
	}
	s.delete(t, second.ID).wantBody(t, http.StatusOK, `{"id":"`+second.ID+`","deleted":true}`)
	want = slices.DeleteFunc(want, func(w webhook) bool { return w.ID == second.ID })
	wantList(t, s.all(t, s.keys.both, 100), want)
	wantList(t, s.all(t, s.keys.both, 2), want)

	fourth := s.create(t, s.valid())
	want = append(want, fourth.redacted())
	wantList(t, s.all(t, s.keys.both, 100), want)
	if got := s.count(t); got != len(want) {
		t.Errorf("the count is %d, want %d", got, len(want))
	}
}

func wantList(t *testing.T, got, want []webhook) {
	t.Helper()
	if !slices.EqualFunc(got, want, webhook.equal) {
		t.Errorf("the list has %d webhooks %v\nwant %d %v", len(got), ids(got), len(want), ids(want))
	}
}

func ids(webhooks []webhook) []string {
	all := make([]string, len(webhooks))
	for i, w := range webhooks {
		all[i] = w.ID
	}
	return all
}
