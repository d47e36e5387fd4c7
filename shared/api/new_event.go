package api

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// maxBatch is the maximum number of events in one request.
const maxBatch = 100

// newEvent is an event that a request publishes.
type newEvent struct {
	eventType, key, company string
	data                    []byte    // as sent
	timestamp               time.Time // zero if the request has none
	sent                    [sha256.Size]byte
}

// parseNewEvents reads the body of a request that publishes one event or a batch of them.
func parseNewEvents(r request) (events []newEvent, batch bool, err error) {
	header, err := clientKey(r.header)
	if err != nil {
		return nil, false, err
	}
	top, err := decodeBody(r.header.Get("Content-Encoding"), r.body, "event", "events")
	if err != nil {
		return nil, false, err
	}
	batch = !isNull(top["events"])
	switch {
	case batch && !isNull(top["event"]):
		return nil, batch, webhook.Errorf(webhook.KindInvalid, "Specify \"event\" or \"events\", not both.")
	case batch && header != "":
		return nil, batch, webhook.Errorf(webhook.KindInvalid,
			"The header \"Idempotency-Key\" cannot be used with \"events\". Specify the \"key\" of each event.")
	case batch:
		events, err = parseBatch(top["events"], r.key)
		return events, batch, err
	case len(r.body) > maxEventBody:
		return nil, batch, tooLarge(maxEventBody)
	case !isObject(top["event"]):
		return nil, batch, mustBeSpecified("event")
	}
	event, err := parseNewEvent(top["event"], header, r.key)
	return []newEvent{event}, batch, err
}

// parseBatch reads the entries of a batch. An error names the first entry that is invalid.
func parseBatch(value json.RawMessage, caller access.Key) ([]newEvent, error) {
	entries, ok := decodeArray(value, maxBatch+1)
	switch {
	case !ok || len(entries) == 0:
		return nil, mustBeSpecified("events")
	case len(entries) > maxBatch:
		return nil, overLimit(`"events"`, maxBatch, "entries")
	}
	events := make([]newEvent, len(entries))
	indexes := make(map[string]int) // by key
	for i, entry := range entries {
		var err error
		if events[i], err = parseEntry(entry, caller); err != nil {
			return nil, inBatch(i, err)
		}
		if events[i].key == "" {
			continue
		}
		id := events[i].id()
		if first, twice := indexes[id]; twice {
			return nil, inBatch(i, webhook.Errorf(webhook.KindInvalid, "The \"key\" is the same as in events[%d].", first))
		}
		indexes[id] = i
	}
	return events, nil
}

func parseEntry(entry json.RawMessage, caller access.Key) (newEvent, error) {
	switch {
	case !isObject(entry):
		return newEvent{}, webhook.Errorf(webhook.KindInvalid, "The entry must be an object.")
	case len(entry) > maxEventBody:
		return newEvent{}, eventTooLarge()
	}
	return parseNewEvent(entry, "", caller)
}

func eventTooLarge() error {
	return webhook.Errorf(webhook.KindTooLarge, "An event must not exceed %d bytes.", maxEventBody)
}

// inBatch adds the index of an event to an error's message.
func inBatch(index int, err error) error {
	e := *classified(err)
	e.Message = fmt.Sprintf("events[%d]: %s", index, e.Message)
	return &e
}

// parseNewEvent reads an event. header is the value of the header Idempotency-Key, which can also be its key.
func parseNewEvent(value json.RawMessage, header string, caller access.Key) (newEvent, error) {
	fields, err := decodeObject(value, "type", "data", "key", "timestamp", "company")
	if err != nil {
		return newEvent{}, err
	}
	return decodeNewEvent(fields, header, caller)
}

// decodeNewEvent reads an event from its fields.
func decodeNewEvent(fields object, header string, caller access.Key) (e newEvent, err error) {
	var ok bool
	if e.eventType, ok = decodeRequired(fields["type"]); !ok {
		return e, mustBeSpecified("type")
	}
	if utf8.RuneCountInString(e.eventType) > webhook.MaxEventLength {
		return e, overLimit(`"type"`, webhook.MaxEventLength, "characters")
	}
	if e.data = fields["data"]; !isObject(e.data) {
		return e, mustBeSpecified("data")
	}
	if e.key, err = decodeKey(fields["key"], header); err != nil {
		return e, err
	}
	var timestamp string
	if !isNull(fields["timestamp"]) {
		if timestamp, ok = decodeText(fields["timestamp"]); ok {
			e.timestamp, ok = parseTime(timestamp)
		}
		if !ok {
			return e, notATime("timestamp")
		}
	}
	if e.company, err = decodeCompany(fields["company"], caller); err != nil {
		return e, err
	}
	e.sent = hashOf(e.eventType, timestamp, e.data)
	return e, nil
}

// decodeKey returns the key of an event from its field and the header Idempotency-Key, or an empty string if it has neither.
func decodeKey(value json.RawMessage, header string) (string, error) {
	if isNull(value) {
		return header, nil
	}
	key, ok := decodeText(value)
	switch {
	case !ok || !isClientKey(key):
		return "", webhook.Errorf(webhook.KindInvalid, "\"key\" must be 1 to %d visible ASCII characters.", maxClientKey)
	case header != "" && header != key:
		return "", webhook.Errorf(webhook.KindInvalid, "The header \"Idempotency-Key\" and \"key\" must be equal.")
	}
	return key, nil
}

// decodeCompany returns the company of an event: the company of the caller's key or, with a platform key, the one in the event.
func decodeCompany(value json.RawMessage, caller access.Key) (string, error) {
	if !caller.IsPlatform() {
		if !isNull(value) {
			return "", companyNotAllowed()
		}
		return caller.Company, nil
	}
	company, ok := decodeText(value)
	if !ok || !webhook.ValidCompany(company) {
		return "", mustBeSpecified("company")
	}
	return company, nil
}

// hashOf returns the hash of an event as it was sent. A repeated request with the same key must have the same hash. The hash is
// unambiguous: neither a timestamp nor JSON contains NUL.
func hashOf(eventType, timestamp string, data []byte) (sum [sha256.Size]byte) {
	hash := sha256.New()
	hash.Write([]byte(timestamp + "\x00" + eventType + "\x00"))
	hash.Write(data)
	hash.Sum(sum[:0])
	return sum
}

// id returns the ID of an event with a key.
func (e newEvent) id() string { return webhook.KeyedEventID(e.company, e.key) }
