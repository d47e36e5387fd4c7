package webhook

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

const ulid = "01JDD9XV8Q4ZJ0T6Q5Y1Q2W3E4"

func TestValidID(t *testing.T) {
	tests := []struct {
		name, id string
		want     bool
	}{
		{"new", NewID(ulid), true},
		{"lower case", "wh_" + strings.ToLower(ulid), false},
		{"no prefix", ulid, false},
		{"another prefix", "key_" + ulid, false},
		{"example of the reference", "wh_001", false},
		{"too long", NewID(ulid) + "0", false},
		{"letter that Crockford base32 omits", NewID("U" + ulid[1:]), false},
		{"multi-byte character", NewID("é" + ulid[2:]), false},
		{"empty", "", false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := ValidID(test.id); got != test.want {
				t.Errorf("ValidID(%q) = %v, want %v", test.id, got, test.want)
			}
		})
	}
}

func TestNewToken(t *testing.T) {
	secret := make([]byte, 32)
	for i := range secret {
		secret[i] = byte(i)
	}
	token, err := NewToken(bytes.NewReader(secret))
	const want = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
	if err != nil || token != want {
		t.Errorf("got %s, error %v; want %s", token, err, want)
	}
	if _, err := NewToken(bytes.NewReader(secret[:31])); err == nil {
		t.Error("a token was generated from 31 bytes")
	}
}

func TestValidCompany(t *testing.T) {
	tests := []struct {
		id   string
		want bool
	}{
		{"a", true},
		{"Acme_Corp-01", true},
		{strings.Repeat("x", 64), true},
		{strings.Repeat("x", 65), false},
		{"", false},
		{"a#b", false},
		{"a b", false},
		{"a\x00", false},
		{"é", false},
	}
	for _, test := range tests {
		if got := ValidCompany(test.id); got != test.want {
			t.Errorf("ValidCompany(%q) = %v, want %v", test.id, got, test.want)
		}
	}
}

func TestValidEventTypeName(t *testing.T) {
	tests := []struct {
		name            string
		valid, storable bool
	}{
		{"RecurringPayments.charge.paid", true, true},
		{"_order.-.v1_2-x", true, true},
		{strings.Repeat("x", 128), true, true},
		{strings.Repeat("x", 129), false, false},
		{"", false, false},
		{".hidden", false, true},
		{"a.", false, true},
		{"a..b", false, true},
		{"a/b", false, true},
		{"a:b", false, true},
		{"a b", false, false},
		{"a#b", false, false},
		{"a\n", false, false},
		{"é", false, false},
	}
	for _, test := range tests {
		if valid, storable := ValidEventTypeName(test.name), StorableEventTypeName(test.name); valid != test.valid || storable != test.storable {
			t.Errorf("%q is valid: %v, storable: %v, want %v, %v", test.name, valid, storable, test.valid, test.storable)
		}
	}
}

func TestAvailableTypes(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 1, 1, 0, minute, 0, 0, time.UTC) }
	platform := []EventType{
		{Name: "b", AddedAt: at(2)},
		{Name: "a", AddedAt: at(3)},
		{Name: "gone", AddedAt: at(1), Hidden: true},
		{Name: "granted", AddedAt: at(1), Hidden: true},
		{Name: "z", AddedAt: at(3)},
	}
	company := []EventType{
		{Name: "b", Company: "acme", AddedAt: at(0)},
		{Name: "granted", Company: "acme", AddedAt: at(9)},
		{Name: "own", Company: "acme", AddedAt: at(8)},
	}
	before := slices.Clone(platform)
	var got []string
	for _, eventType := range AvailableTypes(platform, company) {
		got = append(got, eventType.Name)
	}
	if want := []string{"b", "a", "z", "own", "granted"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if !slices.Equal(platform, before) {
		t.Error("the caller's slice was modified")
	}
	if got := AvailableTypes(nil, nil); got == nil || len(got) != 0 {
		t.Errorf("without types: %#v, want an empty slice", got)
	}
}

func TestPage(t *testing.T) {
	tests := []struct {
		page       Page
		count      int
		wantOffset int64
		wantLast   int
	}{
		{Page{Size: 100, Number: 1}, 0, 0, 1},
		{Page{Size: 100, Number: 1}, 100, 0, 1},
		{Page{Size: 100, Number: 2}, 101, 100, 2},
		{Page{Size: 1, Number: 3}, 3, 2, 3},
		{Page{Size: 100, Number: 2147483647}, 5, 214748364600, 1},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%+v of %d", test.page, test.count), func(t *testing.T) {
			if got := test.page.Offset(); got != test.wantOffset {
				t.Errorf("offset %d, want %d", got, test.wantOffset)
			}
			if got := test.page.Last(test.count); got != test.wantLast {
				t.Errorf("last page %d, want %d", got, test.wantLast)
			}
		})
	}
}

func TestErrorKindAndCause(t *testing.T) {
	cause := errors.New("connection reset")
	wrapped := fmt.Errorf("storing: %w", Unavailable(cause))
	if got := KindOf(wrapped); got != KindUnavailable {
		t.Errorf("kind %v, want %v", got, KindUnavailable)
	}
	if !errors.Is(wrapped, cause) {
		t.Error("the cause is not wrapped")
	}
	for _, err := range []error{nil, cause} {
		if got := KindOf(err); got != KindInternal {
			t.Errorf("KindOf(%v) = %v, want %v", err, got, KindInternal)
		}
	}
	if got, want := QuotaReached(1000).Error(), "The company already has the maximum of 1000 webhooks. Delete one first."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestIdempotencyKeysOfOperationsDiffer(t *testing.T) {
	if NewIdempotencyKey("create", "x") == NewIdempotencyKey("creat", "ex") {
		t.Error("operation and key are joined ambiguously")
	}
}
