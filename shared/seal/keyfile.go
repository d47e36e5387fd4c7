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

const keyFileHeader = `# Keys that encrypt webhook tokens. Without this file, no stored token can be decrypted: back it up.
# One key per line, the base64 of 32 bytes. The first key encrypts; all keys decrypt. To rotate the key,
# add a new line (head -c 32 /dev/urandom | base64) above the others and restart the service.
`

// LoadOrCreateKeyFile reads the keys in a file. If the file does not exist, it creates it with one key
// from random, and reports that as created. The file has mode 0600; it is an error if others can read
// it. If several processes create the file at the same time, all of them get the same key.
func LoadOrCreateKeyFile(path string, random io.Reader) (keys KeyRing, created bool, err error) {
	keys, err = loadKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, false, err
	}
	if err = createKeyFile(path, random); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, fmt.Errorf("creating the token key file: %w", err)
	}
	created = err == nil
	keys, err = loadKeyFile(path)
	return keys, created, err
}

func loadKeyFile(path string) (KeyRing, error) {
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("token key file %s can be read by others: run chmod 600 on it", path)
	}
	text, err := os.ReadFile(path)
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
