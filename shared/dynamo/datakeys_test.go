package dynamo

import (
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
	var want []string
	for number := range 12 { // more than one digit, because the order must be numeric
		want = append(want, fmt.Sprintf("\x00\xffkey %d", number))
		if err := s.AddDataKey(t.Context(), number, []byte(want[number])); err != nil {
			t.Fatalf("AddDataKey(%d): %v", number, err)
		}
	}
	if err := s.AddDataKey(t.Context(), 3, []byte("another")); webhook.KindOf(err) != webhook.KindConflict {
		t.Errorf("AddDataKey with a taken number: got error %v, want KindConflict", err)
	}
	keys, err := s.DataKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, k := range keys {
		got = append(got, string(k))
	}
	if !slices.Equal(got, want) {
		t.Errorf("DataKeys = %q, want %q", got, want)
	}
}
