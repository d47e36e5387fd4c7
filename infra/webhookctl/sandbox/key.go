package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/renameio/v2"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// Company is the company of the sandbox's API key.
const Company = "dev"

// KeyFile is the name of the file with the API key itself, so that a restart can print it again.
const KeyFile = "api-key"

// loadOrCreateKey returns the key kept in the directory after checking that it works. If the store does not
// have the key, it adds it again; if the key was revoked, it creates a new one.
func (c Config) loadOrCreateKey(ctx context.Context, now time.Time) (secret string, err error) {
	path := filepath.Join(c.Dir, KeyFile)
	text, err := readPrivate(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err == nil {
		secret = strings.TrimSpace(string(text))
		usable, err := c.ensureKey(ctx, secret, now)
		if errors.Is(err, access.ErrNotASecret) || errors.Is(err, access.ErrTypo) {
			return "", fmt.Errorf("%s: %w: remove the file and start again", path, err)
		}
		if usable || err != nil {
			return secret, err
		}
	}
	if secret, err = access.NewSecret(c.Random); err != nil {
		return "", err
	}
	if err := replaceFile(path, []byte(secret+"\n"), 0o600); err != nil {
		return "", err
	}
	_, err = c.ensureKey(ctx, secret, now)
	return secret, err
}

// ensureKey adds the key to the store if it does not exist there, and reports whether the key works.
func (c Config) ensureKey(ctx context.Context, secret string, now time.Time) (usable bool, err error) {
	hash, err := access.HashSecret(secret)
	if err != nil {
		return false, err
	}
	key, err := c.Store.KeyByHash(ctx, hash)
	if err == nil {
		return key.Company == Company && key.Usable(now), nil
	}
	if webhook.KindOf(err) != webhook.KindNotFound {
		return false, err
	}
	id, err := ulid.New(ulid.Timestamp(now), c.Random)
	if err != nil {
		return false, err
	}
	return true, c.Store.CreateKey(ctx, access.Key{
		ID:          access.NewKeyID(Company, id.String()),
		Company:     Company,
		Permissions: access.Permissions(),
		Hash:        hash,
		CreatedAt:   now,
	})
}

// readPrivate reads a file that contains a secret. It rejects a file that other users can read.
func readPrivate(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("other users can read %s: run chmod 600 on it", path)
	}
	return os.ReadFile(path)
}

// replaceFile replaces a file atomically. The temporary file is next to it, where only this user can look.
func replaceFile(path string, data []byte, mode fs.FileMode) error {
	return renameio.WriteFile(path, data, mode, renameio.WithTempDir(filepath.Dir(path)))
}
