// Package seal encrypts webhook tokens for storage with AES-256-GCM. A sealed token is bound to its
// company and webhook: it does not open if it is copied to another webhook. It names the key that
// sealed it, so that keys can be rotated.
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
)

// KeySize is the length of a key in bytes: AES-256.
const KeySize = 32

// The sealed form, with lengths in bytes. format is its first byte.
//
//	format (1) | key ID (8) | nonce (12) | ciphertext and tag (16)
const (
	format    = 1
	keyIDSize = 8
	headSize  = 1 + keyIDSize
	nonceSize = 12
)

// Key is a data key with its ID.
type Key struct {
	id   KeyID
	aead cipher.AEAD
}

// KeyID identifies a key without revealing anything about it.
type KeyID [keyIDSize]byte

// String returns the ID in hexadecimal.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// NewKey returns the Key for 32 secret bytes. Its ID is derived from them, so the same bytes always have
// the same ID.
func NewKey(secret []byte) (Key, error) {
	if len(secret) != KeySize {
		return Key{}, fmt.Errorf("a token key must be %d bytes, not %d", KeySize, len(secret))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return Key{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return Key{}, err
	}
	id := sha256.Sum256(append([]byte("webhooks token key id\x00"), secret...))
	return Key{id: KeyID(id[:keyIDSize]), aead: aead}, nil
}

// ID returns the key's ID.
func (k Key) ID() KeyID { return k.id }

// Keys is the source of a Sealer's keys. It is safe for concurrent use by multiple goroutines.
type Keys interface {
	// Current returns the key to seal with.
	Current(ctx context.Context) (Key, error)
	// Key returns the key with the given ID, or [ErrUnknownKey].
	Key(ctx context.Context, id KeyID) (Key, error)
}

// Errors that [Sealer.Open] wraps.
var (
	ErrUnknownKey = errors.New("it was sealed with a key that is not available")
	ErrNotSealed  = errors.New("it is not a sealed token of this company and webhook")
)

func unknownKey(id KeyID) error { return fmt.Errorf("token key %s: %w", id, ErrUnknownKey) }

// Sealer seals and opens webhook tokens.
type Sealer struct {
	Keys   Keys
	Random io.Reader // source of nonces: crypto/rand.Reader
}

// Seal encrypts the token of a company's webhook with the current key.
func (s Sealer) Seal(ctx context.Context, company, webhookID, token string) ([]byte, error) {
	key, err := s.Keys.Current(ctx)
	if err != nil {
		return nil, fmt.Errorf("sealing a token: %w", err)
	}
	sealed := append(append([]byte{format}, key.id[:]...), make([]byte, nonceSize)...)
	head, nonce := sealed[:headSize], sealed[headSize:]
	if _, err := io.ReadFull(s.Random, nonce); err != nil {
		return nil, fmt.Errorf("sealing a token: %w", err)
	}
	return key.aead.Seal(sealed, nonce, []byte(token), binding(head, company, webhookID)), nil
}

// Open decrypts what Seal returned for the same company and webhook. Its error wraps [ErrUnknownKey],
// [ErrNotSealed] or an error of the keys.
func (s Sealer) Open(ctx context.Context, company, webhookID string, sealed []byte) (string, error) {
	if len(sealed) < headSize+nonceSize || sealed[0] != format {
		return "", fmt.Errorf("opening a token: %w", ErrNotSealed)
	}
	head, nonce, ciphertext := sealed[:headSize], sealed[headSize:headSize+nonceSize], sealed[headSize+nonceSize:]
	key, err := s.Keys.Key(ctx, KeyID(head[1:]))
	if err != nil {
		return "", fmt.Errorf("opening a token: %w", err)
	}
	token, err := key.aead.Open(nil, nonce, ciphertext, binding(head, company, webhookID))
	if err != nil {
		return "", fmt.Errorf("opening a token: %w", ErrNotSealed)
	}
	return string(token), nil
}

// binding returns the additional data for AES-GCM: the head of the sealed form, the company and the
// webhook. Neither ID can contain NUL, so no two webhooks have the same.
func binding(head []byte, company, webhookID string) []byte {
	return append(append([]byte{}, head...), company+"\x00"+webhookID...)
}
