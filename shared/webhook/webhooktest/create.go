package webhooktest

import "webhooks/shared/webhook"

func createCases() []testCase {
	return []testCase{
		{"a created webhook is visible immediately", func(f *fixture) {
			f.wantStored(f.createOne())
		}},
		{"the quota is exact", func(f *fixture) {
			var stored []webhook.Webhook
			for range 3 {
				w := f.newWebhook()
				if earlier, err := f.createUnder(w, 3, nil); earlier != nil || err != nil {
					f.t.Fatalf("CreateWebhook below the quota = %v, %v", earlier, err)
				}
				stored = append(stored, w)
			}
			for range 2 {
				_, err := f.createUnder(f.newWebhook(), 3, nil)
				wantQuotaReached(f.t, err, 3)
			}
			f.wantStored(stored...)
		}},
		{"a quota below the count allows none", func(f *fixture) {
			stored := f.createN(3)
			_, err := f.createUnder(f.newWebhook(), 2, nil)
			wantQuotaReached(f.t, err, 2)
			f.wantStored(stored...)
		}},
		{"a deletion frees quota", func(f *fixture) {
			stored := f.createN(2)
			f.delete(stored[0].ID)
			w := f.newWebhook()
			if _, err := f.createUnder(w, 2, nil); err != nil {
				f.t.Fatalf("CreateWebhook after a deletion: %v", err)
			}
			f.wantStored(stored[1], w)
		}},
		{"storing the same webhook twice counts it once", func(f *fixture) {
			w := f.createOne()
			_, _ = f.createUnder(w, ample, nil) // may be an error or not
			f.wantStored(w)
			f.delete(w.ID)
			f.wantStored()
		}},
	}
}

// createUnder stores a webhook with a quota and, if it is not nil, an idempotency record.
func (f *fixture) createUnder(w webhook.Webhook, quota int, record *webhook.IdempotencyRecord) (*webhook.EarlierCreation, error) {
	return f.store.CreateWebhook(f.ctx, webhook.Creation{Webhook: w, Quota: quota, Idempotency: record})
}
