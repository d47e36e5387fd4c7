package api

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"webhooks/shared/webhook"
)

// object is those fields of a JSON object that somebody asked for, not looked at yet. Names are
// exact, case included.
type object map[string]json.RawMessage

// decodeBody reads a request's body, which must be one JSON object and nothing else, and gives
// those of its fields that are named. What the body says elsewhere is ignored, but all of its text
// must be text: no invalid UTF-8 and no half of a surrogate pair, which a decoder would replace
// silently.
func decodeBody(body []byte, names ...string) (object, error) {
	switch {
	case !utf8.Valid(body):
		return nil, webhook.Errorf(webhook.KindInvalid, "The body must be valid UTF-8.")
	case !json.Valid(body) || !isObject(bytes.TrimLeft(body, " \t\r\n")):
		return nil, webhook.Errorf(webhook.KindInvalid, "The body must be one JSON object.")
	case hasLoneSurrogate(body):
		return nil, webhook.Errorf(webhook.KindInvalid, "The body must not hold half of a surrogate pair.")
	}
	return decodeObject(body, names...)
}

// decodeObject gives those fields of a valid JSON object that are named. One of them given twice is
// refused: which of the two counts differs from reader to reader, and one in between may have
// approved the other.
func decodeObject(data []byte, names ...string) (object, error) {
	decoder := json.NewDecoder(bytes.NewReader(data))
	if _, err := decoder.Token(); err != nil { // the brace
		return nil, err
	}
	fields := make(object, len(names))
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		name, _ := token.(string)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, err
		}
		if _, twice := fields[name]; twice {
			return nil, webhook.Errorf(webhook.KindInvalid, "The field %q must not be given twice.", name)
		}
		if slices.Contains(names, name) {
			fields[name] = value
		}
	}
	return fields, nil
}

// isObject tells an object from all other valid JSON values.
func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }

// isNull reports whether a field is absent or null, which is the same everywhere.
func isNull(value json.RawMessage) bool { return len(value) == 0 || value[0] == 'n' }

// decodeText gives a JSON string's text, or false for every other value.
func decodeText(value json.RawMessage) (text string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	return text, json.Unmarshal(value, &text) == nil
}

// hasLoneSurrogate looks through valid JSON for an escaped half of a surrogate pair without its
// other half. A backslash stands nowhere but in strings.
func hasLoneSurrogate(data []byte) bool {
	for {
		start := bytes.IndexByte(data, '\\')
		if start < 0 {
			return false
		}
		data = data[start:]
		unit, ok := escapedUnit(data)
		switch {
		case !ok:
			data = data[2:]
			continue
		case !utf16.IsSurrogate(unit):
			data = data[6:]
			continue
		}
		other, _ := escapedUnit(data[6:])
		if utf16.DecodeRune(unit, other) == utf8.RuneError {
			return true
		}
		data = data[12:]
	}
}

// escapedUnit reads the UTF-16 unit of a \u escape at the beginning of data.
func escapedUnit(data []byte) (unit rune, ok bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	return rune(n), err == nil
}
