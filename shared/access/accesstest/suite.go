// Package accesstest is the conformance suite of [access.KeyStore]. Every implementation runs it against its real database.
package accesstest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// Run tests a store. It calls open once per case; open may return the same store each time, and the store may contain data,
// because every case uses its own companies. Cases run in parallel and need a healthy database.
func Run(t *testing.T, open func(t *testing.T) access.KeyStore) {
	for name, test := range map[string]func(f *fixture){
		"keys are stored unchanged and listed by ID": testKeys,
		"an unknown hash or company has no key":      testUnknown,
		"companies with similar names":               testCompanies,
		"the platform has its own keys":              testPlatform,
		"the first revocation's time is kept":        testRevoke,
		"an unknown ID cannot be revoked":            testRevokeUnknown,
		"concurrent revocations keep one time":       testRevokeRace,
		"the latest day of use is kept":              testRecordUse,
		"a canceled context is KindUnavailable":      testCanceled,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a store that hangs fails
			defer cancel()
			now := time.Date(2026, 3, 29, 1, 30, 0, 123_000_000, time.UTC)
			test(&fixture{t: t, ctx: ctx, store: open(t), company: newCompany(), now: now})
		})
	}
}

// fixture is a store and a company that only one case uses.
type fixture struct {
	t       *testing.T
	ctx     context.Context
	store   access.KeyStore
	company string
	now     time.Time
	keys    uint64 // how many were generated
}

func newCompany() string { return "co_" + ulid.Make().String() }

// newKey returns a new key, which is not stored. Its ID is greater than those of earlier keys.
func (f *fixture) newKey(company string) access.Key {
	f.keys++
	id := ulid.MustNew(ulid.Timestamp(f.now)+f.keys, rand.Reader).String()
	return access.Key{
		ID:          access.NewKeyID(company, id),
		Company:     company,
		Permissions: access.Permissions(),
		Hash:        sha256.Sum256([]byte(company + id)),
		CreatedAt:   f.now,
	}
}

// create stores a key.
func (f *fixture) create(key access.Key) access.Key {
	f.t.Helper()
	if err := f.store.CreateKey(f.ctx, key); err != nil {
		f.t.Fatalf("CreateKey(%s): %v", key.ID, err)
	}
	return key
}

// createNew stores a new key of the fixture's company.
func (f *fixture) createNew() access.Key {
	f.t.Helper()
	return f.create(f.newKey(f.company))
}

// wantStored checks that a company has exactly these keys, in this order.
func (f *fixture) wantStored(company string, want ...access.Key) {
	f.t.Helper()
	got, err := f.store.Keys(f.ctx, company)
	if err != nil || len(got) != len(want) {
		f.t.Fatalf("Keys(%q) = %+v, %v, want %d keys", company, got, err, len(want))
	}
	for i := range want {
		key, err := f.store.KeyByHash(f.ctx, want[i].Hash)
		if !reflect.DeepEqual(got[i], want[i]) || err != nil || !reflect.DeepEqual(key, want[i]) {
			f.t.Errorf("key %d: Keys returned %+v and KeyByHash %+v, %v\nwant %+v", i, got[i], key, err, want[i])
		}
	}
}

func testKeys(f *fixture) {
	keys := make([]access.Key, 104) // more than DynamoDB reads in one batch
	for i := range keys {
		key := f.newKey(f.company)
		key.CreatedAt = f.now.Add(-time.Duration(i) * time.Hour) // does not affect the order
		switch i % 4 {
		case 1:
			key.Permissions = []access.Permission{access.WebhooksRead}
			key.Label, key.LastUsedOn = "Abrechnung für 東京 <b>%s 🔑", f.now.Truncate(24*time.Hour)
		case 2:
			slices.Reverse(key.Permissions)
			key.ExpiresAt = f.now.Add(720*time.Hour + time.Millisecond)
		case 3:
			key.ExpiresAt = key.CreatedAt.Add(-time.Hour)
		}
		keys[i] = key
	}
	for i := range keys {
		f.create(keys[(i*7+3)%len(keys)])
	}
	f.wantStored(f.company, keys...)
}

func testUnknown(f *fixture) {
	f.wantStored(newCompany())
	flipped := f.createNew().Hash
	flipped[len(flipped)-1] ^= 1
	for _, hash := range []access.Hash{{}, sha256.Sum256([]byte(f.company)), flipped} {
		if key, err := f.store.KeyByHash(f.ctx, hash); !errors.Is(err, webhook.ErrNotFound) {
			f.t.Errorf("KeyByHash(%x) = %+v, %v, want %v", hash, key, err, webhook.ErrNotFound)
		}
	}
}

func testCompanies(f *fixture) {
	longest := f.company + strings.Repeat("0", webhook.MaxCompanyLength-len(f.company))
	var stored []access.Key
	for _, company := range []string{f.company, "CO" + f.company[2:], f.company + "_", f.company + "-", longest, f.company + "_" + ulid.Make().String()} {
		stored = append(stored, f.create(f.newKey(company)))
	}
	for _, key := range stored {
		f.wantStored(key.Company, key)
	}
}

// Other cases and runs may have platform keys in the same store.
func testPlatform(f *fixture) {
	key, ofCompany := f.newKey(""), f.createNew()
	key.ID = access.NewKeyID("", ulid.Make().String())
	f.create(key)
	if err := f.store.RevokeKey(f.ctx, key.ID, f.now); err != nil {
		f.t.Fatalf("RevokeKey(%s): %v", key.ID, err)
	}
	key.RevokedAt = f.now
	listed, err := f.store.Keys(f.ctx, "")
	isKey := func(k access.Key) bool { return reflect.DeepEqual(k, key) }
	if err != nil || !slices.ContainsFunc(listed, isKey) || slices.ContainsFunc(listed, func(k access.Key) bool { return !k.IsPlatform() }) {
		f.t.Errorf("Keys(\"\") = %+v, %v, want %+v and no key of a company", listed, err, key)
	}
	f.wantStored(f.company, ofCompany)
}

func testRevoke(f *fixture) {
	key, other := f.createNew(), f.createNew()
	expired := f.newKey(f.company)
	expired.ExpiresAt = f.now.Add(-time.Hour)
	f.create(expired)
	key.RevokedAt, expired.RevokedAt = f.now.Add(time.Hour), f.now.Add(time.Hour)
	for _, id := range []string{key.ID, expired.ID} {
		for _, at := range []time.Duration{time.Hour, 2 * time.Hour, 0} {
			if err := f.store.RevokeKey(f.ctx, id, f.now.Add(at)); err != nil {
				f.t.Fatalf("RevokeKey(%s): %v", id, err)
			}
		}
	}
	f.wantStored(f.company, key, other, expired)
}

func testRevokeUnknown(f *fixture) {
	key := f.createNew()
	suffix := strings.TrimPrefix(key.ID, "key_"+f.company)
	for _, id := range []string{
		"", "\x00", strings.Repeat("x", 10_000), "key_" + strings.Repeat("x", 10_000) + suffix, "key_\xff\xfe" + suffix, "key_" + suffix,
		"key_" + newCompany() + suffix, "key_" + f.company + "_" + suffix, access.NewKeyID(f.company, ulid.Make().String()),
		strings.ToLower(key.ID), key.ID + "\x00", key.ID + " ", strings.TrimPrefix(key.ID, "key_"), string(key.Hash[:]), "key_" + f.company + "_%",
	} {
		if err := f.store.RevokeKey(f.ctx, id, f.now); !errors.Is(err, webhook.ErrNotFound) {
			f.t.Errorf("RevokeKey(%.100q): got error %v, want %v", id, err, webhook.ErrNotFound)
		}
	}
	f.wantStored(f.company, key)
}

func testRevokeRace(f *fixture) {
	key := f.createNew()
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := f.store.RevokeKey(f.ctx, key.ID, f.now.Add(time.Duration(i)*time.Second)); err != nil {
				f.t.Errorf("RevokeKey: %v", err)
			}
		})
	}
	all.Wait()
	found, err := f.store.KeyByHash(f.ctx, key.Hash)
	if err != nil || found.RevokedAt.IsZero() {
		f.t.Fatalf("KeyByHash = %+v, %v, want a revoked key", found, err)
	}
	key.RevokedAt = found.RevokedAt
	f.wantStored(f.company, key)
}

func testRecordUse(f *fixture) {
	const day = 24 * time.Hour
	key, other, missing := f.createNew(), f.createNew(), f.newKey(f.company)
	key.LastUsedOn = f.now.Truncate(day).Add(day)
	for _, hash := range []access.Hash{key.Hash, missing.Hash} {
		for _, use := range []time.Time{key.LastUsedOn.Add(-day), key.LastUsedOn, key.LastUsedOn, key.LastUsedOn.Add(-day)} {
			if err := f.store.RecordKeyUse(f.ctx, hash, use); err != nil {
				f.t.Fatalf("RecordKeyUse: %v", err)
			}
		}
	}
	f.wantStored(f.company, key, other)
	f.create(missing)
	f.wantStored(f.company, key, other, missing)
}

func testCanceled(f *fixture) {
	stored := f.createNew()
	ctx, cancel := context.WithCancel(f.ctx)
	cancel()
	_, find := f.store.KeyByHash(ctx, stored.Hash)
	_, list := f.store.Keys(ctx, f.company)
	for method, err := range map[string]error{
		"CreateKey": f.store.CreateKey(ctx, f.newKey(f.company)), "KeyByHash": find, "Keys": list,
		"RevokeKey": f.store.RevokeKey(ctx, stored.ID, f.now), "RecordKeyUse": f.store.RecordKeyUse(ctx, stored.Hash, f.now),
	} {
		if webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, context.Canceled) {
			f.t.Errorf("%s: got error %v, want KindUnavailable that wraps %v", method, err, context.Canceled)
		}
	}
}
