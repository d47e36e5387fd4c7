package e2e

import (
	"net/http"
	"strings"
	"testing"
)

// defect is something wrong with a creation.
type defect struct {
	name string
	// step is the contract's number of the check that finds it. Of two defects of one step, it
	// leaves open which answers.
	step int
	// field can have one defect at a time.
	field string
	apply func(r *draft)
	want  func(t *testing.T, r response)
}

// draft is a creation in the making.
type draft struct {
	fields fields
	// idempotencyKey goes with it where set.
	idempotencyKey string
}

func (s *suite) draftRequest(d draft) request {
	r := s.wrongCreation(d.fields.body())
	if d.idempotencyKey != "" {
		r = r.withHeader("Idempotency-Key", d.idempotencyKey)
	}
	return r
}

// set makes a defect's change out of a field's wrong value.
func set(field string, value any) func(*draft) {
	return func(d *draft) { d.fields = d.fields.with(field, value) }
}

func unset(field string) func(*draft) {
	return func(d *draft) { d.fields = d.fields.without(field) }
}

func wantError(status int, message string) func(*testing.T, response) {
	return func(t *testing.T, r response) {
		t.Helper()
		r.wantError(t, status, message)
	}
}

func wantNaming(status int, words ...string) func(*testing.T, response) {
	return func(t *testing.T, r response) {
		t.Helper()
		r.wantErrorNaming(t, status, words...)
	}
}

// defects are in the order in which the contract finds them. usedKey is an idempotency key that
// was used with another body.
func (s *suite) defects(usedKey string) []defect {
	all := []defect{
		{"malformed idempotency key", 0, "Idempotency-Key", func(d *draft) { d.idempotencyKey = "not visible" }, wantNaming(http.StatusBadRequest)},
		{"no name", 20, "name", unset("name"), wantError(http.StatusBadRequest, mustSpecify("name"))},
		{"no url", 21, "url", unset("url"), wantError(http.StatusBadRequest, mustSpecify("url"))},
		{"no events", 22, "events", unset("events"), wantError(http.StatusBadRequest, mustSpecify("events"))},
		{"blank event", 22, "events", set("events", []any{s.event, " "}), wantError(http.StatusBadRequest, mustSpecify("events"))},
		{"wrong description", 23, "description", set("description", 1), wantError(http.StatusBadRequest, mustSpecify("description"))},
		{"long name", 30, "name", set("name", strings.Repeat("n", 256)), wantNaming(http.StatusBadRequest, "name", "255")},
		{"long description", 30, "description", set("description", strings.Repeat("d", 1025)), wantNaming(http.StatusBadRequest, "description", "1024")},
		{"long url", 30, "url", set("url", "http://"+strings.Repeat("u", 2048)), wantNaming(http.StatusBadRequest, "url", "2048")},
		{"many events", 30, "events", set("events", repeat("no.such.event", 41)), wantNaming(http.StatusBadRequest, "events", "40")},
		{"long event", 30, "events", set("events", strings.Repeat("e", 129)), wantNaming(http.StatusBadRequest, "events", "128")},
		{"wrong url", 40, "url", set("url", "http://example.com/"), wantNaming(http.StatusUnprocessableEntity, "URL format invalid: ")},
		{"used idempotency key", 50, "Idempotency-Key", func(d *draft) { d.idempotencyKey = usedKey }, wantNaming(http.StatusConflict)},
		{"unavailable event", 60, "events", set("events", []any{s.event, "no.such.event"}), wantError(http.StatusUnprocessableEntity, notAvailable)},
	}
	if s.own == nil {
		return all // what no TLS check reaches is known of our own receivers alone
	}
	return append(all, defect{
		"unreachable url", 80, "url", set("url", s.own.receivers.closed), wantError(http.StatusBadRequest, notReached),
	})
}

func repeat(text string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = text
	}
	return all
}

// mustSpecify is the reference's message for a field that is missing.
func mustSpecify(field string) string { return `A valid "` + field + `" must be specified.` }

// testCreateOrder makes creations with every two defects that can come together and checks that
// the one answers that the contract looks for first.
func testCreateOrder(t *testing.T, s *suite) {
	usedKey := newIdempotencyKey()
	s.created(t, s.do(t, s.creation(s.valid().with("name", "First use").body()).withHeader("Idempotency-Key", usedKey)))
	before := s.count(t)
	defects := s.defects(usedKey)
	for i, first := range defects {
		t.Run(first.name, func(t *testing.T) {
			d := draft{fields: s.valid()}
			first.apply(&d)
			first.want(t, s.do(t, s.draftRequest(d)))
		})
		for _, second := range defects[i+1:] {
			if first.step == second.step || first.field == second.field {
				continue
			}
			t.Run(first.name+" before "+second.name, func(t *testing.T) {
				d := draft{fields: s.valid()}
				first.apply(&d)
				second.apply(&d)
				first.want(t, s.do(t, s.draftRequest(d)))
			})
		}
	}
	if after := s.count(t); after != before {
		t.Errorf("the count is %d and was %d before creations that were refused", after, before)
	}
}
