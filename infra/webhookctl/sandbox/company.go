package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// Company is whose webhooks the sandbox's API key reaches.
const Company = "dev"

// keyFile holds the API key itself, so that a restart can show it again.
const keyFile = "api-key"

// Store is what the sandbox needs of a store.
type Store interface {
	CreateKey(ctx context.Context, key access.Key) error
	KeyByHash(ctx context.Context, hash access.Hash) (access.Key, error)
	AddEventType(ctx context.Context, t webhook.EventType) error
}

// eventTypes are the reference's two, in its order.
func eventTypes() []string {
	return []string{"RecurringPayments.charge.paid", "RecurringPayments.charge.failed"}
}

// addEventTypes makes the types available to every company. Those that are stay as they are.
func addEventTypes(ctx context.Context, store Store, now time.Time) error {
	for i, name := range eventTypes() {
		// A millisecond apart, because types are listed by the time they were added.
		added := now.Add(time.Duration(i) * time.Millisecond)
		err := store.AddEventType(ctx, webhook.EventType{Name: name, AddedAt: added})
		if err != nil {
			return fmt.Errorf("adding the event type %s: %w", name, err)
		}
	}
	return nil
}

// apiKey is how a key comes to be, or back.
type apiKey struct {
	store  Store
	now    time.Time // UTC, in milliseconds
	random io.Reader
}

// loadOrCreate gives the secret that is kept in a folder, known to the store and usable. A kept
// one that the store has lost is registered again; in the place of one that was revoked comes a
// new one.
func (k apiKey) loadOrCreate(ctx context.Context, dir string) (secret string, err error) {
	path := filepath.Join(dir, keyFile)
	text, err := readPrivate(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("development API key: %w", err)
	}
	if err == nil {
		secret = strings.TrimSpace(string(text))
		usable, err := k.ensure(ctx, secret)
		if errors.Is(err, access.ErrNotASecret) || errors.Is(err, access.ErrTypo) {
			return "", fmt.Errorf("development API key: %s: %w: remove the file and start again", path, err)
		}
		if usable || err != nil {
			return secret, err
		}
	}
	return k.create(ctx, path)
}

func (k apiKey) create(ctx context.Context, path string) (string, error) {
	secret, err := access.NewSecret(k.random)
	if err != nil {
		return "", err
	}
	if err := writeFile(path, []byte(secret+"\n"), private); err != nil {
		return "", fmt.Errorf("keeping the development API key: %w", err)
	}
	_, err = k.ensure(ctx, secret)
	return secret, err
}

// ensure registers a secret that the store does not know, and reports whether it works.
func (k apiKey) ensure(ctx context.Context, secret string) (usable bool, err error) {
	hash, err := access.HashSecret(secret)
	if err != nil {
		return false, err
	}
	key, err := k.store.KeyByHash(ctx, hash)
	if err == nil {
		return key.Company == Company && key.Usable(k.now), nil
	}
	if webhook.KindOf(err) != webhook.KindNotFound {
		return false, fmt.Errorf("looking for the development API key: %w", err)
	}
	if err := k.register(ctx, hash); err != nil {
		return false, fmt.Errorf("storing the development API key: %w", err)
	}
	return true, nil
}

func (k apiKey) register(ctx context.Context, hash access.Hash) error {
	id, err := ulid.New(ulid.Timestamp(k.now), k.random)
	if err != nil {
		return err
	}
	return k.store.CreateKey(ctx, access.Key{
		ID:          access.NewKeyID(Company, id.String()),
		Company:     Company,
		Permissions: access.Permissions(),
		Hash:        hash,
		CreatedAt:   k.now,
	})
}
