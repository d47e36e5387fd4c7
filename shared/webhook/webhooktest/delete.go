package webhooktest

import (
	"fmt"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/webhook"
)

func deleteCases() []testCase {
	return []testCase{
		{"a deleted webhook is gone at once", func(f *fixture) {
			w := f.createN(3)
			f.delete(w[1].ID)
			_, err := f.store.Webhook(f.ctx, f.company, w[1].ID)
			wantNotFound(f.t, "Webhook(deleted)", err)
			f.wantStored(w[0], w[2])
		}},
		{"a second deletion finds nothing", func(f *fixture) {
			w := f.createN(2)
			f.delete(w[0].ID)
			wantNotFound(f.t, "second DeleteWebhook", f.store.DeleteWebhook(f.ctx, f.company, w[0].ID))
			f.wantStored(w[1])
		}},
		{"an unknown id is not found", func(f *fixture) {
			w := f.createOne()
			err := f.store.DeleteWebhook(f.ctx, f.company, webhook.NewID(ulid.Make().String()))
			wantNotFound(f.t, "DeleteWebhook(unknown id)", err)
			f.wantStored(w)
		}},
		{"an odd string is not found", func(f *fixture) {
			w := f.createOne()
			for name, id := range oddStrings() {
				wantNotFound(f.t, "DeleteWebhook("+name+")", f.store.DeleteWebhook(f.ctx, f.company, id))
			}
			f.wantStored(w)
		}},
		{"another company's webhook is not found and stays", func(f *fixture) {
			w, other := f.createOne(), f.inNew()
			kept := other.createOne()
			wantNotFound(f.t, "DeleteWebhook(another company's id)", f.store.DeleteWebhook(f.ctx, other.company, w.ID))
			f.wantStored(w)
			other.wantStored(kept)
		}},
		{"a webhook with 40 events goes as a whole", func(f *fixture) {
			w := f.newWebhook()
			w.Events = nil
			for i := range webhook.MaxEvents {
				w.Events = append(w.Events, fmt.Sprintf("many.events.%0*d", webhook.MaxEventLength-12, i))
			}
			f.create(w)
			f.wantStored(w)
			f.delete(w.ID)
			f.wantStored()
			f.create(w) // nothing of the deleted one is in the way
			f.wantStored(w)
		}},
		{"the last deletion leaves an empty company that can be used again", func(f *fixture) {
			for range 3 {
				w := f.createN(2)
				f.wantStored(w...)
				f.delete(w[0].ID)
				f.delete(w[1].ID)
				f.wantStored()
			}
		}},
	}
}

// delete deletes a webhook that is there.
func (f *fixture) delete(id string) {
	f.t.Helper()
	if err := f.store.DeleteWebhook(f.ctx, f.company, id); err != nil {
		f.t.Fatalf("DeleteWebhook(%s): %v", id, err)
	}
}
