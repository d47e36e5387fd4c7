package e2e

import (
	"encoding/json"
	"slices"
	"testing"
)

// types gets the event types of a key's company.
func (s *suite) types(t *testing.T, key string) []string {
	t.Helper()
	r := s.do(t, s.get("/webhooks/types").as(key))
	var names []string
	if err := json.Unmarshal(r.body, &names); err != nil || r.status != 200 || names == nil {
		t.Fatalf("%s\nwant 200 and an array of names", r)
	}
	r.want(t, 200, encode(names))
	return names
}

func testTypes(t *testing.T, s *suite) {
	types := s.types(t, s.keys.both)
	events := types[:min(40, len(types))]
	s.stores(t, s.post(s.valid().with("events", events).body()), defaultName, defaultDescription, s.receiver, events...)
	t.Run("the query is ignored", func(t *testing.T) {
		s.do(t, s.get("/webhooks/types?size=0&webhookId=x&%zz").on(serve)).want(t, 200, encode(types))
	})
}

// testTypesChange adds and removes event types with the operator's commands.
func testTypesChange(t *testing.T, s *suite) {
	s.needOwn(t)
	wantTypes := func(key string, want ...string) {
		t.Helper()
		if got := s.types(t, key); !slices.Equal(got, want) {
			t.Errorf("got the types %q, want %q", got, want)
		}
	}
	subscribe := func(event string) request { return s.post(s.valid().with("events", event).body()) }
	platform := []string{referenceEvent, "RecurringPayments.charge.failed"}
	wantTypes(s.keys.both, platform...)
	wantTypes(s.keys.other, platform...)

	// The platform's come first, then the company's, each in the order in which they were added.
	s.own.addTypes(t, mainCompany, "zebra.granted", "aardvark.granted")
	s.own.addTypes(t, "", "a.platform.added")
	s.own.addTypes(t, mainCompany, referenceEvent) // listed once
	platform = append(platform, "a.platform.added")
	wantTypes(s.keys.both, slices.Concat(platform, []string{"zebra.granted", "aardvark.granted"})...)

	// A granted type is only for its company.
	wantTypes(s.keys.other, platform...)
	kept := s.created(t, s.do(t, subscribe("zebra.granted")))
	s.do(t, subscribe("zebra.granted").as(s.keys.other)).wantError(t, 422, notAvailable)

	// A removed type is no longer available, but webhooks keep it.
	s.own.run(t, "types", "remove", "zebra.granted", "--company", mainCompany)
	wantTypes(s.keys.both, append(platform, "aardvark.granted")...)
	s.do(t, subscribe("zebra.granted")).wantError(t, 422, notAvailable)
	s.wantStored(t, kept)

	t.Run("new service", func(t *testing.T) {
		empty := s.another(t)
		empty.do(t, empty.get("/webhooks/types")).want(t, 200, "[]")
	})
}
