package seal

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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

// wantOneKey checks that processes that start at the same time get the same key.
func wantOneKey(t *testing.T, start func() (Key, error)) {
	t.Helper()
	ids := make([]KeyID, 20)
	var all sync.WaitGroup
	for i := range ids {
		all.Go(func() {
			key, err := start()
			if err != nil {
				t.Error(err)
			}
			ids[i] = key.ID()
		})
	}
	all.Wait()
	if different := slices.Compact(ids); len(different) != 1 {
		t.Errorf("the processes got different keys: %v", different)
	}
}

func TestSealAndOpen(t *testing.T) {
	sealer := Sealer{Keys: KeyRing{testKey(t, 7)}, Random: strings.NewReader("twelve bytes")}
	sealed, err := sealer.Seal(t.Context(), company, id, token)
	// Tokens that an earlier version sealed must always open, so this form must not change.
	const want = "01f22c0c82b45159c27477656c7665206279746573ffbfc25f7d57d9ebec7da3b804360cfe9ccf5c67cf0335de149a58473ea3b75e601a42ddee856c507a075d1a24d1c0bc0599eebf791573ad8b43bfd0ef017b3d9c5b"
	if got := hex.EncodeToString(sealed); got != want || err != nil {
		t.Fatalf("sealed form\n got %s, error %v\nwant %s", got, err, want)
	}
	wantOpen(t, KeyRing{testKey(t, 1), testKey(t, 7)}, sealed)
	if _, err := sealer.Seal(t.Context(), company, id, token); err == nil {
		t.Error("no error without randomness for a nonce")
	}
	if err := (Sealer{Keys: KeyRing{}}).Check(t.Context()); err == nil {
		t.Error("no error without a key")
	}

	reject := func(name, company, id string, sealed []byte, want error) {
		t.Helper()
		if got, err := sealer.Open(t.Context(), company, id, sealed); !errors.Is(err, want) || got != "" {
			t.Errorf("%s: got %q, error %v, want %v", name, got, err, want)
		}
	}
	reject("another company", "acme2", id, sealed, ErrNotSealed)
	reject("another webhook", company, id[:len(id)-1]+"5", sealed, ErrNotSealed)
	reject("company and ID joined differently", company+id[:1], id[1:], sealed, ErrNotSealed)
	for i := range sealed {
		want := ErrNotSealed
		if 1 <= i && i <= keyIDSize {
			want = ErrUnknownKey
		}
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		reject(fmt.Sprintf("byte %d changed", i), company, id, changed, want)
		reject(fmt.Sprintf("cut to %d bytes", i), company, id, sealed[:i], ErrNotSealed)
	}
}

func TestKeyFileIsCreatedOnce(t *testing.T) {
	dir := t.TempDir()
	var creators atomic.Int32
	wantOneKey(t, func() (Key, error) {
		keys, created, err := LoadOrCreateKeyFile(t.Context(), filepath.Join(dir, "token.key"), rand.Reader)
		if created {
			creators.Add(1)
		}
		key, keyErr := keys.Current(t.Context())
		return key, errors.Join(err, keyErr)
	})
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 || creators.Load() != 1 {
		t.Errorf("%d processes created the file, and the directory contains %v (error %v), want 1 and only the file", creators.Load(), files, err)
	}
}

func TestKeyFileContents(t *testing.T) {
	line := func(fill byte, n int) string {
		return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{fill}, n)) + "\n"
	}
	const restore = ": restore the file from its backup, or specify another"
	for _, test := range []struct {
		name, text string
		mode       os.FileMode
		want       KeyRing
		err        string
	}{
		{"two keys", "# comment\n\n" + line(1, 32) + line(2, 32), 0o600, KeyRing{testKey(t, 1), testKey(t, 2)}, "<nil>"},
		{"read-only", line(1, 32), 0o400, KeyRing{testKey(t, 1)}, "<nil>"},
		{"readable by the group", line(1, 32), 0o640, nil, "token key file FILE can be read by others: run chmod 600 on it"},
		{"no key", "# nothing\n", 0o600, nil, "token key file FILE contains no key" + restore},
		{"not base64", line(1, 32) + "hello!\n", 0o600, nil, "token key file FILE: line 2 is not the base64 of 32 bytes" + restore},
		{"too short", line(1, 31), 0o600, nil, "token key file FILE: line 1 is not the base64 of 32 bytes" + restore},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "token.key")
			if err := os.WriteFile(path, []byte(test.text), test.mode); err != nil {
				t.Fatal(err)
			}
			keys, created, err := LoadOrCreateKeyFile(t.Context(), path, rand.Reader)
			message := strings.ReplaceAll(fmt.Sprint(err), path, "FILE")
			if message != test.err || created || !reflect.DeepEqual(keys, test.want) {
				t.Errorf("got the keys %v, created %v, error %q; want the keys %v, error %q", keys, created, message, test.want, test.err)
			}
		})
	}
}

// BenchmarkOpenToken opens a token as every attempt to deliver does. It should take about a microsecond at most.
func BenchmarkOpenToken(b *testing.B) {
	key, err := NewKey(bytes.Repeat([]byte{1}, KeySize))
	if err != nil {
		b.Fatal(err)
	}
	sealer := Sealer{Keys: KeyRing{key}, Random: rand.Reader}
	sealed, err := sealer.Seal(b.Context(), company, id, token)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := sealer.Open(b.Context(), company, id, sealed); err != nil {
			b.Fatal(err)
		}
	}
}
