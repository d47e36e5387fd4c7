// Package webhook is the domain: what a webhook, an event type and a company are, which errors
// there are, and what a store must promise. It imports the standard library alone; everything
// else of the service points at it.
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
	MaxEvents            = 40   // entries as sent; 40 keep every transaction of a store under 100 items
	MaxEventLength       = 128  // code points
	DefaultQuota         = 1000 // webhooks of one company
)

// Webhook is one subscription of one company: where its events go, and which events.
type Webhook struct {
	// ID is "wh_" and a ULID, see [ValidID]. Sorted by ID, webhooks are in the order of their making.
	ID string
	// Company owns the webhook. No other company can tell that it exists.
	Company string
	// Name is the display name, Description free text (may be empty), URL where events are posted
	// to; all three exactly as the customer sent them.
	Name, Description, URL string
	// Events are the names of the event types subscribed to, without duplicates, as first seen.
	Events []string
	// SealedToken is the signing secret, encrypted. Reading a webhook never opens it.
	SealedToken []byte
	// Version counts changes, from 1. A store changes and deletes a webhook only in the version it read.
	Version int64
	// CreatedAt is when the webhook was accepted, UTC, with millisecond precision.
	CreatedAt time.Time
}

const (
	idPrefix    = "wh_"
	tokenPrefix = "whsec_"
	tokenBytes  = 32

	ulidLength   = 26
	ulidAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
)

// NewID makes a webhook's id of a ULID in its 26-character text form.
func NewID(ulid string) string { return idPrefix + ulid }

// ValidID reports whether id has the form of a webhook's id: "wh_" and 26 characters of upper-case
// Crockford base32. A store may answer [ErrNotFound] for any other string without looking.
func ValidID(id string) bool {
	ulid, ok := strings.CutPrefix(id, idPrefix)
	return ok && ValidULID(ulid)
}

// ValidULID reports whether s is a ULID's text form in upper case.
func ValidULID(s string) bool {
	if len(s) != ulidLength {
		return false
	}
	return strings.Trim(s, ulidAlphabet) == ""
}

// NewToken makes a signing secret in the Standard Webhooks form, "whsec_" and the base64 of 32
// bytes read from random. It fails only when random does.
func NewToken(random io.Reader) (string, error) {
	secret := make([]byte, tokenBytes)
	if _, err := io.ReadFull(random, secret); err != nil {
		return "", fmt.Errorf("making a webhook token: %w", err)
	}
	return tokenPrefix + base64.StdEncoding.EncodeToString(secret), nil
}
