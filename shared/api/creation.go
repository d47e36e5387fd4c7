package api

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"webhooks/shared/webhook"
)

// creation is what a body asks to be created. Texts are as they were sent.
type creation struct {
	name, description, url string
	events                 []string // without duplicates, as first seen
}

// parseCreation reads the body of a creation: steps 1 to 3 of the contract, in its order.
func parseCreation(body []byte) (creation, error) {
	top, err := decodeBody(body, "webhook")
	if err != nil {
		return creation{}, err
	}
	if !isObject(top["webhook"]) {
		return creation{}, mustBeSpecified("webhook")
	}
	fields, err := decodeObject(top["webhook"], "name", "url", "events", "description")
	if err != nil {
		return creation{}, err
	}
	c, wrong := decodeCreation(fields)
	if wrong != "" {
		return creation{}, mustBeSpecified(wrong)
	}
	if err := c.checkLimits(); err != nil {
		return creation{}, err
	}
	c.events = withoutDuplicates(c.events)
	return c, nil
}

// decodeCreation gives the fields' values, or the name of the first one that is missing, blank or
// of the wrong type.
func decodeCreation(fields object) (c creation, wrong string) {
	var ok bool
	if c.name, ok = decodeRequired(fields["name"]); !ok {
		return c, "name"
	}
	if c.url, ok = decodeRequired(fields["url"]); !ok {
		return c, "url"
	}
	if c.events, ok = decodeEvents(fields["events"]); !ok {
		return c, "events"
	}
	if isNull(fields["description"]) {
		return c, ""
	}
	if c.description, ok = decodeText(fields["description"]); !ok {
		return c, "description"
	}
	return c, ""
}

// decodeRequired gives a text that is more than white space.
func decodeRequired(value json.RawMessage) (text string, ok bool) {
	text, ok = decodeText(value)
	return text, ok && strings.TrimSpace(text) != ""
}

// decodeEvents reads an array of at least one event, or a single one.
func decodeEvents(value json.RawMessage) (events []string, ok bool) {
	if single, ok := decodeRequired(value); ok {
		return []string{single}, true
	}
	var entries []json.RawMessage
	if json.Unmarshal(value, &entries) != nil {
		return nil, false
	}
	for _, entry := range entries {
		event, ok := decodeRequired(entry)
		if !ok {
			return nil, false
		}
		events = append(events, event)
	}
	return events, len(events) > 0
}

// checkLimits checks how long everything is, as it was sent.
func (c creation) checkLimits() error {
	tooLong := func(event string) bool { return utf8.RuneCountInString(event) > webhook.MaxEventLength }
	switch {
	case utf8.RuneCountInString(c.name) > webhook.MaxNameLength:
		return overLimit("name", webhook.MaxNameLength, "characters")
	case utf8.RuneCountInString(c.description) > webhook.MaxDescriptionLength:
		return overLimit("description", webhook.MaxDescriptionLength, "characters")
	case len(c.url) > webhook.MaxURLLength:
		return overLimit("url", webhook.MaxURLLength, "bytes")
	case len(c.events) > webhook.MaxEvents:
		return overLimit("events", webhook.MaxEvents, "entries")
	case slices.ContainsFunc(c.events, tooLong):
		return webhook.Errorf(webhook.KindInvalid,
			"An entry of \"events\" must have at most %d characters.", webhook.MaxEventLength)
	}
	return nil
}

func overLimit(name string, limit int, unit string) error {
	return webhook.Errorf(webhook.KindInvalid, "%q must have at most %d %s.", name, limit, unit)
}

// withoutDuplicates keeps the first of each; there are at most [webhook.MaxEvents].
func withoutDuplicates(events []string) []string {
	unique := events[:0]
	for _, event := range events {
		if !slices.Contains(unique, event) {
			unique = append(unique, event)
		}
	}
	return unique
}

const maxIdempotencyKey = 255 // characters

// idempotencyKey reads the Idempotency-Key of a request, or gives nil where there is none.
func idempotencyKey(header http.Header, operation string) (*webhook.IdempotencyKey, error) {
	if len(header.Values("Idempotency-Key")) == 0 {
		return nil, nil
	}
	sent := joinedHeader(header, "Idempotency-Key")
	invisible := func(c rune) bool { return c <= ' ' || c > '~' }
	if sent == "" || len(sent) > maxIdempotencyKey || strings.ContainsFunc(sent, invisible) {
		return nil, webhook.Errorf(webhook.KindInvalid,
			"The header \"Idempotency-Key\" must have 1 to %d visible ASCII characters.", maxIdempotencyKey)
	}
	key := webhook.NewIdempotencyKey(operation, sent)
	return &key, nil
}
