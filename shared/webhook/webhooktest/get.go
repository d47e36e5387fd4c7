package webhooktest

import (
	"github.com/oklog/ulid/v2"

	"webhooks/shared/webhook"
)

func getCases() []testCase {
	return []testCase{
		{"a stored webhook has every field", func(f *fixture) {
			w := f.newWebhook()
			w.Events = []string{"b.second", "a.first", "c.third"}
			w.Version = 7
			f.create(w)
			f.wantStored(w)
		}},
		{"an unknown ID is not found", func(f *fixture) {
			f.createOne()
			_, err := f.store.Webhook(f.ctx, f.company, webhook.NewID(ulid.Make().String()))
			wantNotFound(f.t, "Webhook(unknown ID)", err)
		}},
		{"an odd string is not found", func(f *fixture) {
			f.createOne()
			for name, id := range oddStrings() {
				_, err := f.store.Webhook(f.ctx, f.company, id)
				wantNotFound(f.t, "Webhook("+name+")", err)
			}
		}},
		{"another company's ID is not found", func(f *fixture) {
			w := f.createOne()
			_, err := f.store.Webhook(f.ctx, newCompany(), w.ID)
			wantNotFound(f.t, "Webhook(another company's ID)", err)
		}},
		{"two companies can have webhooks with the same ID", func(f *fixture) {
			mine, other := f.newWebhook(), f.inNew()
			theirs := other.newWebhook()
			theirs.ID, theirs.Name = mine.ID, "Theirs"
			f.create(mine)
			other.create(theirs)
			f.wantStored(mine)
			other.wantStored(theirs)
		}},
		{"Ping succeeds", func(f *fixture) {
			if err := f.store.Ping(f.ctx); err != nil {
				f.t.Errorf("Ping: %v", err)
			}
		}},
	}
}
