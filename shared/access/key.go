package access

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"slices"
	"strings"
	"time"

	"webhooks/shared/webhook"
)

const (
	secretPrefix  = "whk_"
	secretBytes   = 32
	checksumBytes = 4
	secretLength  = 58 // characters after the prefix
	keyIDPrefix   = "key_"
	ulidLength    = 26
)

// Hash is the SHA-256 of a secret's text. It is all that is stored of a secret: 256 random bits
// need no slow hash.
type Hash [sha256.Size]byte

// Key is an API key as it is stored: everything but the secret itself.
type Key struct {
	// ID names the key to people: "key_", the company, "_" and a ULID. It is no secret.
	ID string
	// Company is the one company whose webhooks the key reaches.
	Company     string
	Permissions []Permission
	Hash        Hash
	// CreatedAt is when the key was made; ExpiresAt when it stops working, zero for never;
	// RevokedAt when somebody ended it, zero while nobody has. All UTC, millisecond precision.
	CreatedAt, ExpiresAt, RevokedAt time.Time
}

// NewKeyID makes a key's id of its company and a ULID.
func NewKeyID(company, ulid string) string { return keyIDPrefix + company + "_" + ulid }

// KeyCompany gives the company that a key's id names, or false where it is no key id.
func KeyCompany(id string) (string, bool) {
	rest, ok := strings.CutPrefix(id, keyIDPrefix)
	cut := len(rest) - ulidLength - 1
	if !ok || cut < 1 || rest[cut] != '_' || !webhook.ValidULID(rest[cut+1:]) {
		return "", false
	}
	return rest[:cut], webhook.ValidCompany(rest[:cut])
}

// Usable reports whether the key works at a time: neither expired nor revoked.
func (k Key) Usable(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Allows reports whether the key has a permission.
func (k Key) Allows(p Permission) bool { return slices.Contains(k.Permissions, p) }

// NewSecret makes what a caller sends as its bearer token: "whk_" and, in lower-case base32, 32
// bytes read from random with their CRC-32. It fails only when random does.
func NewSecret(random io.Reader) (string, error) {
	raw := make([]byte, secretBytes, secretBytes+checksumBytes)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("making an API key: %w", err)
	}
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw))
	return secretPrefix + strings.ToLower(encoding().EncodeToString(raw)), nil
}

// What can be wrong with the text of a secret.
var (
	ErrNotASecret = errors.New("it is no API key: those begin with " + secretPrefix + " and have 58 more characters")
	ErrTypo       = errors.New("its checksum is wrong: it was copied with a mistake")
)

// HashSecret gives the hash under which a secret's key is stored. [ErrNotASecret] and [ErrTypo]
// tell a text that was never a key of ours from one with a typing mistake.
func HashSecret(secret string) (Hash, error) {
	text, ok := strings.CutPrefix(secret, secretPrefix)
	raw, err := encoding().DecodeString(strings.ToUpper(text))
	if !ok || err != nil || len(text) != secretLength || len(raw) != secretBytes+checksumBytes {
		return Hash{}, ErrNotASecret
	}
	// Decoding forgives upper case and drops the last character's spare bits; a key has one text.
	if strings.ToLower(encoding().EncodeToString(raw)) != text {
		return Hash{}, ErrTypo
	}
	random, checksum := raw[:secretBytes], raw[secretBytes:]
	if crc32.ChecksumIEEE(random) != binary.BigEndian.Uint32(checksum) {
		return Hash{}, ErrTypo
	}
	return sha256.Sum256([]byte(secret)), nil
}

func encoding() *base32.Encoding { return base32.StdEncoding.WithPadding(base32.NoPadding) }
