package access

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

const ulid = "01JDD9XV8Q4ZJ0T6Q5Y1Q2W3E4"

func newSecret(t *testing.T) (string, Hash) {
	t.Helper()
	secret, err := NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	hash, err := HashSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	return secret, hash
}

// The form of secrets and hashes must not change, because keys are in use.
func TestSecretVector(t *testing.T) {
	secret, err := NewSecret(bytes.NewReader(bytes.Repeat([]byte{0xA5}, 32)))
	const want = "whk_uws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuwsxoxzpqu"
	if err != nil || secret != want {
		t.Errorf("NewSecret = %q, %v, want %q", secret, err, want)
	}
	hash, err := HashSecret(want)
	const wantHash = "74f96f1022e849a506c6f8c804d39ed049dc5a46b502a5f8ab849b9065fad4c5"
	if got := hex.EncodeToString(hash[:]); err != nil || got != wantHash {
		t.Errorf("HashSecret = %s, %v, want %s", got, err, wantHash)
	}
	if _, err := NewSecret(strings.NewReader("short")); err == nil {
		t.Error("NewSecret succeeded without randomness")
	}
}

func TestHashSecret(t *testing.T) {
	secret, _ := newSecret(t)
	i := strings.IndexFunc(secret[4:], func(c rune) bool { return c != rune(secret[4]) }) + 4
	swapped := secret[:4] + secret[i:i+1] + secret[5:i] + secret[4:5] + secret[i+1:]
	tests := map[string]error{
		secret:                                   nil,
		swapped:                                  ErrTypo,
		"whk_" + strings.ToUpper(secret[4:]):     ErrTypo,
		strings.ToUpper(secret):                  ErrNotASecret,
		secret[:len(secret)-1]:                   ErrNotASecret,
		secret + "a":                             ErrNotASecret,
		secret[:20] + "\n" + secret[20:]:         ErrNotASecret,
		"whs_" + secret[4:]:                      ErrNotASecret,
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": ErrNotASecret,
		"":                                       ErrNotASecret,
	}
	// The last of 58 base32 characters has two spare bits. A text that differs only in them decodes to the same bytes.
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	last := strings.IndexByte(alphabet, secret[len(secret)-1])
	for spare := 1; spare < 4; spare++ {
		tests[secret[:len(secret)-1]+alphabet[last|spare:last|spare+1]] = ErrTypo
	}
	for text, want := range tests {
		if _, err := HashSecret(text); !errors.Is(err, want) {
			t.Errorf("HashSecret(%q) of the secret %q: got error %v, want %v", text, secret, err, want)
		}
	}
}

func TestKeyCompany(t *testing.T) {
	for _, want := range []string{"acme", "a_b-c_", "a", ""} {
		if company, ok := KeyCompany(NewKeyID(want, ulid)); !ok || company != want {
			t.Errorf("got %q, %v, want %q", company, ok, want)
		}
	}
	for _, id := range []string{
		"", "key_", "acme_" + ulid, "key_" + ulid + "_", "key__" + ulid, "key_acme-" + ulid, "key_ac#me_" + ulid,
		"key_acme_" + strings.ToLower(ulid), "key_" + strings.Repeat("a", 65) + "_" + ulid,
	} {
		if company, ok := KeyCompany(id); ok {
			t.Errorf("KeyCompany(%q) = %q, want no company", id, company)
		}
	}
}

func TestValidLabel(t *testing.T) {
	for label, want := range map[string]bool{
		"x": true, " Dashboard für 東京 🔑 ": true, strings.Repeat("ä", 100): true, strings.Repeat("a", 101): false, "": false, " ": false,
		"two\nlines": false, "\x1b[2J": false, "bidi \u202e": false, "zero\u200bwidth": false, "\xff": false,
	} {
		if got := ValidLabel(label); got != want {
			t.Errorf("ValidLabel(%q) = %v, want %v", label, got, want)
		}
	}
}

func TestParsePermissions(t *testing.T) {
	for names, want := range map[string]string{
		"webhooks:read": "[webhooks:read] <nil>",
		"webhooks:write, webhooks:read,webhooks:write": "[webhooks:write webhooks:read] <nil>",
		"webhooks:all": `[] unknown permission "webhooks:all": use one or more of webhooks:read, webhooks:write, events:read, events:write`,
	} {
		got, err := ParsePermissions(strings.Split(names, ","))
		if text := fmt.Sprint(got, " ", err); text != want {
			t.Errorf("ParsePermissions(%q) = %s, want %s", names, text, want)
		}
	}
	if _, err := ParsePermissions(nil); err == nil {
		t.Error("ParsePermissions accepted an empty list")
	}
}

// fixture is an Authenticator on a store with one key, which it implements.
type fixture struct {
	*Authenticator
	now    time.Time
	secret string
	hash   Hash
	keys   map[Hash]Key
	err    error // of reads
	reads  int
	uses   []string // the recorded days
	useErr error
	log    strings.Builder
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	f.secret, f.hash = newSecret(t)
	f.keys = map[Hash]Key{f.hash: {ID: NewKeyID("acme", ulid), Company: "acme", Hash: f.hash, Permissions: []Permission{WebhooksRead}}}
	f.Authenticator = NewAuthenticator(f, func() time.Time { return f.now }, slog.New(slog.NewTextHandler(&f.log, nil)))
	return f
}

func (f *fixture) KeyByHash(_ context.Context, hash Hash) (Key, error) {
	f.reads++
	key, ok := f.keys[hash]
	switch {
	case f.err != nil:
		return Key{}, f.err
	case !ok:
		return Key{}, webhook.ErrNotFound
	}
	return key, nil
}

func (f *fixture) RecordKeyUse(ctx context.Context, hash Hash, day time.Time) error {
	if _, ok := f.keys[hash]; ok {
		f.uses = append(f.uses, day.Format(time.RFC3339))
	}
	return cmp.Or(f.useErr, ctx.Err())
}

// The first use of a valid key on a day is recorded once, even if the client goes away. A failure is only logged.
func TestRecordUse(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i, step := range []struct {
		wait   time.Duration
		change func(k *Key) // of the store
		day    string       // that is recorded; empty if none is
	}{
		{0, nil, "2026-01-02T00:00:00Z"},
		{time.Hour, nil, ""},
		{20 * time.Hour, func(*Key) { f.useErr = errors.New("the disk is full") }, "2026-01-03T00:00:00Z"},
		{time.Hour, nil, ""},
		{-24 * time.Hour, nil, ""},
		{48 * time.Hour, func(k *Key) { k.LastUsedOn = f.now.Truncate(24 * time.Hour) }, ""}, // by another process
		{24 * time.Hour, func(k *Key) { k.RevokedAt = f.now }, ""},
	} {
		f.now, f.uses = f.now.Add(step.wait), nil
		if key := f.keys[f.hash]; step.change != nil {
			step.change(&key)
			f.keys[f.hash] = key
		}
		_, err := f.Authenticate(ctx, "Bearer "+f.secret)
		if got := strings.Join(f.uses, ", "); got != step.day || (err != nil) != !f.keys[f.hash].RevokedAt.IsZero() {
			t.Errorf("step %d: recorded %q, error %v, want %q", i, got, err, step.day)
		}
	}
	if log := f.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "level=WARN") ||
		!strings.Contains(log, "key_id="+f.keys[f.hash].ID+` cause="the disk is full"`) {
		t.Errorf("the log is %q, want one warning", log)
	}
}

func TestAuthenticate(t *testing.T) {
	f := newFixture(t)
	unknown, _ := newSecret(t)
	for header, cause := range map[string]string{
		"Bearer " + f.secret:         "",
		"bearer " + f.secret:         "",
		"Bearer   " + f.secret + " ": "",
		"":                           "no bearer token",
		"Basic " + f.secret:          "no bearer token",
		f.secret:                     "no bearer token",
		"Bearer":                     "not an API key",
		"Bearer " + f.secret + ",x":  "not an API key",
		"Bearer " + f.secret[:40] + "aaaaaaaa" + f.secret[48:]: "checksum is wrong",
		"Bearer " + unknown: "the API key is unknown",
	} {
		key, err := f.Authenticate(t.Context(), header)
		e, ok := errors.AsType[*webhook.Error](err)
		switch {
		case cause == "" && (err != nil || key.Company != "acme" || !key.Allows(WebhooksRead) || key.Allows(WebhooksWrite)):
			t.Errorf("%q: got %+v, error %v", header, key, err)
		case cause != "" && (!ok || e.Kind != webhook.KindUnauthenticated || e.Message != "Invalid token" || !strings.Contains(e.Cause.Error(), cause)):
			t.Errorf("%q: got error %v, want Invalid token because of %q", header, err, cause)
		case cause != "" && strings.Contains(err.Error(), f.secret[4:]):
			t.Errorf("the error contains the secret: %v", err)
		}
	}
}

func TestCache(t *testing.T) {
	type step struct {
		change func(f *fixture, k *Key) // of the store
		wait   time.Duration
		kind   webhook.Kind // of the error; 0 for none
		reads  int          // up to now
	}
	const denied = webhook.KindUnauthenticated
	revoke := func(f *fixture, k *Key) { k.RevokedAt = f.now }
	for name, steps := range map[string][]step{
		"a revocation takes effect within a minute": {{}, {revoke, time.Minute - 1, 0, 1}, {nil, 1, denied, 2}},
		"the clock is set back":                     {{}, {revoke, -time.Hour, denied, 2}},
		"a cached key expires": {
			{change: func(f *fixture, k *Key) { k.ExpiresAt = f.now.Add(30 * time.Second) }}, {nil, 30*time.Second - 1, 0, 1}, {nil, 1, denied, 1},
		},
		"errors are not cached": {
			{func(f *fixture, _ *Key) { f.err = webhook.ErrNotFound }, 0, denied, 1},
			{func(f *fixture, _ *Key) { f.err = webhook.Unavailable(errors.New("throttled")) }, 0, webhook.KindUnavailable, 2},
			{func(f *fixture, _ *Key) { f.err = nil }, 0, 0, 3},
		},
	} {
		f := newFixture(t)
		for i, s := range steps {
			if s.change != nil {
				key := f.keys[f.hash]
				s.change(f, &key)
				f.keys[f.hash] = key
			}
			f.now = f.now.Add(s.wait)
			_, err := f.Authenticate(t.Context(), "Bearer "+f.secret)
			if webhook.KindOf(err) != s.kind || (err != nil) != (s.kind != 0) || f.reads != max(1, s.reads) {
				t.Errorf("%s, step %d: got error %v after %d reads, want kind %v after %d", name, i, err, f.reads, s.kind, s.reads)
			}
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	f := newFixture(t)
	for i := range maxCachedKeys + 10 {
		hash := Hash{byte(i), byte(i >> 8), byte(i >> 16), 1}
		f.keys[hash] = Key{Hash: hash}
		if _, err := f.find(t.Context(), hash); err != nil {
			t.Fatal(err)
		}
		f.isFirstUse(hash, f.now)
	}
	if max(len(f.cached), len(f.used)) > maxCachedKeys {
		t.Errorf("%d keys and %d days are cached, want at most %d", len(f.cached), len(f.used), maxCachedKeys)
	}
}
