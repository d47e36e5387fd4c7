package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
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

// sealWith seals the token with the current key of keys.
func sealWith(t *testing.T, keys Keys) []byte {
	t.Helper()
	sealed, err := Sealer{Keys: keys, Random: rand.Reader}.Seal(t.Context(), company, id, token)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

// wantOpen checks that keys open the sealed token.
func wantOpen(t *testing.T, keys Keys, sealed []byte) {
	t.Helper()
	if got, err := (Sealer{Keys: keys}).Open(t.Context(), company, id, sealed); err != nil || got != token {
		t.Errorf("opened %q, error %v", got, err)
	}
}

func TestSealedTokenOpensOnlyWhereItBelongs(t *testing.T) {
	old, current := testKey(t, 1), testKey(t, 2)
	sealed := sealWith(t, KeyRing{current})
	if bytes.Equal(sealed, sealWith(t, KeyRing{current})) || bytes.Contains(sealed, []byte("whsec_")) {
		t.Error("the nonce is not random, or the token is in clear")
	}
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
		{"unchanged", company, id, sealed, nil},
		{"sealed with the previous key", company, id, sealWith(t, KeyRing{old}), nil},
		{"another company", "acme2", id, sealed, ErrNotSealed},
		{"another webhook", company, id[:len(id)-1] + "5", sealed, ErrNotSealed},
		{"company and ID joined differently", company + id[:1], id[1:], sealed, ErrNotSealed},
		{"an unavailable key", company, id, sealWith(t, KeyRing{testKey(t, 3)}), ErrUnknownKey},
		{"another format", company, id, flipped(0), ErrNotSealed},
		{"key ID changed", company, id, flipped(1), ErrUnknownKey},
		{"nonce changed", company, id, flipped(9), ErrNotSealed},
		{"ciphertext changed", company, id, flipped(25), ErrNotSealed},
		{"tag changed", company, id, flipped(len(sealed) - 1), ErrNotSealed},
		{"cut in the head", company, id, sealed[:5], ErrNotSealed},
		{"cut in the nonce", company, id, sealed[:12], ErrNotSealed},
		{"cut in the ciphertext", company, id, sealed[:30], ErrNotSealed},
		{"empty", company, id, nil, ErrNotSealed},
	}
	sealer := Sealer{Keys: KeyRing{current, old}}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := sealer.Open(t.Context(), test.company, test.id, test.sealed)
			if !errors.Is(err, test.want) || test.want == nil && got != token {
				t.Errorf("got %q, error %v, want %v", got, err, test.want)
			}
		})
	}
}

// Data that an earlier version sealed must always open: this vector fixes the sealed form.
func TestSealVector(t *testing.T) {
	sealer := Sealer{Keys: KeyRing{testKey(t, 7)}, Random: bytes.NewReader(bytes.Repeat([]byte{9}, 12))}
	sealed, err := sealer.Seal(t.Context(), company, id, "whsec_secret")
	if err != nil {
		t.Fatal(err)
	}
	const want = "01f22c0c82b45159c209090909090909090909090950edf7f1ddafb204c310ae4c4e7ef578288e22664fb6b61b77fad94e"
	if got := hex.EncodeToString(sealed); got != want {
		t.Errorf("sealed form\n got %s\nwant %s", got, want)
	}
}

func TestSealFailsWithoutKeyOrRandomness(t *testing.T) {
	for name, sealer := range map[string]Sealer{
		"no key":   {Keys: KeyRing{}, Random: rand.Reader},
		"no nonce": {Keys: KeyRing{testKey(t, 1)}, Random: strings.NewReader("short")},
	} {
		if _, err := sealer.Seal(t.Context(), company, id, token); err == nil {
			t.Errorf("%s: sealed", name)
		}
	}
	if _, err := NewKey(make([]byte, KeySize-1)); err == nil || (Sealer{Keys: KeyRing{}}).Check(t.Context()) == nil {
		t.Error("a key of 31 bytes, or none, was accepted")
	}
}

// Of several processes that create the file at the same time, one does. It is private and complete.
func TestKeyFileIsCreatedOnce(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "token.key")
	var ids sync.Map
	var creators atomic.Int32
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			keys, created, err := LoadOrCreateKeyFile(path, rand.Reader)
			if err != nil {
				t.Error(err)
				return
			}
			if created {
				creators.Add(1)
			}
			if first, _ := ids.LoadOrStore("first", keys[0].ID()); first != keys[0].ID() {
				t.Errorf("two processes got different keys: %s and %s", keys[0].ID(), first)
			}
		})
	}
	all.Wait()
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 || creators.Load() != 1 {
		t.Errorf("%d processes created the file, %v, error %v; want 1 and mode 600", creators.Load(), info, err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 {
		t.Errorf("the directory has %v (%v), want only the file", files, err)
	}
	if _, created, err := LoadOrCreateKeyFile(filepath.Join(dir, "none", "token.key"), rand.Reader); err == nil || created {
		t.Errorf("in a directory that does not exist: created %v, error %v", created, err)
	}
}

func TestKeyFileContents(t *testing.T) {
	line := func(fill byte, n int) string {
		return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, n)) + "\n"
	}
	const restore = ": restore the file from its backup, or specify another"
	tests := []struct {
		name, text string
		mode       os.FileMode
		want       []byte // what each key is filled with
		err        string
	}{
		{"two keys", "# comment\n\n" + line(1, 32) + line(2, 32), 0o600, []byte{1, 2}, ""},
		{"read-only", line(1, 32), 0o400, []byte{1}, ""},
		{"readable by the group", line(1, 32), 0o640, nil, "can be read by others: run chmod 600 on it"},
		{"no key", "# nothing\n", 0o600, nil, "contains no key" + restore},
		{"not base64", line(1, 32) + "hello!\n", 0o600, nil, "line 2 is not the base64 of 32 bytes" + restore},
		{"too short", line(1, 31), 0o600, nil, "line 1 is not the base64 of 32 bytes" + restore},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token.key")
			if err := os.WriteFile(path, []byte(test.text), test.mode); err != nil {
				t.Fatal(err)
			}
			keys, created, err := LoadOrCreateKeyFile(path, rand.Reader)
			if created || !strings.HasSuffix(errorText(err), test.err) || (err == nil) != (test.err == "") || len(keys) != len(test.want) {
				t.Fatalf("%d keys, created %v, error %v; want %d keys, error %q", len(keys), created, err, len(test.want), test.err)
			}
			for i, fill := range test.want {
				if want := testKey(t, fill).ID(); keys[i].ID() != want {
					t.Errorf("key %d is %s, want %s", i, keys[i].ID(), want)
				}
			}
		})
	}
}
