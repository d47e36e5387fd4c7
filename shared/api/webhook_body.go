package api

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"webhooks/shared/webhook"
)

// redacted replaces the token wherever it is not shown.
const redacted = "redacted"

// webhookBody is a webhook in a response: the six fields of the reference, in its order.
type webhookBody struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	URL         string   `json:"url"`
	Events      []string `json:"events"`
	Token       string   `json:"token"`
}

func redactedBody(w webhook.Webhook) webhookBody {
	return webhookBody{
		ID:          w.ID,
		Name:        w.Name,
		Description: w.Description,
		URL:         w.URL,
		Events:      w.Events,
		Token:       redacted,
	}
}

// newWebhook is the webhook that a request asks for. All text is exactly as it was sent.
type newWebhook struct {
	name, description, url string
	events                 []string // without duplicates, in the order sent
}

// parseNewWebhook reads the body of a request that creates a webhook: steps 1 to 3 of the contract.
func parseNewWebhook(contentEncoding string, body []byte) (newWebhook, error) {
	top, err := decodeBody(contentEncoding, body, "webhook")
	if err != nil {
		return newWebhook{}, err
	}
	if !isObject(top["webhook"]) {
		return newWebhook{}, mustBeSpecified("webhook")
	}
	fields, err := decodeObject(top["webhook"], "name", "url", "events", "description")
	if err != nil {
		return newWebhook{}, err
	}
	w, invalid := decodeNewWebhook(fields)
	if invalid != "" {
		return newWebhook{}, mustBeSpecified(invalid)
	}
	if err := w.checkLimits(); err != nil {
		return newWebhook{}, err
	}
	w.events = withoutDuplicates(w.events)
	return w, nil
}

// decodeNewWebhook returns the values of the fields, or the name of the first one that is missing,
// blank or of the wrong type.
func decodeNewWebhook(fields object) (w newWebhook, invalid string) {
	var ok bool
	if w.name, ok = decodeRequired(fields["name"]); !ok {
		return w, "name"
	}
	if w.url, ok = decodeRequired(fields["url"]); !ok {
		return w, "url"
	}
	if w.events, ok = decodeEvents(fields["events"]); !ok {
		return w, "events"
	}
	if isNull(fields["description"]) {
		return w, ""
	}
	if w.description, ok = decodeText(fields["description"]); !ok {
		return w, "description"
	}
	return w, ""
}

// decodeRequired returns the text of a string with at least one visible character.
func decodeRequired(value json.RawMessage) (text string, ok bool) {
	text, ok = decodeText(value)
	return text, ok && strings.ContainsFunc(text, isVisible)
}

// isVisible reports whether a character is more than white space, a control character or a character without a width,
// such as U+200B.
func isVisible(r rune) bool {
	return !unicode.IsSpace(r) &&
		!unicode.In(r, unicode.Cc, unicode.Cf, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

// decodeEvents reads an array of at least one event, or a single event.
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

// checkLimits checks the length of every field as it was sent.
func (w newWebhook) checkLimits() error {
	tooLong := func(event string) bool { return utf8.RuneCountInString(event) > webhook.MaxEventLength }
	switch {
	case utf8.RuneCountInString(w.name) > webhook.MaxNameLength:
		return overLimit(`"name"`, webhook.MaxNameLength, "characters")
	case utf8.RuneCountInString(w.description) > webhook.MaxDescriptionLength:
		return overLimit(`"description"`, webhook.MaxDescriptionLength, "characters")
	case len(w.url) > webhook.MaxURLLength:
		return overLimit(`"url"`, webhook.MaxURLLength, "bytes")
	case len(w.events) > webhook.MaxEvents:
		return overLimit(`"events"`, webhook.MaxEvents, "entries")
	case slices.ContainsFunc(w.events, tooLong):
		return overLimit(`An entry of "events"`, webhook.MaxEventLength, "characters")
	}
	return nil
}

func overLimit(what string, limit int, unit string) error {
	return webhook.Errorf(webhook.KindInvalid, "%s must not exceed %d %s.", what, limit, unit)
}

// withoutDuplicates keeps the first of equal events; there are at most [webhook.MaxEvents].
func withoutDuplicates(events []string) []string {
	unique := events[:0]
	for _, event := range events {
		if !slices.Contains(unique, event) {
			unique = append(unique, event)
		}
	}
	return unique
}
