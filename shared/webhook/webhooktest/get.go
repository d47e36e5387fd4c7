package webhooktest

func getCases() []testCase {
	return []testCase{
		{"a stored webhook has every field", func(f *fixture) {
			w := f.newWebhook()
			w.Events = []string{"b.second", "a.first", "c.third"}
			w.Version = 7
			f.create(w)
			f.wantStored(w)
		}},
		{"unknown IDs are not found", func(f *fixture) {
			w := f.createOne()
			unknown := oddStrings()
			unknown["new ID"] = f.newWebhook().ID
			for name, id := range unknown {
				_, err := f.store.Webhook(f.ctx, f.company, id)
				wantNotFound(f.t, "Webhook("+name+")", err)
				wantNotFound(f.t, "DeleteWebhook("+name+")", f.store.DeleteWebhook(f.ctx, f.company, id))
			}
			f.wantStored(w)
		}},
		{"another company's webhook is not found", func(f *fixture) {
			w, other := f.createOne(), f.inNew()
			kept := other.createOne()
			_, err := f.store.Webhook(f.ctx, other.company, w.ID)
			wantNotFound(f.t, "Webhook(another company's ID)", err)
			wantNotFound(f.t, "DeleteWebhook(another company's ID)", f.store.DeleteWebhook(f.ctx, other.company, w.ID))
			f.wantStored(w)
			other.wantStored(kept)
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
