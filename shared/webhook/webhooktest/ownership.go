package webhooktest

import (
	"slices"

	"webhooks/shared/webhook"
)

func ownershipCases() []testCase {
	return []testCase{
		{"the caller may modify a webhook after its creation", func(f *fixture) {
			created := f.newWebhook()
			want := clone(created)
			f.create(created)
			spoil(created)
			f.wantStored(want)
		}},
		{"arguments are not modified", func(f *fixture) {
			w := f.newWebhook()
			w.Events = slices.Grow([]string{"z.last", "a.first"}, 10)
			want := clone(w)
			f.create(w)
			wantWebhooks(f.t, []webhook.Webhook{w}, []webhook.Webhook{want})
			events := []string{"z.last", "a.first"}
			f.prepare(f.now, nil, events...)
			if !slices.Equal(events, want.Events) {
				f.t.Errorf("PrepareCreation modified the events to %q", events)
			}
		}},
		{"the caller may modify a returned webhook", func(f *fixture) {
			want := f.createOne()
			got, err := f.store.Webhook(f.ctx, f.company, want.ID)
			if err != nil {
				f.t.Fatalf("Webhook: %v", err)
			}
			spoil(got)
			f.wantStored(want)
		}},
		{"the caller may modify a returned list", func(f *fixture) {
			want := f.createN(3)
			list := f.list(100, 1)
			for _, w := range list.Webhooks {
				spoil(w)
			}
			slices.Reverse(list.Webhooks)
			clear(list.Webhooks[:1])
			f.wantStored(want...)
		}},
		{"the caller may modify returned types", func(f *fixture) {
			name := f.newTypeName()
			f.addType(f.company, name, f.now)
			types, err := f.store.EventTypes(f.ctx, f.company)
			if err != nil {
				f.t.Fatalf("EventTypes: %v", err)
			}
			clear(types)
			f.wantTypes(f.company, []string{name}, name)
		}},
		{"the caller may modify a returned creation state", func(f *fixture) {
			record, unknown := newRecord("body"), f.newTypeName()
			w := f.createKeyed(record)
			state := f.prepare(f.now, &record.Key, unknown)
			state.Earlier.WebhookID, state.Unavailable[0] = "changed", "changed"
			state = f.prepare(f.now, &record.Key, unknown)
			wantEarlier(f, state.Earlier, nil, record, w.ID)
			if !slices.Equal(state.Unavailable, []string{unknown}) {
				f.t.Errorf("got unavailable %q, want %q", state.Unavailable, unknown)
			}
		}},
	}
}

func clone(w webhook.Webhook) webhook.Webhook {
	w.Events, w.SealedToken = slices.Clone(w.Events), slices.Clone(w.SealedToken)
	return w
}

// spoil overwrites the slices of a webhook.
func spoil(w webhook.Webhook) {
	for i := range w.Events {
		w.Events[i] = "spoiled"
	}
	for i := range w.SealedToken {
		w.SealedToken[i] = 'X'
	}
}
