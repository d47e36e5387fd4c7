package webhooktest

import "webhooks/shared/webhook"

func createCases() []testCase {
	return []testCase{
		{"a created webhook is there at once", func(f *fixture) {
			f.wantStored(f.createOne())
		}},
		{"the quota lets exactly as many in", func(f *fixture) {
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
		{"a quota of none lets none in", func(f *fixture) {
			_, err := f.createUnder(f.newWebhook(), 0, nil)
			wantQuotaReached(f.t, err, 0)
			f.wantStored()
		}},
		{"a quota below the count lets none in and names itself", func(f *fixture) {
			stored := f.createN(3)
			_, err := f.createUnder(f.newWebhook(), 2, nil)
			wantQuotaReached(f.t, err, 2)
			f.wantStored(stored...)
		}},
		{"a deletion makes room in the quota", func(f *fixture) {
			stored := f.createN(2)
			f.delete(stored[0].ID)
			w := f.newWebhook()
			if _, err := f.createUnder(w, 2, nil); err != nil {
				f.t.Fatalf("CreateWebhook after a deletion: %v", err)
			}
			f.wantStored(stored[1], w)
		}},
		{"a quota is of one company", func(f *fixture) {
			f.createN(2)
			other := f.inNew()
			w := other.newWebhook()
			if _, err := other.createUnder(w, 1, nil); err != nil {
				f.t.Fatalf("CreateWebhook in another company: %v", err)
			}
			other.wantStored(w)
		}},
		{"storing the same webhook again does not count it twice", func(f *fixture) {
			w := f.createOne()
			_, _ = f.createUnder(w, ample, nil) // whether this is an error is the store's choice
			f.wantStored(w)
			f.delete(w.ID)
			f.wantStored()
		}},
	}
}

// createUnder tries to store a webhook under a quota, with an idempotency record if it is not nil.
func (f *fixture) createUnder(w webhook.Webhook, quota int, record *webhook.IdempotencyRecord) (*webhook.EarlierCreation, error) {
	return f.store.CreateWebhook(f.ctx, webhook.Creation{Webhook: w, Quota: quota, Idempotency: record})
}
