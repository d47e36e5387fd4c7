package e2e

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// testCreateEvents checks the forms in which events are sent and which are available.
func testCreateEvents(t *testing.T, s *suite) {
	t.Run("one string", func(t *testing.T) {
		w := s.create(t, s.valid().with("events", s.event))
		if !slices.Equal(w.Events, []string{s.event}) {
			t.Errorf("the events are %q, want %q alone", w.Events, s.event)
		}
		s.get(t, w.ID).wantBody(t, http.StatusOK, w.redacted().json())
	})
	t.Run("duplicates collapse", func(t *testing.T) {
		w := s.create(t, s.valid().with("events", repeat(s.event, 3)))
		if !slices.Equal(w.Events, []string{s.event}) {
			t.Errorf("the events are %q, want %q alone", w.Events, s.event)
		}
	})
	t.Run("order of first seen", func(t *testing.T) {
		names := s.types(t, s.keys.both)
		if len(names) < 2 {
			missing(t, "the company has one event type: add another")
		}
		first, last := names[0], names[len(names)-1]
		w := s.create(t, s.valid().with("events", []string{last, first, last, first}))
		if want := []string{last, first}; !slices.Equal(w.Events, want) {
			t.Errorf("the events are %q, want %q", w.Events, want)
		}
		s.get(t, w.ID).wantBody(t, http.StatusOK, w.redacted().json())
	})
	for name, events := range map[string]any{
		"unknown":                 "no.such.event",
		"unknown in an array":     []string{"no.such.event"},
		"known and unknown":       []string{s.event, "no.such.event"},
		"unknown and known":       []string{"no.such.event", s.event},
		"other case":              strings.ToUpper(s.event),
		"blank before":            " " + s.event,
		"blank after":             s.event + " ",
		"start of a name":         s.event[:len(s.event)-1],
		"wildcard":                "*",
		"NUL":                     s.event + "\x00",
		"all of them in a string": s.event + "," + s.event,
	} {
		t.Run("not available: "+name, func(t *testing.T) {
			before := s.count(t)
			s.do(t, s.creation(s.valid().with("events", events).body())).wantError(t, http.StatusUnprocessableEntity, notAvailable)
			if after := s.count(t); after != before {
				t.Errorf("the count is %d and was %d before a creation that was refused", after, before)
			}
		})
	}
}

// testTypes checks the list of types against what can be subscribed to.
func testTypes(t *testing.T, s *suite) {
	names := s.types(t, s.keys.both)
	t.Run("byte for byte", func(t *testing.T) {
		quoted := make([]string, len(names))
		for i, name := range names {
			quoted[i] = quote(name)
		}
		r := s.do(t, request{path: "/webhooks/types", key: s.keys.both})
		r.wantBody(t, http.StatusOK, "["+strings.Join(quoted, ",")+"]")
	})
	t.Run("no name twice", func(t *testing.T) {
		if sorted := slices.Sorted(slices.Values(names)); len(slices.Compact(sorted)) != len(names) {
			t.Errorf("the types are %q", names)
		}
	})
	t.Run("each is available", func(t *testing.T) {
		const most = 40 // of one webhook
		events := names[:min(most, len(names))]
		w := s.create(t, s.valid().with("events", events))
		if !slices.Equal(w.Events, events) {
			t.Errorf("the events are %q, want %q", w.Events, events)
		}
	})
}

// testTypesOfOwn checks order, grants and removal with the operator's commands.
func testTypesOfOwn(t *testing.T, s *suite) {
	s.onlyOwn(t)
	platform := []string{referenceEvent, "RecurringPayments.charge.failed"}
	wantTypes := func(t *testing.T, key string, want ...string) {
		t.Helper()
		if got := s.types(t, key); !slices.Equal(got, want) {
			t.Errorf("the types are %q, want %q", got, want)
		}
	}
	wantTypes(t, s.keys.both, platform...)
	wantTypes(t, s.keys.other, platform...)

	// Neither of the alphabet nor platform and company mixed: the order of adding.
	s.own.addTypes(t, mainCompany, "zebra.granted", "aardvark.granted")
	s.own.addTypes(t, "", "a.platform.added")
	platform = append(platform, "a.platform.added")
	t.Run("order", func(t *testing.T) {
		wantTypes(t, s.keys.both, slices.Concat(platform, []string{"zebra.granted", "aardvark.granted"})...)
	})
	t.Run("granted to this company alone", func(t *testing.T) {
		wantTypes(t, s.keys.other, platform...)
		r := s.creation(s.valid().with("events", "zebra.granted").body())
		s.created(t, s.do(t, r))
		s.do(t, r.withKey(s.keys.other)).wantError(t, http.StatusUnprocessableEntity, notAvailable)
	})
	t.Run("removed", func(t *testing.T) { s.removeType(t, "zebra.granted") })
	t.Run("as many as one webhook may have", func(t *testing.T) {
		events := make([]string, 40)
		for i := range events {
			events[i] = fmt.Sprintf("many.%02d", i)
		}
		s.own.addTypes(t, mainCompany, events...)
		w := s.create(t, s.valid().with("events", events))
		if !slices.Equal(w.Events, events) {
			t.Errorf("the events are %q, want %q", w.Events, events)
		}
		s.delete(t, w.ID).wantBody(t, http.StatusOK, `{"id":"`+w.ID+`","deleted":true}`)
	})
}

// removeType checks that a removed type is hidden, that webhooks keep it and that an idempotent
// repeat still has its answer.
func (s *suite) removeType(t *testing.T, name string) {
	t.Helper()
	create := s.creation(s.valid().with("events", name).body()).withHeader("Idempotency-Key", newIdempotencyKey())
	first := s.do(t, create)
	kept := s.created(t, first)
	s.own.removeType(t, mainCompany, name)
	if slices.Contains(s.types(t, s.keys.both), name) {
		t.Errorf("the types still have %s", name)
	}
	s.do(t, s.creation(s.valid().with("events", name).body())).wantError(t, http.StatusUnprocessableEntity, notAvailable)
	s.get(t, kept.ID).wantBody(t, http.StatusOK, kept.redacted().json())
	s.do(t, create).wantSame(t, first)
}
