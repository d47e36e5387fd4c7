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
		{"a repetition returns the first creation and stores nothing", func(f *fixture) {
			record := newRecord("body")
			w := f.createKeyed(record)
			f.wantRepeat(record, f.now, ample, w.ID)
			f.wantStored(w)
		}},
		{"a repetition with another body returns the first creation's body hash", func(f *fixture) {
			record := newRecord("body")
			w := f.createKeyed(record)
			other := *record
			other.BodyHash = sha256.Sum256([]byte("another body"))
			earlier, err := f.createUnder(f.newWebhook(), ample, &other)
			wantEarlier(f, earlier, err, record, w.ID)
			f.wantStored(w)
		}},
		{"a repetition after the webhook was deleted still returns its ID", func(f *fixture) {
			record := newRecord("body")
			w := f.createKeyed(record)
			f.delete(w.ID)
			wantEarlier(f, f.prepare(f.now, &record.Key).Earlier, nil, record, w.ID)
			f.wantRepeat(record, f.now, ample, w.ID)
			f.wantStored()
		}},
		{"the key takes precedence over the quota", func(f *fixture) {
			record := newRecord("body")
			w := f.createKeyed(record)
			f.wantRepeat(record, f.now, 1, w.ID)
			f.wantRepeat(record, f.now, 0, w.ID)
			f.wantStored(w)
		}},
		{"other keys are other creations", func(f *fixture) {
			first, second := f.createKeyed(newRecord("body")), f.createKeyed(newRecord("body"))
			f.wantStored(first, second, f.createOne())
		}},
		{"keys are per company", func(f *fixture) {
			record, other := newRecord("body"), f.inNew()
			mine := f.createKeyed(record)
			if earlier := other.prepare(f.now, &record.Key).Earlier; earlier != nil {
				f.t.Errorf("another company's PrepareCreation returned the creation %+v", earlier)
			}
			theirs := other.createKeyed(record)
			f.wantRepeat(record, f.now, ample, mine.ID)
			other.wantRepeat(record, f.now, ample, theirs.ID)
		}},
		{"a key is live for just under 24 h", func(f *fixture) {
			record := newRecord("body")
			w := f.createKeyed(record)
			f.wantRepeat(record, f.now.Add(remembered), ample, w.ID)
			f.wantStored(w)
		}},
		{"an expired key can be used again", idempotencyExpired},
		{"a failed creation leaves no record", func(f *fixture) {
			record := newRecord("body")
			_, err := f.createUnder(f.newWebhook(), 0, record)
			wantQuotaReached(f.t, err, 0)
			if earlier := f.prepare(f.now, &record.Key).Earlier; earlier != nil {
				f.t.Errorf("PrepareCreation after a failed creation returned the creation %+v", earlier)
			}
			f.wantStored(f.createKeyed(record))
		}},
		{"a failed creation leaves an expired record unchanged", func(f *fixture) {
			record := newRecord("body")
			w := f.createKeyed(record)
			later := f.newWebhook()
			later.CreatedAt = f.now.Add(webhook.IdempotencyTTL)
			_, err := f.createUnder(later, 1, newRecordOf(record.Key, "another body"))
			wantQuotaReached(f.t, err, 1)
			wantEarlier(f, f.prepare(f.now, &record.Key).Earlier, nil, record, w.ID)
		}},
	}
}

// idempotencyExpired uses a key again exactly 24 h later, with another body.
func idempotencyExpired(f *fixture) {
	record := newRecord("body")
	first := f.createKeyed(record)
	again := newRecordOf(record.Key, "another body")
	second := f.newWebhook()
	second.CreatedAt = f.now.Add(webhook.IdempotencyTTL)
	earlier, err := f.createUnder(second, ample, again)
	if earlier != nil || err != nil {
		f.t.Fatalf("CreateWebhook with an expired key = %+v, %v, want nil, nil", earlier, err)
	}
	f.wantStored(first, second)
	f.wantRepeat(again, second.CreatedAt.Add(remembered), ample, second.ID)
	if earlier := f.prepare(second.CreatedAt.Add(webhook.IdempotencyTTL), &record.Key).Earlier; earlier != nil {
		f.t.Errorf("the record that replaced an expired one did not expire: %+v", earlier)
	}
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

// wantRepeat checks that a creation with the record's key, at a time, returns the webhook of an ID.
func (f *fixture) wantRepeat(record *webhook.IdempotencyRecord, at time.Time, quota int, id string) {
	f.t.Helper()
	w := f.newWebhook()
	w.CreatedAt = at
	earlier, err := f.createUnder(w, quota, record)
	wantEarlier(f, earlier, err, record, id)
	_, err = f.store.Webhook(f.ctx, f.company, w.ID)
	wantNotFound(f.t, "the webhook of a repetition", err)
}

func wantEarlier(f *fixture, got *webhook.EarlierCreation, err error, record *webhook.IdempotencyRecord, id string) {
	f.t.Helper()
	want := webhook.EarlierCreation{BodyHash: record.BodyHash, WebhookID: id}
	if err != nil || got == nil || *got != want {
		f.t.Errorf("got the earlier creation %+v, %v, want %+v", got, err, want)
	}
}
