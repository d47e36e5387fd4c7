package webhooktest

import (
	"crypto/sha256"
	"time"

	"webhooks/shared/webhook"
)

// remembered is the longest time after which a record is still live.
const remembered = webhook.IdempotencyTTL - time.Millisecond

func idempotencyCases() []testCase {
	return []testCase{
		{"a repetition returns the first creation and stores nothing, whatever its body or the quota", func(f *fixture) {
			record := newRecord("body")
			w := f.createKeyed(record)
			for _, quota := range []int{ample, 1, 0} {
				f.wantRepeat(record, f.now, quota, w.ID)
			}
			earlier, err := f.createUnder(f.newWebhook(), ample, newRecordOf(record.Key, "another body"))
			wantEarlier(f, earlier, err, record, w.ID)
			f.wantStored(w)
		}},
		{"a repetition after the webhook was deleted still returns its ID", func(f *fixture) {
			record := newRecord("body")
			w := f.createKeyed(record)
			f.delete(w.ID)
			f.wantRepeat(record, f.now, ample, w.ID)
			f.wantStored()
		}},
		{"keys are per company", func(f *fixture) {
			record, other := newRecord("body"), f.inNew()
			mine := f.createKeyed(record)
			other.wantNoEarlier(&record.Key, f.now)
			theirs := other.createKeyed(record)
			f.wantRepeat(record, f.now, ample, mine.ID)
			other.wantRepeat(record, f.now, ample, theirs.ID)
		}},
		{"a key is live for just under 24 h, and can be used again then", idempotencyExpired},
		{"a failed creation leaves no record", func(f *fixture) {
			record := newRecord("body")
			_, err := f.createUnder(f.newWebhook(), 0, record)
			wantError(f.t, err, webhook.QuotaReached(0))
			f.wantNoEarlier(&record.Key, f.now)
			f.wantStored(f.createKeyed(record))
		}},
		{"a failed creation leaves an expired record unchanged", func(f *fixture) {
			record := newRecord("body")
			w := f.createKeyed(record)
			later := f.newWebhook()
			later.CreatedAt = f.now.Add(webhook.IdempotencyTTL)
			_, err := f.createUnder(later, 1, newRecordOf(record.Key, "another body"))
			wantError(f.t, err, webhook.QuotaReached(1))
			wantEarlier(f, f.prepare(f.now, &record.Key).Earlier, nil, record, w.ID)
		}},
	}
}

// idempotencyExpired uses a key again exactly 24 h later, with another body.
func idempotencyExpired(f *fixture) {
	record := newRecord("body")
	first := f.createKeyed(record)
	for _, after := range []time.Duration{0, time.Hour, remembered} {
		f.wantRepeat(record, f.now.Add(after), ample, first.ID)
	}
	f.wantNoEarlier(nil, f.now)
	f.wantNoEarlier(&record.Key, f.now.Add(webhook.IdempotencyTTL))
	f.wantNoEarlier(&record.Key, f.now.Add(2*webhook.IdempotencyTTL))
	again := newRecordOf(record.Key, "another body")
	second := f.newWebhook()
	second.CreatedAt = f.now.Add(webhook.IdempotencyTTL)
	earlier, err := f.createUnder(second, ample, again)
	if earlier != nil || err != nil {
		f.t.Fatalf("CreateWebhook with an expired key = %+v, %v, want nil, nil", earlier, err)
	}
	f.wantStored(first, second)
	f.wantRepeat(again, second.CreatedAt.Add(remembered), ample, second.ID)
	f.wantNoEarlier(&record.Key, second.CreatedAt.Add(webhook.IdempotencyTTL))
}

func newRecordOf(key webhook.IdempotencyKey, body string) *webhook.IdempotencyRecord {
	return &webhook.IdempotencyRecord{Key: key, BodyHash: sha256.Sum256([]byte(body))}
}

// createKeyed stores a new webhook under an idempotency key.
func (f *fixture) createKeyed(record *webhook.IdempotencyRecord) webhook.Webhook {
	f.t.Helper()
	w := f.newWebhook()
	earlier, err := f.createUnder(w, ample, record)
	if earlier != nil || err != nil {
		f.t.Fatalf("CreateWebhook with a new key = %+v, %v, want nil, nil", earlier, err)
	}
	return w
}

// wantRepeat checks that a creation with the record's key, at a time, returns the webhook of an ID, and that PrepareCreation
// knows that.
func (f *fixture) wantRepeat(record *webhook.IdempotencyRecord, at time.Time, quota int, id string) {
	f.t.Helper()
	wantEarlier(f, f.prepare(at, &record.Key).Earlier, nil, record, id)
	w := f.newWebhook()
	w.CreatedAt = at
	earlier, err := f.createUnder(w, quota, record)
	wantEarlier(f, earlier, err, record, id)
	_, err = f.store.Webhook(f.ctx, f.company, w.ID)
	wantNotFound(f.t, "the webhook of a repetition", err)
}

// wantNoEarlier checks that PrepareCreation knows no creation under a key at a time.
func (f *fixture) wantNoEarlier(key *webhook.IdempotencyKey, at time.Time) {
	f.t.Helper()
	if earlier := f.prepare(at, key).Earlier; earlier != nil {
		f.t.Errorf("PrepareCreation returned the creation %+v", earlier)
	}
}

func wantEarlier(f *fixture, got *webhook.EarlierCreation, err error, record *webhook.IdempotencyRecord, id string) {
	f.t.Helper()
	want := webhook.EarlierCreation{BodyHash: record.BodyHash, WebhookID: id}
	if err != nil || got == nil || *got != want {
		f.t.Errorf("got the earlier creation %+v, %v, want %+v", got, err, want)
	}
}
