package webhooktest

import (
	"slices"

	"webhooks/shared/webhook"
)

func ownershipCases() []testCase {
	return []testCase{
		{"arguments are neither modified nor kept", func(f *fixture) {
			created := f.newWebhook()
			created.Events = slices.Grow([]string{"z.last", "a.first"}, 10)
			want := clone(created)
			f.create(created)
			wantWebhooks(f.t, []webhook.Webhook{created}, []webhook.Webhook{want})
			spoil(created)
			f.wantStored(want)
			events := slices.Clone(want.Events)
			f.prepare(f.now, nil, events...)
			if !slices.Equal(events, want.Events) {
				f.t.Errorf("PrepareCreation modified the events to %q", events)
			}
		}},
		{"the caller may modify results", func(f *fixture) {
			record, name := newRecord("body"), f.newTypeName()
			f.addType(f.company, name, f.now)
			want := []webhook.Webhook{f.createKeyed(record), f.createOne()}
			list := f.list(100, 1)
			for _, w := range list.Webhooks {
				spoil(w)
			}
			clear(list.Webhooks)
			got, err := f.store.Webhook(f.ctx, f.company, want[0].ID)
			if err != nil {
				f.t.Fatalf("Webhook: %v", err)
			}
			spoil(got)
			f.wantStored(want...)
			clear(f.types(f.company, []string{name}))
			f.wantTypes(f.company, []string{name}, name)
			state := f.prepare(f.now, &record.Key, "unknown")
			state.Earlier.WebhookID, state.Unavailable[0] = "changed", "changed"
			wantEarlier(f, f.prepare(f.now, &record.Key).Earlier, nil, record, want[0].ID)
			f.wantUnavailable([]string{"unknown"}, "unknown")
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
	clear(w.SealedToken)
}
