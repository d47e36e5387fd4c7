// Package accesstest is the conformance suite of [access.KeyStore]: one set of cases that every
// implementation runs against its real database.
package accesstest

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// Run holds a store to the contract. It calls open once for every case; open may give the same
// store each time, or a store that holds data already: every case works in companies of its own.
// Cases run in parallel, and expect a healthy database.
func Run(t *testing.T, open func(t *testing.T) access.KeyStore) {
	groups := []struct {
		name  string
		cases []testCase
	}{
		{"find", findCases()},
		{"list", listCases()},
		{"revoke", revokeCases()},
		{"ownership", ownershipCases()},
		{"context", contextCases()},
	}
	for _, group := range groups {
		t.Run(group.name, func(t *testing.T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					c.run(newFixture(t, open(t)))
				})
			}
		})
	}
}

// testCase is one case of the suite. Its name says what must hold.
type testCase struct {
	name string
	run  func(f *fixture)
}

// patience bounds one case, so that a store that hangs fails instead of stopping the suite.
const patience = 60 * time.Second

// fixture is what a case works with: a store, and a company in it that nothing else uses.
type fixture struct {
	t       *testing.T
	ctx     context.Context
	store   access.KeyStore
	company string
	now     time.Time
	made    *atomic.Uint64 // how many ULIDs
}

func newFixture(t *testing.T, store access.KeyStore) *fixture {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	now := time.Date(2026, 3, 29, 1, 30, 0, 123_000_000, time.UTC)
	return &fixture{t: t, ctx: ctx, store: store, company: newCompany(), now: now, made: new(atomic.Uint64)}
}

func newCompany() string { return "co_" + ulid.Make().String() }

// newKey makes a key of a company that is not stored yet. Later ones have higher ids.
func (f *fixture) newKey(company string) access.Key {
	id := ulid.MustNew(ulid.Timestamp(f.now)+f.made.Add(1), rand.Reader).String()
	return access.Key{
		ID:          access.NewKeyID(company, id),
		Company:     company,
		Permissions: []access.Permission{access.WebhooksRead, access.WebhooksWrite},
		Hash:        sha256.Sum256([]byte(company + id)),
		CreatedAt:   f.now,
	}
}

// create stores keys and gives them back.
func (f *fixture) create(keys ...access.Key) []access.Key {
	f.t.Helper()
	for _, key := range keys {
		if err := f.store.CreateKey(f.ctx, key); err != nil {
			f.t.Fatalf("CreateKey(%s): %v", key.ID, err)
		}
	}
	return keys
}

// createOne stores one new key of the fixture's company.
func (f *fixture) createOne() access.Key {
	f.t.Helper()
	return f.create(f.newKey(f.company))[0]
}

// revoke revokes a key that is there.
func (f *fixture) revoke(id string, at time.Time) {
	f.t.Helper()
	if err := f.store.RevokeKey(f.ctx, id, at); err != nil {
		f.t.Fatalf("RevokeKey(%s): %v", id, err)
	}
}

// wantStored checks that a company has exactly these keys, in this order, by both ways to read them.
func (f *fixture) wantStored(company string, want ...access.Key) {
	f.t.Helper()
	got, err := f.store.Keys(f.ctx, company)
	if err != nil || len(got) != len(want) {
		f.t.Fatalf("Keys(%q) = %+v, %v, want %d keys", company, got, err, len(want))
	}
	for i := range want {
		if !reflect.DeepEqual(got[i], want[i]) {
			f.t.Errorf("Keys(%q): element %d is %+v, want %+v", company, i, got[i], want[i])
		}
		key, err := f.store.KeyByHash(f.ctx, want[i].Hash)
		if err != nil || !reflect.DeepEqual(key, want[i]) {
			f.t.Errorf("KeyByHash = %+v, %v, want %+v", key, err, want[i])
		}
	}
}

// wantNotFound checks that err is [webhook.ErrNotFound].
func wantNotFound(t *testing.T, what string, err error) {
	t.Helper()
	if !errors.Is(err, webhook.ErrNotFound) {
		t.Errorf("%s: got error %v, want %v", what, err, webhook.ErrNotFound)
	}
}
