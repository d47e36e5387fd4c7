package delivery

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Body returns what receivers get for an event: {"type":…,"timestamp":…,"data":…}. data, a JSON value, stays as it was sent
// except for white space between tokens. The timestamp is in UTC with milliseconds.
func Body(eventType string, timestamp time.Time, data []byte) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString(`{"type":`)
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(eventType); err != nil {
		return nil, fmt.Errorf("encoding an event type: %w", err)
	}
	b.Truncate(b.Len() - 1) // the line break that Encode adds
	b.WriteString(timestamp.UTC().Format(`,"timestamp":"2006-01-02T15:04:05.000Z","data":`))
	if err := json.Compact(&b, data); err != nil {
		return nil, fmt.Errorf("an event's data is not JSON: %w", err)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
