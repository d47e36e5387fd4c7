package dynamo

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"webhooks/shared/webhook"
)

func TestDataKeys(t *testing.T) {
	s := newStore(t)
	if keys, err := s.DataKeys(t.Context()); len(keys) != 0 || err != nil {
		t.Fatalf("DataKeys of a new table = %q, %v, want none", keys, err)
	}
	var want [][]byte
	for number := range 12 { // more than one digit, because the order must be numeric
		want = append(want, fmt.Appendf(nil, "\x00\xffkey %d", number))
		if err := s.AddDataKey(t.Context(), number, want[number]); err != nil {
			t.Fatalf("AddDataKey(%d): %v", number, err)
		}
	}
	if err := s.AddDataKey(t.Context(), 3, []byte("another")); webhook.KindOf(err) != webhook.KindConflict {
		t.Errorf("AddDataKey with a taken number: got error %v, want KindConflict", err)
	}
	if got, err := s.DataKeys(t.Context()); err != nil || !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("DataKeys = %q, %v, want %q", got, err, want)
	}
}
