package access

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

const ulid = "01JDD9XV8Q4ZJ0T6Q5Y1Q2W3E4"

func newSecret(t *testing.T) string {
	t.Helper()
	secret, err := NewSecret(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return secret
}

// The vector holds the form of a secret and of its hash still: keys that are out there must work
// for ever.
func TestSecretVector(t *testing.T) {
	secret, err := NewSecret(bytes.NewReader(bytes.Repeat([]byte{0xA5}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	const want = "whk_uws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuws2ljnfuwsxoxzpqu"
	if secret != want {
		t.Errorf("secret\n got %s\nwant %s", secret, want)
	}
	hash, err := HashSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	const wantHash = "74f96f1022e849a506c6f8c804d39ed049dc5a46b502a5f8ab849b9065fad4c5"
	if got := hex.EncodeToString(hash[:]); got != wantHash {
		t.Errorf("hash\n got %s\nwant %s", got, wantHash)
	}
	if _, err := NewSecret(strings.NewReader("short")); err == nil {
		t.Error("a secret was made without randomness")
	}
}

func TestHashSecretTellsTyposFromOtherThings(t *testing.T) {
	secret := newSecret(t)
	swapped := []byte(secret)
	i := 5
	for swapped[i] == swapped[i+1] {
		i++
	}
	swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
	tests := []struct {
		name, secret string
		want         error
	}{
		{"as made", secret, nil},
		{"two characters swapped", string(swapped), ErrTypo},
		{"upper case", strings.ToUpper(secret), ErrNotASecret},
		{"upper case after the prefix", "whk_" + strings.ToUpper(secret[4:]), ErrTypo},
		{"one character less", secret[:len(secret)-1], ErrNotASecret},
		{"one character more", secret + "a", ErrNotASecret},
		{"a line feed inside", secret[:20] + "\n" + secret[20:], ErrNotASecret},
		{"another prefix", "whs_" + secret[4:], ErrNotASecret},
		{"a webhook's token", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", ErrNotASecret},
		{"empty", "", ErrNotASecret},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := HashSecret(test.secret); !errors.Is(err, test.want) {
				t.Errorf("error %v, want %v", err, test.want)
			}
		})
	}
}

// A base32 text of 58 characters has two bits too many; texts that differ only in them are one
// key's bytes, but must not be that key.
func TestHashSecretRefusesSpareBits(t *testing.T) {
	secret := newSecret(t)
	const alphabet = "abcdefghijklmnopqrstuvwxyz234567"
	last := strings.IndexByte(alphabet, secret[len(secret)-1])
	for spare := 1; spare < 4; spare++ {
		other := secret[:len(secret)-1] + alphabet[last|spare:last|spare+1]
		if _, err := HashSecret(other); !errors.Is(err, ErrTypo) {
			t.Errorf("spare bits %02b: error %v, want %v", spare, err, ErrTypo)
		}
	}
}

func TestKeyID(t *testing.T) {
	tests := []struct {
		id, company string
		ok          bool
	}{
		{NewKeyID("acme", ulid), "acme", true},
		{NewKeyID("a_b-c_", ulid), "a_b-c_", true},
		{NewKeyID("a", ulid), "a", true},
		{"key__" + ulid, "", false},
		{"key_" + ulid, "", false},
		{"key_acme-" + ulid, "", false},
		{"key_acme_" + strings.ToLower(ulid), "", false},
		{"key_ac#me_" + ulid, "", false},
		{"key_" + strings.Repeat("a", 65) + "_" + ulid, "", false},
		{"acme_" + ulid, "", false},
		{"key_", "", false},
		{"", "", false},
	}
	for _, test := range tests {
		t.Run(test.id, func(t *testing.T) {
			company, ok := KeyCompany(test.id)
			if ok != test.ok || ok && company != test.company {
				t.Errorf("got %q, %v; want %q, %v", company, ok, test.company, test.ok)
			}
		})
	}
}

func TestParsePermissions(t *testing.T) {
	tests := []struct {
		name  string
		names []string
		want  string
		err   string
	}{
		{"one", []string{"webhooks:read"}, "[webhooks:read]", ""},
		{"both, twice, with spaces", []string{"webhooks:write", " webhooks:read", "webhooks:write"}, "[webhooks:write webhooks:read]", ""},
		{"unknown", []string{"webhooks:all"}, "", `unknown permission "webhooks:all": there are webhooks:read and webhooks:write`},
		{"none", nil, "", "no permission given: there are webhooks:read and webhooks:write"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParsePermissions(test.names)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || fmt.Sprint(got) != test.want {
				t.Errorf("got %v, error %v; want %s", got, err, test.want)
			}
		})
	}
}

// keyTable is the store under the authenticator: it counts reads, and fails when told to.
type keyTable struct {
	keys  map[Hash]Key
	fail  error
	reads int
}

func (t *keyTable) KeyByHash(_ context.Context, hash Hash) (Key, error) {
	t.reads++
	if t.fail != nil {
		return Key{}, t.fail
	}
	key, ok := t.keys[hash]
	if !ok {
		return Key{}, webhook.ErrNotFound
	}
	return key, nil
}

type bench struct {
	table  *keyTable
	auth   *Authenticator
	now    time.Time
	secret string
	hash   Hash
}

func newBench(t *testing.T, change func(*Key)) *bench {
	t.Helper()
	b := &bench{secret: newSecret(t), now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	hash, err := HashSecret(b.secret)
	if err != nil {
		t.Fatal(err)
	}
	b.hash = hash
	key := Key{ID: NewKeyID("acme", ulid), Company: "acme", Hash: hash, Permissions: []Permission{WebhooksRead}}
	if change != nil {
		change(&key)
	}
	b.table = &keyTable{keys: map[Hash]Key{hash: key}}
	b.auth = NewAuthenticator(b.table, func() time.Time { return b.now })
	return b
}

func TestAuthenticate(t *testing.T) {
	b := newBench(t, nil)
	tests := []struct {
		name, header, cause string
	}{
		{"good", "Bearer " + b.secret, ""},
		{"scheme in another case", "bearer " + b.secret, ""},
		{"several spaces", "Bearer   " + b.secret + " ", ""},
		{"missing", "", "no bearer token"},
		{"another scheme", "Basic " + b.secret, "no bearer token"},
		{"no scheme", b.secret, "no bearer token"},
		{"no secret", "Bearer", "it is no API key"},
		{"two secrets", "Bearer " + b.secret + "," + b.secret, "it is no API key"},
		{"typing mistake", "Bearer " + b.secret[:40] + "aaaaaaaa" + b.secret[48:], "checksum is wrong"},
		{"unknown", "Bearer " + newSecret(t), "the API key is unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			key, err := b.auth.Authenticate(context.Background(), test.header)
			if test.cause == "" {
				if err != nil || key.Company != "acme" || !key.Allows(WebhooksRead) || key.Allows(WebhooksWrite) {
					t.Errorf("got %+v, error %v", key, err)
				}
				return
			}
			refused, ok := errors.AsType[*webhook.Error](err)
			if !ok || refused.Kind != webhook.KindUnauthenticated || refused.Message != "Invalid token" {
				t.Fatalf("error %v, want Invalid token", err)
			}
			if !strings.Contains(refused.Cause.Error(), test.cause) {
				t.Errorf("cause %q, want %q", refused.Cause, test.cause)
			}
			if strings.Contains(err.Error(), b.secret[4:]) {
				t.Error("the error holds the secret")
			}
		})
	}
}

func TestAuthenticateHonoursExpiry(t *testing.T) {
	b := newBench(t, func(k *Key) { k.ExpiresAt = time.Date(2026, 1, 2, 3, 4, 35, 0, time.UTC) })
	for _, step := range []struct {
		after time.Duration
		ok    bool
	}{{0, true}, {30*time.Second - 1, true}, {1, false}} {
		b.now = b.now.Add(step.after)
		if _, err := b.auth.Authenticate(context.Background(), "Bearer "+b.secret); (err == nil) != step.ok {
			t.Errorf("at %v: error %v, want usable %v", b.now, err, step.ok)
		}
	}
	if b.table.reads != 1 {
		t.Errorf("%d reads; a cached key must be checked for expiry on every use", b.table.reads)
	}
}

// The minute is the contract's, whatever CacheTTL says.
func TestRevocationTakesEffectWithinAMinute(t *testing.T) {
	const minute = 60 * time.Second
	b := newBench(t, nil)
	authenticate := func() error {
		_, err := b.auth.Authenticate(context.Background(), "Bearer "+b.secret)
		return err
	}
	if err := authenticate(); err != nil {
		t.Fatal(err)
	}
	key := b.table.keys[b.hash]
	key.RevokedAt = b.now
	b.table.keys[b.hash] = key
	b.now = b.now.Add(minute - 1)
	if err := authenticate(); err != nil || b.table.reads != 1 {
		t.Errorf("within the minute: error %v after %d reads, want the cached key", err, b.table.reads)
	}
	b.now = b.now.Add(1)
	if err := authenticate(); webhook.KindOf(err) != webhook.KindUnauthenticated {
		t.Errorf("after a minute: error %v, want Invalid token", err)
	}
}

func TestClockSetBackKeepsNoRevokedKeyAlive(t *testing.T) {
	b := newBench(t, nil)
	if _, err := b.auth.Authenticate(context.Background(), "Bearer "+b.secret); err != nil {
		t.Fatal(err)
	}
	delete(b.table.keys, b.hash)
	b.now = b.now.Add(-time.Hour)
	if _, err := b.auth.Authenticate(context.Background(), "Bearer "+b.secret); webhook.KindOf(err) != webhook.KindUnauthenticated {
		t.Errorf("an hour back: error %v, want Invalid token", err)
	}
}

func TestNewKeyWorksAtOnceAndFailuresAreNotCached(t *testing.T) {
	b := newBench(t, nil)
	key := b.table.keys[b.hash]
	delete(b.table.keys, b.hash)
	header := "Bearer " + b.secret
	if _, err := b.auth.Authenticate(context.Background(), header); webhook.KindOf(err) != webhook.KindUnauthenticated {
		t.Fatalf("before it was made: %v", err)
	}
	b.table.fail = webhook.Unavailable(errors.New("away"))
	if _, err := b.auth.Authenticate(context.Background(), header); webhook.KindOf(err) != webhook.KindUnavailable {
		t.Fatalf("while the store is away: %v, want the store's error", err)
	}
	b.table.fail = nil
	b.table.keys[b.hash] = key
	if _, err := b.auth.Authenticate(context.Background(), header); err != nil {
		t.Errorf("after it was made: %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	b := newBench(t, nil)
	for i := range maxCachedKeys + 10 {
		hash := Hash{byte(i), byte(i >> 8), byte(i >> 16), 1}
		b.table.keys[hash] = Key{Hash: hash}
		if _, err := b.auth.find(context.Background(), hash); err != nil {
			t.Fatal(err)
		}
	}
	if len(b.auth.cached) > maxCachedKeys {
		t.Errorf("%d keys are cached, want at most %d", len(b.auth.cached), maxCachedKeys)
	}
}
