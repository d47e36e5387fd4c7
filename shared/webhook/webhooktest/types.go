package webhooktest

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"webhooks/shared/webhook"
)

func typeCases() []testCase {
	return []testCase{
		{"the platform's types come first, then the company's, each in the order added", typesOrder},
		{"types added at the same time are sorted by name", func(f *fixture) {
			names := []string{f.newTypeName(), f.newTypeName(), f.newTypeName()}
			for _, i := range []int{2, 0, 1} {
				f.addType(f.company, names[i], f.now)
			}
			f.wantTypes(f.company, names, names...)
		}},
		{"a name on both levels appears once, in the platform's position", typesBothLevels},
		{"adding a visible type changes only its description", func(f *fixture) {
			for _, company := range []string{"", f.company} {
				name := f.newTypeName()
				f.add(webhook.EventType{Name: name, Company: company, Description: "first", AddedAt: f.now})
				f.add(webhook.EventType{Name: name, Company: company, AddedAt: f.now.Add(time.Hour)})
				f.wantType(webhook.EventType{Name: name, Company: company, Description: "first", AddedAt: f.now})
				f.add(webhook.EventType{Name: name, Company: company, Description: "second", AddedAt: f.now.Add(time.Hour)})
				f.wantType(webhook.EventType{Name: name, Company: company, Description: "second", AddedAt: f.now})
			}
		}},
		{"adding a hidden type makes it visible again, as the newest", func(f *fixture) {
			for _, description := range []string{"", "second"} {
				first, second := f.newTypeName(), f.newTypeName()
				f.addType(f.company, first, f.now)
				f.addType(f.company, second, f.now.Add(time.Second))
				f.removeType(f.company, first)
				again := webhook.EventType{Name: first, Company: f.company, Description: description, AddedAt: f.now.Add(time.Minute)}
				f.add(again)
				f.wantType(again)
				f.wantTypes(f.company, []string{first, second}, second, first)
			}
		}},
		{"a removed type is in no list, and not found a second time", func(f *fixture) {
			for _, company := range []string{"", f.company} {
				name := f.newTypeName()
				f.addType(company, name, f.now)
				f.removeType(company, name)
				f.wantTypes(company, []string{name})
				f.wantTypes(f.company, []string{name})
				wantNotFound(f.t, "second RemoveEventType", f.store.RemoveEventType(f.ctx, company, name))
			}
		}},
		{"a type is removed only on its own level", func(f *fixture) {
			platform, own := f.newTypeName(), f.newTypeName()
			f.addType("", platform, f.now)
			f.addType(f.company, own, f.now)
			wantNotFound(f.t, "RemoveEventType(platform's, for a company)", f.store.RemoveEventType(f.ctx, f.company, platform))
			wantNotFound(f.t, "RemoveEventType(company's, for the platform)", f.store.RemoveEventType(f.ctx, "", own))
			wantNotFound(f.t, "RemoveEventType(another company's)", f.store.RemoveEventType(f.ctx, newCompany(), own))
			for what, name := range oddStrings() {
				wantNotFound(f.t, "RemoveEventType("+what+")", f.store.RemoveEventType(f.ctx, f.company, name))
			}
			f.wantTypes(f.company, []string{platform, own}, platform, own)
		}},
		{"webhooks keep a removed type", func(f *fixture) {
			name := f.newTypeName()
			f.addType(f.company, name, f.now)
			w := f.newWebhook()
			w.Events = []string{name}
			f.create(w)
			f.removeType(f.company, name)
			f.wantStored(w)
		}},
		{"a type has every field", func(f *fixture) {
			f.addAndWant(strings.Repeat("n", webhook.MaxEventLength-26)+f.newTypeName()[11:], oddText())
			f.addAndWant("0:/_-."+f.newTypeName(), "")
		}},
	}
}

func typesOrder(f *fixture) {
	platform := []string{f.newTypeName(), f.newTypeName(), f.newTypeName()}
	own := []string{f.newTypeName(), f.newTypeName(), f.newTypeName()}
	// AddedAt decides, not the names or the order of the calls.
	for i, at := range []time.Duration{2, 0, 1} {
		f.addType(f.company, own[i], f.now.Add(-at*time.Millisecond))
		f.addType("", platform[i], f.now.Add(at*time.Millisecond))
	}
	all := slices.Concat(platform, own)
	f.wantTypes(f.company, all, platform[1], platform[2], platform[0], own[0], own[2], own[1])
	for _, other := range []string{"", newCompany(), f.company + "_"} { // a company's types are only visible to it
		f.wantTypes(other, all, platform[1], platform[2], platform[0])
	}
}

func typesBothLevels(f *fixture) {
	own, shared, platform := f.newTypeName(), f.newTypeName(), f.newTypeName()
	all := []string{own, shared, platform}
	f.addType(f.company, own, f.now)
	f.addType(f.company, shared, f.now.Add(time.Second))
	f.addType("", shared, f.now.Add(2*time.Second))
	f.addType("", platform, f.now.Add(3*time.Second))
	f.wantTypes(f.company, all, shared, platform, own)
	f.removeType("", shared)
	f.wantTypes(f.company, all, platform, own, shared)
	f.removeType(f.company, shared)
	f.wantTypes(f.company, all, platform, own)
	f.addType("", shared, f.now.Add(4*time.Second))
	f.wantTypes(f.company, all, platform, shared, own)
}

func (f *fixture) add(t webhook.EventType) {
	f.t.Helper()
	if err := f.store.AddEventType(f.ctx, t); err != nil {
		f.t.Fatalf("AddEventType(%+v): %v", t, err)
	}
}

// addAndWant adds a type on both levels and checks that it is returned unchanged.
func (f *fixture) addAndWant(name, description string) {
	f.t.Helper()
	for _, company := range []string{f.company, ""} {
		t := webhook.EventType{Name: name, Company: company, Description: description, AddedAt: f.now}
		f.add(t)
		f.wantType(t)
	}
}

// types returns the types of a company that have one of the names.
func (f *fixture) types(company string, among []string) []webhook.EventType {
	f.t.Helper()
	types, err := f.store.EventTypes(f.ctx, company)
	if err != nil {
		f.t.Fatalf("EventTypes(%q): %v", company, err)
	}
	return slices.DeleteFunc(types, func(t webhook.EventType) bool { return !slices.Contains(among, t.Name) })
}

// wantTypes checks which of some names a company's types have, and their order.
func (f *fixture) wantTypes(company string, among []string, want ...string) {
	f.t.Helper()
	var got []string
	for _, t := range f.types(company, among) {
		got = append(got, t.Name)
	}
	if !slices.Equal(got, want) {
		f.t.Errorf("EventTypes(%q) = %q, want %q", company, got, want)
	}
}

// wantType checks that a type is listed with these fields.
func (f *fixture) wantType(want webhook.EventType) {
	f.t.Helper()
	got := f.types(want.Company, []string{want.Name})
	if len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		f.t.Errorf("EventTypes(%q) = %+v, want %+v", want.Company, got, want)
	}
}
