package webhooktest

import (
	"fmt"

	"webhooks/shared/webhook"
)

func deleteCases() []testCase {
	return []testCase{
		{"a deleted webhook is gone immediately", func(f *fixture) {
			w := f.createN(3)
			f.delete(w[1].ID)
			_, err := f.store.Webhook(f.ctx, f.company, w[1].ID)
			wantNotFound(f.t, "Webhook(deleted)", err)
			f.wantStored(w[0], w[2])
		}},
		{"a second deletion is not found", func(f *fixture) {
			w := f.createN(2)
			f.delete(w[0].ID)
			wantNotFound(f.t, "second DeleteWebhook", f.store.DeleteWebhook(f.ctx, f.company, w[0].ID))
			f.wantStored(w[1])
		}},
		{"a webhook with 40 events is deleted completely", func(f *fixture) {
			w := f.newWebhook()
			w.Events = nil
			for i := range webhook.MaxEvents {
				w.Events = append(w.Events, fmt.Sprintf("many.events.%0*d", webhook.MaxEventLength-12, i))
			}
			f.create(w)
			f.wantStored(w)
			f.delete(w.ID)
			f.wantStored()
			f.create(w) // nothing of the deleted one is left
			f.wantStored(w)
		}},
		{"a company can be used again after its last webhook is deleted", func(f *fixture) {
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

// delete deletes an existing webhook.
func (f *fixture) delete(id string) {
	f.t.Helper()
	if err := f.store.DeleteWebhook(f.ctx, f.company, id); err != nil {
		f.t.Fatalf("DeleteWebhook(%s): %v", id, err)
	}
}
