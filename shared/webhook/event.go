package webhook

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

const (
	eventIDPrefix    = "evt_"
	deliveryIDPrefix = "dlv_"
)

// Event is something that happened in a company's account.
type Event struct {
	// ID is "evt_" and a ULID, or the hash of the company and the publisher's key in the same form. It is unique over all
	// companies, because a receiver that serves several of them deduplicates by it.
	ID      string
	Company string
	// Type is the name of its event type.
	Type string
	// Key is the publisher's own ID of the event, or empty.
	Key string
	// Timestamp is when it happened, AcceptedAt when the service accepted it. Both are in UTC, in milliseconds.
	Timestamp, AcceptedAt time.Time
	// Body is what receivers get, byte for byte the same at every attempt.
	Body []byte
}

// NewEventID returns the event ID for a ULID in its 26-character text form.
func NewEventID(ulid string) string { return eventIDPrefix + ulid }

// KeyedEventID returns the ID of the event that a company published under a key of its own.
func KeyedEventID(company, key string) string {
	hash := sha256.Sum256([]byte(company + "\x00" + key))
	return eventIDPrefix + encodeULID([16]byte(hash[:16]))
}

// encodeULID writes 128 bits in the text form of a ULID: 26 characters of Crockford base32, five bits each, the first of which
// has only three bits of the value (https://github.com/ulid/spec).
func encodeULID(id [16]byte) string {
	high, low := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	var text [ulidLength]byte
	for i := len(text) - 1; i >= 0; i-- {
		text[i] = ulidAlphabet[low&31]
		low = low>>5 | high<<59
		high >>= 5
	}
	return string(text[:])
}
