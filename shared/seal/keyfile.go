package seal

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// KeyRing is [Keys] in memory. The first one seals; all of them open.
type KeyRing []Key

// Current returns the first key.
func (r KeyRing) Current(context.Context) (Key, error) {
	if len(r) == 0 {
		return Key{}, errors.New("there is no token key")
	}
	return r[0], nil
}

// Key returns the key with the given ID, or [ErrUnknownKey].
func (r KeyRing) Key(_ context.Context, id KeyID) (Key, error) {
	for _, k := range r {
		if k.id == id {
			return k, nil
		}
	}
	return Key{}, unknownKey(id)
}

// HasZeroKey reports whether one of the keys is all zero bytes, which is an example or a mistake: anyone knows it.
func (r KeyRing) HasZeroKey() bool {
	zero, err := NewKey(make([]byte, KeySize))
	return err == nil && slices.ContainsFunc(r, func(k Key) bool { return k.id == zero.id })
}

const keyFileHeader = `# Keys that encrypt webhook tokens. Without this file, no stored token can be decrypted: back it up.
# One key per line, the base64 of 32 bytes. The first key encrypts; all keys decrypt. To rotate the key,
# add a new line (head -c 32 /dev/urandom | base64) above the others and restart the service.
`

// LoadOrCreateKeyFile is [LoadKeyFile], except that it creates a file that does not exist, with one key
// from random and mode 0600, and reports that as created. If several processes create the file at the
// same time, all of them get the same key.
func LoadOrCreateKeyFile(ctx context.Context, path string, random io.Reader) (keys KeyRing, created bool, err error) {
	keys, err = LoadKeyFile(ctx, path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, false, err
	}
	if err = createKeyFile(path, random); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, fmt.Errorf("creating the token key file: %w", err)
	}
	created = err == nil
	keys, err = LoadKeyFile(ctx, path)
	return keys, created, err
}

// LoadKeyFile reads the keys in a file. It is an error if others can read the file, or if it does not
// exist ([fs.ErrNotExist]). The file may be a pipe: the wait for its contents stops when ctx ends.
func LoadKeyFile(ctx context.Context, path string) (KeyRing, error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("token key file %s can be read by others: run chmod 600 on it", path)
	}
	text, err := readFile(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("token key file: %w", err)
	}
	var keys KeyRing
	for i, line := range strings.Split(string(text), "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := parseKey(line)
		if err != nil {
			return nil, fmt.Errorf("token key file %s: line %d is %w: restore the file from its backup, or specify another", path, i+1, err)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("token key file %s contains no key: restore the file from its backup, or specify another", path)
	}
	return keys, nil
}

// readFile is [os.ReadFile] until ctx ends. Its goroutine then remains until the file, for example a pipe, has contents.
func readFile(ctx context.Context, path string) ([]byte, error) {
	type contents struct {
		text []byte
		err  error
	}
	read := make(chan contents, 1)
	go func() {
		text, err := os.ReadFile(path)
		read <- contents{text, err}
	}()
	select {
	case r := <-read:
		return r.text, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for its contents: %w", ctx.Err())
	}
}

func parseKey(text string) (Key, error) {
	secret, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(secret) != KeySize {
		return Key{}, fmt.Errorf("not the base64 of %d bytes", KeySize)
	}
	return NewKey(secret)
}

// createKeyFile writes the file next to its final path and links it there: no reader ever sees half a
// key, and an existing file is never replaced (fs.ErrExist). A rename, as in google/renameio, would
// replace it, and with it the only key to the stored tokens.
func createKeyFile(path string, random io.Reader) error {
	secret := make([]byte, KeySize)
	if _, err := io.ReadFull(random, secret); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".token-key-*") // creates it with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.WriteString(keyFileHeader + base64.StdEncoding.EncodeToString(secret) + "\n")
	if err := errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	if err := os.Link(temporary.Name(), path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close()) // so that the new name survives a crash of the machine
}
