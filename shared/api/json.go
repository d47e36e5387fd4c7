package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"webhooks/shared/webhook"
)

// object has the requested fields of a JSON object, not decoded yet. They are slices of the original text, so large values are not
// copied. Names are case-sensitive.
type object map[string]json.RawMessage

// decodeBody reads a request body, which must be a single JSON object, and returns its fields with
// the given names. Other fields are ignored, but none may contain invalid UTF-8 or an unpaired
// surrogate, which a decoder would silently replace.
func decodeBody(contentEncoding string, body []byte, names ...string) (object, error) {
	switch {
	case isCompressed(contentEncoding, body):
		return nil, webhook.Errorf(webhook.KindInvalid, "The request body must not be compressed.")
	case bytes.HasPrefix(body, []byte("\ufeff")):
		return nil, webhook.Errorf(webhook.KindInvalid, "The request body must not begin with a byte order mark.")
	case !utf8.Valid(body):
		return nil, webhook.Errorf(webhook.KindInvalid, "The request body must be valid UTF-8.")
	case !isObject(bytes.TrimLeft(body, " \t\r\n")):
		return nil, webhook.Errorf(webhook.KindInvalid, "The request body must be a single JSON object.")
	}
	if err := checkSyntax(body); err != nil {
		return nil, err
	}
	if hasLoneSurrogate(body) {
		return nil, webhook.Errorf(webhook.KindInvalid, "The request body must not contain an unpaired surrogate.")
	}
	return decodeObject(body, names...)
}

// isCompressed reports whether a body has the first bytes of gzip, or has a Content-Encoding and is not JSON.
func isCompressed(contentEncoding string, body []byte) bool {
	named := slices.Contains([]string{"gzip", "deflate", "br", "zstd"}, strings.ToLower(contentEncoding))
	return bytes.HasPrefix(body, []byte("\x1f\x8b")) || named && !json.Valid(body)
}

// checkSyntax returns an error with the position and the reason if data is not valid JSON. The position is that of the last
// character read, which the reason does not quote.
func checkSyntax(data []byte) error {
	if json.Valid(data) { // several times faster than finding out what is wrong
		return nil
	}
	var value json.RawMessage
	invalid, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(data, &value))
	if !ok {
		return nil
	}
	before := data[:max(0, invalid.Offset-1)]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	reason := invalid.Error()
	if after, ok := strings.CutPrefix(reason, "invalid character "); ok {
		quoted, _ := strconv.QuotedPrefix(after)
		expected := strings.NewReplacer( // the original words need the character
			"looking for beginning of value", "where a value is expected",
			"looking for beginning of object key string", "where a field name in double quotes is expected")
		reason = "invalid character" + expected.Replace(after[len(quoted):])
	}
	return webhook.Errorf(webhook.KindInvalid, "The request body is not valid JSON: line %d, column %d: %s.", line, column, reason)
}

// decodeObject returns the fields of a valid JSON object with the given names. It rejects a field that
// appears more than once: JSON parsers disagree about which value counts, so a proxy may have
// approved a different value.
func decodeObject(data []byte, names ...string) (object, error) {
	fields := make(object, len(names))
	for rest := inside(data); len(rest) > 0; {
		var quoted, value []byte
		quoted, rest = nextValue(rest)
		value, rest = nextValue(rest)
		name, _ := decodeText(quoted)
		if _, twice := fields[name]; twice {
			return nil, webhook.Errorf(webhook.KindInvalid, "The field %q appears more than once.", name)
		}
		if slices.Contains(names, name) {
			fields[name] = value
		}
	}
	return fields, nil
}

// decodeArray returns the elements of a valid JSON array, at most limit of them. For any other value, ok is false.
func decodeArray(data []byte, limit int) (elements []json.RawMessage, ok bool) {
	if len(data) == 0 || data[0] != '[' {
		return nil, false
	}
	for rest := inside(data); len(rest) > 0 && len(elements) < limit; {
		var element []byte
		element, rest = nextValue(rest)
		elements = append(elements, element)
	}
	return elements, true
}

// jsonSeparators are the characters between the values of an object or array.
const jsonSeparators = " \t\r\n,:"

// inside returns what is between the brackets of a valid JSON object or array.
func inside(data []byte) []byte {
	data = bytes.Trim(data, jsonSeparators)
	return bytes.Trim(data[1:len(data)-1], jsonSeparators)
}

// nextValue cuts the first value off the inside of a valid JSON array, or of an object, whose names count as values.
func nextValue(data []byte) (value, rest []byte) {
	end := valueLength(data)
	return data[:end], bytes.TrimLeft(data[end:], jsonSeparators)
}

// valueLength returns the length of the JSON value that data begins with.
func valueLength(data []byte) int {
	if data[0] != '"' && data[0] != '{' && data[0] != '[' {
		if end := bytes.IndexAny(data, jsonSeparators); end >= 0 {
			return end
		}
		return len(data)
	}
	end, depth := 0, 0
	for {
		switch data[end] {
		case '"':
			end += stringLength(data[end:]) - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if end++; depth == 0 {
			return end
		}
	}
}

// stringLength returns the length of the JSON string that data begins with.
func stringLength(data []byte) int {
	end := 1
	for data[end] != '"' {
		if data[end] == '\\' {
			end++
		}
		end++
	}
	return end + 1
}

// isObject reports whether a valid JSON value is an object.
func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }

// isNull reports whether a field is absent or null; the two mean the same.
func isNull(value json.RawMessage) bool { return len(value) == 0 || value[0] == 'n' }

// decodeText returns the text of a JSON string. For any other value, ok is false.
func decodeText(value json.RawMessage) (text string, ok bool) {
	if len(value) == 0 || value[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), true
	}
	return text, json.Unmarshal(value, &text) == nil
}

// hasLoneSurrogate reports whether valid JSON contains an escaped surrogate that is not part of a pair.
// In valid JSON, backslashes occur only in strings.
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
		case !utf16.IsSurrogate(unit):
			data = data[6:]
		default:
			other, _ := escapedUnit(data[6:])
			if utf16.DecodeRune(unit, other) == utf8.RuneError {
				return true
			}
			data = data[12:]
		}
	}
}

// escapedUnit returns the UTF-16 unit of the \u escape that data begins with.
func escapedUnit(data []byte) (unit rune, ok bool) {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	return rune(n), err == nil
}
