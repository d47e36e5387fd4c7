package seal

import (
	"bufio"
	"bytes"
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

// KeyRing is [Keys] that are all in memory. The first one seals, every one opens.
type KeyRing []Key

// Current gives the first key.
func (r KeyRing) Current(context.Context) (Key, error) {
	if len(r) == 0 {
		return Key{}, errors.New("there is no token key")
	}
	return r[0], nil
}

// Key gives the key of an id, or [ErrUnknownKey].
func (r KeyRing) Key(_ context.Context, id KeyID) (Key, error) {
	for _, k := range r {
		if k.id == id {
			return k, nil
		}
	}
	return Key{}, fmt.Errorf("token key %s: %w", id, ErrUnknownKey)
}

const keyFileHeader = `# Keys that encrypt webhook tokens. Without this file no stored token can be read: back it up.
# One key a line, base64 of 32 bytes. The first one encrypts, all decrypt. To change the key, put
# a new line (head -c 32 /dev/urandom | base64) above the others and restart.
`

// LoadOrCreateKeyFile reads the keys of a file, or makes the file with one key read from random
// when there is none; created tells which. The file has mode 0600; one that others may read is
// refused. When several processes create it at once, all get the same key.
func LoadOrCreateKeyFile(path string, random io.Reader) (keys KeyRing, created bool, err error) {
	keys, err = loadKeyFile(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return keys, false, err
	}
	err = createKeyFile(path, random)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, fmt.Errorf("making the token key file: %w", err)
	}
	created = err == nil
	keys, err = loadKeyFile(path)
	return keys, created, err
}

func loadKeyFile(path string) (KeyRing, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("token key file: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("token key file %s may be read by others: run chmod 600 on it", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("token key file: %w", err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("token key file %s: %w: put the file back from its backup, or give another", path, err)
	}
	return keys, nil
}

func parseKeys(text []byte) (KeyRing, error) {
	var keys KeyRing
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(secret) != KeySize {
			return nil, fmt.Errorf("line %d is not the base64 of %d bytes", n, KeySize)
		}
		key, err := NewKey(secret)
		if err != nil {
			return nil, err
		}
		keys = append(keys, key)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in it")
	}
	return keys, nil
}

// createKeyFile writes the whole file beside its place and links it there, so that nobody ever
// reads half a key and an existing file stays (fs.ErrExist).
func createKeyFile(path string, random io.Reader) error {
	secret := make([]byte, KeySize)
	if _, err := io.ReadFull(random, secret); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), ".token-key-*") // made with mode 0600
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
	return syncDir(filepath.Dir(path))
}

// syncDir makes a new name in a folder survive a crash of the machine.
func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
