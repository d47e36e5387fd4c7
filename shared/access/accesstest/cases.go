package accesstest

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

func findCases() []testCase {
	return []testCase{
		{"a stored key has every field", func(f *fixture) {
			key := f.newKey(f.company)
			key.Permissions = []access.Permission{access.WebhooksWrite, access.WebhooksRead}
			key.ExpiresAt = f.now.Add(720*time.Hour + time.Millisecond)
			f.create(key)
			f.wantStored(f.company, key)
		}},
		{"a key that never expires has no times but its making", func(f *fixture) {
			f.wantStored(f.company, f.createOne())
		}},
		{"a key with one permission has that alone", func(f *fixture) {
			key := f.newKey(f.company)
			key.Permissions = []access.Permission{access.WebhooksRead}
			f.create(key)
			f.wantStored(f.company, key)
		}},
		{"an expired key is found", func(f *fixture) {
			key := f.newKey(f.company)
			key.CreatedAt, key.ExpiresAt = f.now.Add(-2000*time.Hour), f.now.Add(-1000*time.Hour)
			f.create(key)
			f.wantStored(f.company, key)
		}},
		{"an unknown hash is not found", func(f *fixture) {
			key := f.createOne()
			for _, hash := range []access.Hash{{}, sha256.Sum256([]byte(ulid.Make().String())), flipped(key.Hash)} {
				_, err := f.store.KeyByHash(f.ctx, hash)
				wantNotFound(f.t, "KeyByHash(unknown)", err)
			}
		}},
	}
}

func listCases() []testCase {
	return []testCase{
		{"a company without keys has none", func(f *fixture) { f.wantStored(f.company) }},
		{"oldest first by id, whatever the order of storing", func(f *fixture) {
			keys := make([]access.Key, 5)
			for i := range keys {
				keys[i] = f.newKey(f.company)
				keys[i].CreatedAt = f.now.Add(-time.Duration(i) * time.Hour) // not what the order is by
			}
			for _, i := range []int{3, 0, 4, 2, 1} {
				f.create(keys[i])
			}
			f.wantStored(f.company, keys...)
		}},
		{"many keys come whole", func(f *fixture) {
			keys := make([]access.Key, 40)
			for i := range keys {
				keys[i] = f.newKey(f.company)
			}
			f.create(keys...)
			f.wantStored(f.company, keys...)
		}},
		{"companies with similar names are apart", func(f *fixture) {
			longest := f.company + fmt.Sprintf("%0*d", webhook.MaxCompanyLength-len(f.company), 0)
			stored := map[string]access.Key{}
			for _, company := range []string{f.company, "CO" + f.company[2:], f.company + "_", f.company + "-", longest,
				f.company + "_" + ulid.Make().String()} {
				stored[company] = f.create(f.newKey(company))[0]
			}
			for company, key := range stored {
				f.wantStored(company, key)
			}
		}},
	}
}

func revokeCases() []testCase {
	return []testCase{
		{"a revoked key has the time, however it is read", func(f *fixture) {
			key, kept := f.createOne(), f.createOne()
			f.revoke(key.ID, f.now.Add(time.Hour))
			key.RevokedAt = f.now.Add(time.Hour)
			f.wantStored(f.company, key, kept)
		}},
		{"the first revocation's time stays", func(f *fixture) {
			key := f.createOne()
			f.revoke(key.ID, f.now.Add(time.Hour))
			f.revoke(key.ID, f.now.Add(2*time.Hour))
			f.revoke(key.ID, f.now)
			key.RevokedAt = f.now.Add(time.Hour)
			f.wantStored(f.company, key)
		}},
		{"an expired key can be revoked", func(f *fixture) {
			key := f.newKey(f.company)
			key.ExpiresAt = f.now.Add(-time.Hour)
			f.create(key)
			f.revoke(key.ID, f.now)
			key.RevokedAt = f.now
			f.wantStored(f.company, key)
		}},
		{"an unknown or odd id is not found", revokeUnknown},
		{"of many revocations at once one time stays", func(f *fixture) {
			key := f.createOne()
			var done sync.WaitGroup
			for i := range 20 {
				done.Go(func() {
					if err := f.store.RevokeKey(f.ctx, key.ID, f.now.Add(time.Duration(i)*time.Second)); err != nil {
						f.t.Errorf("RevokeKey: %v", err)
					}
				})
			}
			done.Wait()
			found, err := f.store.KeyByHash(f.ctx, key.Hash)
			if err != nil || found.RevokedAt.IsZero() {
				f.t.Fatalf("KeyByHash = %+v, %v, want a revoked key", found, err)
			}
			key.RevokedAt = found.RevokedAt
			f.wantStored(f.company, key)
		}},
	}
}

func revokeUnknown(f *fixture) {
	key := f.createOne()
	rest := strings.TrimPrefix(key.ID, "key_"+f.company)
	for what, id := range map[string]string{
		"empty":              "",
		"10 kB":              strings.Repeat("x", 10_000),
		"10 kB and a ULID":   "key_" + strings.Repeat("x", 10_000) + rest,
		"NUL":                "\x00",
		"invalid UTF-8":      "key_\xff\xfe" + rest,
		"unknown":            access.NewKeyID(f.company, ulid.Make().String()),
		"another company":    access.NewKeyID(newCompany(), key.ID[len(key.ID)-26:]),
		"a longer company":   access.NewKeyID(f.company+"_", key.ID[len(key.ID)-26:]),
		"no company":         "key_" + rest,
		"in lower case":      strings.ToLower(key.ID),
		"with a NUL":         key.ID + "\x00",
		"with a blank":       key.ID + " ",
		"without its prefix": strings.TrimPrefix(key.ID, "key_"),
		"its hash":           string(key.Hash[:]),
		"a wildcard":         "key_" + f.company + "_%",
	} {
		wantNotFound(f.t, "RevokeKey("+what+")", f.store.RevokeKey(f.ctx, id, f.now))
	}
	f.wantStored(f.company, key)
}

func ownershipCases() []testCase {
	return []testCase{
		{"what is given may be changed after a creation", func(f *fixture) {
			want := f.newKey(f.company)
			given := want
			given.Permissions = slices.Clone(want.Permissions)
			f.create(given)
			clear(given.Permissions)
			f.wantStored(f.company, want)
		}},
		{"keys that were read may be changed", func(f *fixture) {
			want := f.createOne()
			got, err := f.store.KeyByHash(f.ctx, want.Hash)
			if err != nil {
				f.t.Fatalf("KeyByHash: %v", err)
			}
			clear(got.Permissions)
			keys, err := f.store.Keys(f.ctx, f.company)
			if err != nil {
				f.t.Fatalf("Keys: %v", err)
			}
			clear(keys[0].Permissions)
			clear(keys)
			f.wantStored(f.company, want)
		}},
	}
}

func contextCases() []testCase {
	calls := map[string]func(ctx context.Context, f *fixture, stored access.Key) error{
		"CreateKey": func(ctx context.Context, f *fixture, _ access.Key) error {
			return f.store.CreateKey(ctx, f.newKey(f.company))
		},
		"KeyByHash": func(ctx context.Context, f *fixture, stored access.Key) error {
			_, err := f.store.KeyByHash(ctx, stored.Hash)
			return err
		},
		"Keys": func(ctx context.Context, f *fixture, _ access.Key) error {
			_, err := f.store.Keys(ctx, f.company)
			return err
		},
		"RevokeKey": func(ctx context.Context, f *fixture, stored access.Key) error {
			return f.store.RevokeKey(ctx, stored.ID, f.now)
		},
	}
	var cases []testCase
	for name, call := range calls {
		cases = append(cases, testCase{name + " with a cancelled context is unavailable", func(f *fixture) {
			stored := f.createOne()
			ctx, cancel := context.WithCancel(f.ctx)
			cancel()
			err := call(ctx, f, stored)
			if webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, context.Canceled) {
				f.t.Errorf("got error %v, want one of KindUnavailable that wraps %v", err, context.Canceled)
			}
		}})
	}
	return cases
}

// flipped gives a hash that differs in its last bit alone.
func flipped(hash access.Hash) access.Hash {
	hash[len(hash)-1] ^= 1
	return hash
}
