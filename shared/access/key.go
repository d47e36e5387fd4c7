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
	"unicode"
	"unicode/utf8"

	"webhooks/shared/webhook"
)

const (
	secretPrefix = "whk_"
	secretBytes  = 32
	secretLength = 58 // characters after the prefix
	keyIDPrefix  = "key_"
	ulidLength   = 26
)

// Hash is the SHA-256 hash of a secret, stored instead of it. A secret has 256 random bits, so a fast hash is enough.
type Hash [sha256.Size]byte

// Key is an API key as it is stored: everything except the secret.
type Key struct {
	// ID identifies the key to people: "key_", the company, "_" and a ULID. The ID of a platform key has no company: it is
	// "key_" and a ULID. It is not secret.
	ID string
	// Company is the only company whose webhooks and events the key can access. It is empty for a platform key, which can
	// access the events of every company and has only [PlatformPermissions].
	Company string
	// Label says what the key is for: see [ValidLabel]. It may be empty.
	Label       string
	Permissions []Permission
	Hash        Hash
	// ExpiresAt is zero if the key does not expire, RevokedAt if it is not revoked. Times are in UTC, in milliseconds.
	CreatedAt, ExpiresAt, RevokedAt time.Time
	// LastUsedOn is the beginning, in UTC, of the last day on which the key was used. It is zero if the key was never used.
	LastUsedOn time.Time
}

// MaxLabelLength is the maximum length of a key's label, in characters.
const MaxLabelLength = 100

// ValidLabel reports whether label has 1 to [MaxLabelLength] characters, all of them printable and not all of them spaces.
func ValidLabel(label string) bool {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return utf8.ValidString(label) && utf8.RuneCountInString(label) <= MaxLabelLength &&
		!strings.ContainsFunc(label, unprintable) && strings.TrimSpace(label) != ""
}

// NewKeyID returns the key ID for a company, or for the platform if it is empty, and a ULID.
func NewKeyID(company, ulid string) string {
	if company == "" {
		return keyIDPrefix + ulid
	}
	return keyIDPrefix + company + "_" + ulid
}

// KeyCompany returns the company in a key ID, or false if id is not a key ID. The company of a platform key is empty.
func KeyCompany(id string) (company string, ok bool) {
	rest, ok := strings.CutPrefix(id, keyIDPrefix)
	if ok && webhook.ValidULID(rest) {
		return "", true
	}
	cut := len(rest) - ulidLength - 1
	if !ok || cut < 1 || rest[cut] != '_' || !webhook.ValidULID(rest[cut+1:]) {
		return "", false
	}
	return rest[:cut], webhook.ValidCompany(rest[:cut])
}

// IsPlatform reports whether it is a platform key.
func (k Key) IsPlatform() bool { return k.Company == "" }

// Usable reports whether the key is neither expired nor revoked.
func (k Key) Usable(now time.Time) bool {
	return k.RevokedAt.IsZero() && (k.ExpiresAt.IsZero() || now.Before(k.ExpiresAt))
}

// Allows reports whether the key has a permission. A platform key can only have [PlatformPermissions].
func (k Key) Allows(p Permission) bool {
	return slices.Contains(k.Permissions, p) && (!k.IsPlatform() || slices.Contains(PlatformPermissions(), p))
}

// NewSecret generates the secret that a client sends as its bearer token: "whk_" and, in lower-case base32, 32 bytes read from
// random and their CRC-32. It fails only if random does.
func NewSecret(random io.Reader) (string, error) {
	raw := make([]byte, secretBytes, secretBytes+crc32.Size)
	if _, err := io.ReadFull(random, raw); err != nil {
		return "", fmt.Errorf("generating an API key: %w", err)
	}
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw))
	return secretPrefix + strings.ToLower(encoding().EncodeToString(raw)), nil
}

// Errors of [HashSecret].
var (
	ErrNotASecret = errors.New("not an API key: it must be " + secretPrefix + " and 58 more characters")
	ErrTypo       = errors.New("the API key's checksum is wrong: it was not copied correctly")
)

// HashSecret returns the hash of a secret. The error is [ErrNotASecret] if the text does not have the form of a secret, and
// [ErrTypo] if it was copied with a mistake.
func HashSecret(secret string) (Hash, error) {
	text, ok := strings.CutPrefix(secret, secretPrefix)
	raw, err := encoding().DecodeString(strings.ToUpper(text))
	if !ok || err != nil || len(text) != secretLength || len(raw) != secretBytes+crc32.Size {
		return Hash{}, ErrNotASecret
	}
	// Decoding accepts upper case and ignores the last character's spare bits, but a key has only one text.
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
