package webhooktest

import (
	"fmt"
	"strings"

	"webhooks/shared/webhook"
)

func createCases() []testCase {
	return []testCase{
		{"the quota is exact, and a deletion frees it", func(f *fixture) {
			var stored []webhook.Webhook
			for range 3 {
				w := f.newWebhook()
				if earlier, err := f.createUnder(w, 3, nil); earlier != nil || err != nil {
					f.t.Fatalf("CreateWebhook below the quota = %v, %v", earlier, err)
				}
				stored = append(stored, w)
			}
			for _, quota := range []int{3, 3, 2, 0} {
				_, err := f.createUnder(f.newWebhook(), quota, nil)
				wantError(f.t, err, webhook.QuotaReached(quota))
			}
			f.wantStored(stored...)
			f.delete(stored[0].ID)
			w := f.newWebhook()
			if _, err := f.createUnder(w, 3, nil); err != nil {
				f.t.Fatalf("CreateWebhook after a deletion: %v", err)
			}
			f.wantStored(stored[1], stored[2], w)
		}},
		{"storing the same webhook twice counts it once", func(f *fixture) {
			w := f.createOne()
			_, _ = f.createUnder(w, ample, nil) // may be an error or not
			f.wantStored(w)
			f.delete(w.ID)
			f.wantStored()
		}},
		{"a deleted webhook is gone immediately, and a second deletion is not found", func(f *fixture) {
			w := f.createN(3)
			f.delete(w[1].ID)
			_, err := f.store.Webhook(f.ctx, f.company, w[1].ID)
			wantNotFound(f.t, "Webhook(deleted)", err)
			wantNotFound(f.t, "second DeleteWebhook", f.store.DeleteWebhook(f.ctx, f.company, w[1].ID))
			f.wantStored(w[0], w[2])
		}},
		{"the largest webhook is stored and deleted completely", func(f *fixture) {
			w := f.newWebhook()
			w.Name = strings.Repeat("\U0001F4E8", webhook.MaxNameLength)
			w.Description = strings.Repeat("\U0001F4E8", webhook.MaxDescriptionLength)
			w.URL = "https://example.com/"
			w.URL += strings.Repeat("é", (webhook.MaxURLLength-len(w.URL))/2)
			w.Events = nil
			for i := range webhook.MaxEvents {
				w.Events = append(w.Events, fmt.Sprintf("many.events.%0*d", webhook.MaxEventLength-12, i))
			}
			w.SealedToken = []byte(strings.Repeat("\x00\xff", 256))
			for range 3 { // nothing of the deleted one is left
				f.create(w)
				f.wantStored(w)
				f.delete(w.ID)
				f.wantStored()
			}
		}},
	}
}

// createUnder stores a webhook with a quota and, if it is not nil, an idempotency record.
func (f *fixture) createUnder(w webhook.Webhook, quota int, record *webhook.IdempotencyRecord) (*webhook.EarlierCreation, error) {
	return f.store.CreateWebhook(f.ctx, webhook.Creation{Webhook: w, Quota: quota, Idempotency: record})
}

// delete deletes an existing webhook.
func (f *fixture) delete(id string) {
	f.t.Helper()
	if err := f.store.DeleteWebhook(f.ctx, f.company, id); err != nil {
		f.t.Fatalf("DeleteWebhook(%s): %v", id, err)
	}
}
