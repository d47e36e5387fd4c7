package seal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"crypto/rand"

	"webhooks/shared/webhook"
)

const (
	company = "acme"
	id      = "wh_01JDD9XV8Q4ZJ0T6Q5Y1Q2W3E4"
	token   = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
)

func testKey(t *testing.T, fill byte) Key {
	t.Helper()
	key, err := NewKey(bytes.Repeat([]byte{fill}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestSealedTokenOpensOnlyWhereItBelongs(t *testing.T) {
	ctx := context.Background()
	old, current := testKey(t, 1), testKey(t, 2)
	sealedWith := func(k Key) []byte {
		sealed, err := Sealer{Keys: KeyRing{k}, Random: rand.Reader}.Seal(ctx, company, id, token)
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	sealed := sealedWith(current)
	flipped := func(at int) []byte {
		changed := bytes.Clone(sealed)
		changed[at] ^= 1
		return changed
	}
	tests := []struct {
		name        string
		company, id string
		sealed      []byte
		want        error
	}{
		{"as it was sealed", company, id, sealed, nil},
		{"sealed with the key before", company, id, sealedWith(old), nil},
		{"another company", "acme2", id, sealed, ErrNotSealed},
		{"another webhook", company, id[:len(id)-1] + "5", sealed, ErrNotSealed},
		{"company and id joined differently", company + id[:1], id[1:], sealed, ErrNotSealed},
		{"a key that is not here", company, id, sealedWith(testKey(t, 3)), ErrUnknownKey},
		{"another format", company, id, flipped(0), ErrNotSealed},
		{"the key id changed", company, id, flipped(1), ErrUnknownKey},
		{"the nonce changed", company, id, flipped(9), ErrNotSealed},
		{"the ciphertext changed", company, id, flipped(25), ErrNotSealed},
		{"the tag changed", company, id, flipped(len(sealed) - 1), ErrNotSealed},
		{"cut in the head", company, id, sealed[:5], ErrNotSealed},
		{"cut in the nonce", company, id, sealed[:12], ErrNotSealed},
		{"cut in the ciphertext", company, id, sealed[:30], ErrNotSealed},
		{"empty", company, id, nil, ErrNotSealed},
	}
	sealer := Sealer{Keys: KeyRing{current, old}, Random: rand.Reader}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := sealer.Open(ctx, test.company, test.id, test.sealed)
			if !errors.Is(err, test.want) {
				t.Fatalf("error %v, want %v", err, test.want)
			}
			if test.want == nil && got != token {
				t.Errorf("got %q, want the token", got)
			}
		})
	}
}

// The vector holds the sealed form still: data sealed by an earlier version must open for ever.
func TestSealVector(t *testing.T) {
	sealer := Sealer{Keys: KeyRing{testKey(t, 7)}, Random: bytes.NewReader(bytes.Repeat([]byte{9}, 12))}
	sealed, err := sealer.Seal(context.Background(), company, id, "whsec_secret")
	if err != nil {
		t.Fatal(err)
	}
	const want = "01f22c0c82b45159c209090909090909090909090950edf7f1ddafb204c310ae4c4e7ef578288e22664fb6b61b77fad94e"
	if got := hex.EncodeToString(sealed); got != want {
		t.Errorf("sealed form\n got %s\nwant %s", got, want)
	}
}

func TestSealTwiceDiffers(t *testing.T) {
	sealer := Sealer{Keys: KeyRing{testKey(t, 7)}, Random: rand.Reader}
	first, err1 := sealer.Seal(context.Background(), company, id, token)
	second, err2 := sealer.Seal(context.Background(), company, id, token)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(first, second) {
		t.Error("the same token was sealed to the same bytes twice: the nonce is not random")
	}
	if bytes.Contains(first, []byte("whsec_")) {
		t.Error("the token stands in the sealed form")
	}
}

func TestSealFailsWithoutKeyOrRandomness(t *testing.T) {
	ctx := context.Background()
	if _, err := (Sealer{Random: rand.Reader, Keys: KeyRing{}}).Seal(ctx, company, id, token); err == nil {
		t.Error("sealed without a key")
	}
	dry := Sealer{Keys: KeyRing{testKey(t, 1)}, Random: strings.NewReader("short")}
	if _, err := dry.Seal(ctx, company, id, token); err == nil {
		t.Error("sealed without a nonce")
	}
	if _, err := NewKey(make([]byte, KeySize-1)); err == nil {
		t.Error("a key of 31 bytes was taken")
	}
}

func TestKeyFileIsMadeOnceAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.key")
	made, created, err := LoadOrCreateKeyFile(path, rand.Reader)
	if err != nil || !created || len(made) != 1 {
		t.Fatalf("first call: %d keys, created %v, error %v", len(made), created, err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode %o, want 600", got)
	}
	loaded, created, err := LoadOrCreateKeyFile(path, rand.Reader)
	if err != nil || created || len(loaded) != 1 || loaded[0].ID() != made[0].ID() {
		t.Errorf("second call: %v, created %v, error %v; want the key of the first", loaded, created, err)
	}
	rest, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".token-key-*"))
	if err != nil || len(rest) != 0 {
		t.Errorf("left behind: %v (error %v)", rest, err)
	}
}

func TestKeyFileRace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token.key")
	ids := make([]KeyID, 20)
	errs := make([]error, len(ids))
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			keys, _, err := LoadOrCreateKeyFile(path, rand.Reader)
			if errs[i] = err; err == nil {
				ids[i] = keys[0].ID()
			}
		})
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	for _, got := range ids {
		if got != ids[0] {
			t.Fatalf("two processes got different keys: %s and %s", got, ids[0])
		}
	}
}

func TestKeyFileContents(t *testing.T) {
	line := func(fill byte, n int) string {
		return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, n)) + "\n"
	}
	tests := []struct {
		name, text string
		mode       os.FileMode
		want       []Key
		err        string
	}{
		{"two keys", "# comment\n\n" + line(1, 32) + line(2, 32), 0o600, []Key{testKey(t, 1), testKey(t, 2)}, ""},
		{"read-only", line(1, 32), 0o400, []Key{testKey(t, 1)}, ""},
		{"readable by the group", line(1, 32), 0o640, nil, "may be read by others: run chmod 600 on it"},
		{"no key", "# nothing\n", 0o600, nil, "there is no key in it: put the file back from its backup, or give another"},
		{"no base64", line(1, 32) + "hello!\n", 0o600, nil, "line 2 is not the base64 of 32 bytes: put the file back from its backup, or give another"},
		{"too short", line(1, 31), 0o600, nil, "line 1 is not the base64 of 32 bytes: put the file back from its backup, or give another"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token.key")
			if err := os.WriteFile(path, []byte(test.text), test.mode); err != nil {
				t.Fatal(err)
			}
			keys, created, err := LoadOrCreateKeyFile(path, rand.Reader)
			if created {
				t.Error("an existing file was made again")
			}
			if test.err != "" {
				if err == nil || !strings.HasSuffix(err.Error(), test.err) {
					t.Fatalf("error %v, want %q", err, test.err)
				}
				return
			}
			if err != nil || len(keys) != len(test.want) {
				t.Fatalf("%d keys, error %v; want %d", len(keys), err, len(test.want))
			}
			for i := range keys {
				if keys[i].ID() != test.want[i].ID() {
					t.Errorf("key %d is %s, want %s", i, keys[i].ID(), test.want[i].ID())
				}
			}
		})
	}
}

func TestKeyFileInMissingFolder(t *testing.T) {
	_, created, err := LoadOrCreateKeyFile(filepath.Join(t.TempDir(), "none", "token.key"), rand.Reader)
	if err == nil || created {
		t.Errorf("created %v, error %v; want a failure", created, err)
	}
}

func TestBodyHashHoldsForTheSameRequestAlone(t *testing.T) {
	ctx := context.Background()
	old, current := testKey(t, 1), testKey(t, 2)
	key, body := webhook.NewIdempotencyKey("create", "k"), []byte(`{"webhook":{}}`)
	hashUnder := func(k Key) [32]byte {
		hash, err := Sealer{Keys: KeyRing{k}}.HashBody(ctx, company, id, key, body)
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	hash := hashUnder(current)
	tampered := hash
	tampered[31] ^= 1
	other := webhook.NewIdempotencyKey("create", "K")
	tests := []struct {
		name        string
		hash        [32]byte
		company, id string
		key         webhook.IdempotencyKey
		body        string
		want        bool
		err         error
	}{
		{"the same", hash, company, id, key, string(body), true, nil},
		{"made under the key before", hashUnder(old), company, id, key, string(body), true, nil},
		{"another company", hash, "acme2", id, key, string(body), false, nil},
		{"another webhook", hash, company, id[:len(id)-1] + "5", key, string(body), false, nil},
		{"another idempotency key", hash, company, id, other, string(body), false, nil},
		{"another body", hash, company, id, key, string(body) + " ", false, nil},
		{"a changed hash", tampered, company, id, key, string(body), false, nil},
		{"a plain SHA-256, as anybody can make it", sha256.Sum256(body), company, id, key, string(body), false, ErrUnknownKey},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			sealer := Sealer{Keys: KeyRing{current, old}}
			got, err := sealer.IsBody(ctx, test.hash, test.company, test.id, test.key, []byte(test.body))
			if got != test.want || !errors.Is(err, test.err) {
				t.Errorf("got %v, error %v; want %v, %v", got, err, test.want, test.err)
			}
		})
	}
	if _, err := (Sealer{Keys: KeyRing{}}).HashBody(ctx, company, id, key, body); err == nil {
		t.Error("hashed without a key")
	}
}
