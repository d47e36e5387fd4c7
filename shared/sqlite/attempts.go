package sqlite

import (
	"encoding/binary"
	"errors"
	"time"

	"webhooks/shared/webhook"
)

// The attempts of a delivery are stored as one value: their number; for each attempt the time, duration, status code, error, bytes
// and URL, which is empty if it is the same as in the previous attempt; and the response to the last one. Numbers are unsigned
// varints, and texts follow their length. The attempts' own numbers are derived from how many were made.

// errAttempts is the error for a value that encodeAttempts did not write.
var errAttempts = errors.New("the attempts of a delivery are damaged")

// encodeAttempts returns the value for attempts, of which there is at least one.
func encodeAttempts(attempts []webhook.Attempt) []byte {
	last := len(attempts) - 1
	value := make([]byte, 0, 32*len(attempts)+len(attempts[0].URL)+len(attempts[last].Response))
	value = binary.AppendUvarint(value, uint64(len(attempts)))
	previous := ""
	for _, a := range attempts {
		value = binary.AppendUvarint(value, uint64(a.At.UnixMilli()))
		value = binary.AppendUvarint(value, uint64(a.Duration))
		value = binary.AppendUvarint(value, uint64(a.StatusCode))
		value = appendText(value, string(a.Error))
		value = binary.AppendUvarint(value, uint64(a.Bytes))
		if a.URL == previous {
			value = appendText(value, "")
		} else {
			value = appendText(value, a.URL)
		}
		previous = a.URL
	}
	return append(value, attempts[last].Response...)
}

func appendText(value []byte, text string) []byte {
	return append(binary.AppendUvarint(value, uint64(len(text))), text...)
}

// decodeAttempts returns the attempts in a value. The last one has the number made. If there are none, the value is nil.
func decodeAttempts(value []byte, made int) ([]webhook.Attempt, error) {
	if value == nil {
		return nil, nil
	}
	r := attemptReader{rest: value}
	n := int(min(r.number(), webhook.MaxAttempts))
	attempts := make([]webhook.Attempt, n)
	previous := ""
	for i := range attempts {
		a := &attempts[i]
		a.Number = made - n + 1 + i
		a.At = time.UnixMilli(int64(r.number())).UTC()
		a.Duration = time.Duration(r.number())
		a.StatusCode = int(r.number())
		a.Error = webhook.ErrorClass(r.text())
		a.Bytes = int(r.number())
		if a.URL = r.text(); a.URL == "" {
			a.URL = previous
		}
		previous = a.URL
	}
	if r.damaged || n == 0 {
		return nil, errAttempts
	}
	attempts[n-1].Response = string(r.rest)
	return attempts, nil
}

// attemptReader reads numbers and texts from the beginning of a value.
type attemptReader struct {
	rest    []byte
	damaged bool
}

func (r *attemptReader) number() uint64 {
	number, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.damaged, r.rest = true, nil
		return 0
	}
	r.rest = r.rest[size:]
	return number
}

func (r *attemptReader) text() string {
	size := r.number()
	if size > uint64(len(r.rest)) {
		r.damaged, r.rest = true, nil
		return ""
	}
	text := string(r.rest[:size])
	r.rest = r.rest[size:]
	return text
}
