// Package seal keeps webhook tokens encrypted where they are stored: AES-256-GCM, bound to the
// company and the webhook they belong to, so that a sealed token copied to another place does not
// open there. The key that sealed a token is named in the sealed form, so keys can be changed.
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

// keyIDSize is the length of a key's id in bytes.
const keyIDSize = 8

// format is the first byte of the sealed form that this code writes:
//
//	format (1 byte) | key id (8) | nonce (12) | ciphertext and tag (16)
const format = 1

// Key is a data key with its id.
type Key struct {
	id      KeyID
	aead    cipher.AEAD
	bodyKey []byte // of the HMAC in HashBody
}

// KeyID names a key without telling anything of it.
type KeyID [keyIDSize]byte

// String gives the id in hexadecimal.
func (id KeyID) String() string { return hex.EncodeToString(id[:]) }

// NewKey makes a Key of 32 secret bytes. Its id is derived from them, so that the same bytes have
// the same id wherever they come from.
func NewKey(secret []byte) (Key, error) {
	if len(secret) != KeySize {
		return Key{}, fmt.Errorf("a token key has %d bytes, not %d", KeySize, len(secret))
	}
	block, err := aes.NewCipher(secret)
	if err != nil {
		return Key{}, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return Key{}, err
	}
	id, bodyKey := derive("webhooks token key id\x00", secret), derive("webhooks body key\x00", secret)
	return Key{id: KeyID(id[:keyIDSize]), aead: aead, bodyKey: bodyKey}, nil
}

// derive makes 32 bytes for one purpose of a secret that is as good as random; they tell nothing of
// it, or of what is made for another purpose.
func derive(purpose string, secret []byte) []byte {
	sum := sha256.Sum256(append([]byte(purpose), secret...))
	return sum[:]
}

// ID names the key.
func (k Key) ID() KeyID { return k.id }

// Keys is where a Sealer gets its keys. It may be used from many goroutines.
type Keys interface {
	// Current gives the key that seals.
	Current(ctx context.Context) (Key, error)
	// Key gives the key of an id, or [ErrUnknownKey].
	Key(ctx context.Context, id KeyID) (Key, error)
}

// What can be wrong with a sealed token.
var (
	ErrUnknownKey = errors.New("it was sealed with a key that is not here")
	ErrNotSealed  = errors.New("it is no sealed token of this company and webhook")
)

// Sealer seals and opens webhook tokens.
type Sealer struct {
	Keys   Keys
	Random io.Reader // of nonces; crypto/rand.Reader
}

// Seal encrypts the token of a company's webhook with the current key.
func (s Sealer) Seal(ctx context.Context, company, webhookID, token string) ([]byte, error) {
	key, err := s.Keys.Current(ctx)
	if err != nil {
		return nil, fmt.Errorf("sealing a token: %w", err)
	}
	head := append([]byte{format}, key.id[:]...)
	nonce := make([]byte, key.aead.NonceSize())
	if _, err := io.ReadFull(s.Random, nonce); err != nil {
		return nil, fmt.Errorf("sealing a token: %w", err)
	}
	sealed := append(head[:len(head):len(head)], nonce...)
	return key.aead.Seal(sealed, nonce, []byte(token), binding(head, company, webhookID)), nil
}

// Open decrypts what Seal made for the same company and webhook. [ErrUnknownKey] and
// [ErrNotSealed] say why it cannot.
func (s Sealer) Open(ctx context.Context, company, webhookID string, sealed []byte) (string, error) {
	const headSize = 1 + keyIDSize
	if len(sealed) < headSize || sealed[0] != format {
		return "", fmt.Errorf("opening a token: %w", ErrNotSealed)
	}
	head, rest := sealed[:headSize], sealed[headSize:]
	key, err := s.Keys.Key(ctx, KeyID(head[1:]))
	if err != nil {
		return "", fmt.Errorf("opening a token: %w", err)
	}
	if len(rest) < key.aead.NonceSize() {
		return "", fmt.Errorf("opening a token: %w", ErrNotSealed)
	}
	nonce, ciphertext := rest[:key.aead.NonceSize()], rest[key.aead.NonceSize():]
	token, err := key.aead.Open(nil, nonce, ciphertext, binding(head, company, webhookID))
	if err != nil {
		return "", fmt.Errorf("opening a token: %w", ErrNotSealed)
	}
	return string(token), nil
}

// binding is the additional data: where the token belongs, and the head of the sealed form. NUL
// cannot be in a company's or a webhook's id, so no two places have the same.
func binding(head []byte, company, webhookID string) []byte {
	return append(append([]byte{}, head...), company+"\x00"+webhookID...)
}
