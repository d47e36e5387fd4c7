package webhooktest

import (
	"maps"
	"slices"

	"webhooks/shared/webhook"
)

func prepareCases() []testCase {
	return []testCase{
		{"unknown types, also in another case, and those of other companies are unavailable", func(f *fixture) {
			own, theirs, unknown := f.newTypeName(), f.newTypeName(), f.newTypeName()
			f.addType(f.company, own, f.now)
			f.addType(newCompany(), theirs, f.now)
			f.wantUnavailable([]string{unknown, own, theirs, "s" + own[1:]}, theirs, unknown, "s"+own[1:])
		}},
		{"hidden types are unavailable", func(f *fixture) {
			platform, own := f.newTypeName(), f.newTypeName()
			f.addType("", platform, f.now)
			f.addType(f.company, own, f.now)
			f.wantUnavailable([]string{platform, own})
			f.removeType("", platform)
			f.wantUnavailable([]string{platform, own}, platform)
			f.removeType(f.company, own)
			f.wantUnavailable([]string{platform, own}, platform, own)
			f.addType("", platform, f.now)
			f.wantUnavailable([]string{platform, own}, own)
		}},
		{"a type that is visible on one level is available", func(f *fixture) {
			name := f.newTypeName()
			f.addType("", name, f.now)
			f.addType(f.company, name, f.now)
			f.removeType("", name)
			f.wantUnavailable([]string{name})
			f.addType("", name, f.now)
			f.removeType(f.company, name)
			f.wantUnavailable([]string{name})
		}},
		{"events may be any strings", func(f *fixture) {
			own := f.newTypeName()
			f.addType(f.company, own, f.now)
			odd := slices.Collect(maps.Values(oddStrings()))
			f.wantUnavailable(append(slices.Clone(odd), own), odd...)
		}},
		{"the maximum number of events, with a key", prepareMany},
		{"it changes nothing", func(f *fixture) {
			record, w := newRecord("body"), f.createOne()
			f.prepare(f.now, &record.Key, f.newTypeName())
			f.wantStored(w)
			f.wantStored(w, f.createKeyed(record))
		}},
	}
}

// prepareMany queries the maximum number of events, half of them available, a quarter on each level.
func prepareMany(f *fixture) {
	record := newRecord("body")
	w := f.createKeyed(record)
	var events, unavailable []string
	for i := range webhook.MaxEvents {
		name := f.newTypeName()
		events = append(events, name)
		switch i % 4 {
		case 0:
			f.addType("", name, f.now)
		case 1:
			f.addType(f.company, name, f.now)
		default:
			unavailable = append(unavailable, name)
		}
	}
	f.wantUnavailable(events, unavailable...)
	state := f.prepare(f.now, &record.Key, events...)
	wantEarlier(f, state.Earlier, nil, record, w.ID)
	if len(state.Unavailable) != len(unavailable) || state.Count != 1 {
		f.t.Errorf("got %d unavailable and a count of %d, want %d and 1", len(state.Unavailable), state.Count, len(unavailable))
	}
}

// wantUnavailable checks which of some events the company cannot subscribe to.
func (f *fixture) wantUnavailable(events []string, want ...string) {
	f.t.Helper()
	got := slices.Sorted(slices.Values(f.prepare(f.now, nil, events...).Unavailable))
	if want = slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
		f.t.Errorf("of %q, %q are unavailable, want %q", events, got, want)
	}
}
