// Package webhook is the domain: webhooks, event types, companies, the errors of the service, and the contract of storage.
// It imports only the standard library, and all other packages depend on it.
package webhook

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"time"
)

// Limits on what a customer may send, in the units of the contract.
const (
	MaxNameLength        = 255  // code points
	MaxDescriptionLength = 1024 // code points
	MaxURLLength         = 2048 // bytes
	MaxEvents            = 40   // entries as sent; with 40, no transaction of a store exceeds 100 items
	MaxEventLength       = 128  // code points
	DefaultQuota         = 1000 // webhooks per company
)

// Webhook is a subscription of a company: a URL and the events that are sent to it.
type Webhook struct {
	// ID is "wh_" and a ULID; see [ValidID]. Sorting by ID sorts webhooks by creation.
	ID string
	// Company owns the webhook. No other company can find out that it exists.
	Company string
	// Name is the display name, Description free text (possibly empty), and URL where events are sent. All three are exactly
	// as the customer sent them.
	Name, Description, URL string
	// Events are the names of the subscribed event types in the order they were sent, without duplicates.
	Events []string
	// SealedToken is the encrypted signing secret. Reading a webhook never decrypts it.
	SealedToken []byte
	// Version counts changes, starting at 1. A store only changes or deletes the version that it read.
	Version int64
	// CreatedAt is when the webhook was created, in UTC, with millisecond precision.
	CreatedAt time.Time
}

const (
	idPrefix    = "wh_"
	tokenPrefix = "whsec_"
	tokenBytes  = 32

	ulidLength   = 26
	ulidAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// NewID returns the webhook ID for a ULID in its 26-character text form.
func NewID(ulid string) string { return idPrefix + ulid }

// ValidID reports whether id has the form of a webhook ID: "wh_" and 26 characters of upper-case Crockford base32. A store
// may return [ErrNotFound] for any other string without a lookup.
func ValidID(id string) bool {
	ulid, ok := strings.CutPrefix(id, idPrefix)
	return ok && ValidULID(ulid)
}

// ValidULID reports whether s is the upper-case text form of a ULID.
func ValidULID(s string) bool {
	if len(s) != ulidLength {
		return false
	}
	return strings.Trim(s, ulidAlphabet) == ""
}

// NewToken generates a signing secret in the Standard Webhooks form: "whsec_" and the base64 of 32 bytes read from random.
// It returns an error only if random does.
func NewToken(random io.Reader) (string, error) {
	secret := make([]byte, tokenBytes)
	if _, err := io.ReadFull(random, secret); err != nil {
		return "", fmt.Errorf("generating a webhook token: %w", err)
	}
	return tokenPrefix + base64.StdEncoding.EncodeToString(secret), nil
}
