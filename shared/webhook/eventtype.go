package webhook

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// EventType is a kind of event that webhooks subscribe to, such as RecurringPayments.charge.paid.
type EventType struct {
	// Name is what webhooks and events name it by, see [ValidEventTypeName].
	Name string
	// Company is the only company that may use the type, or empty for a platform-wide one.
	Company string
	// Description is free text for people, of at most [MaxDescriptionLength] code points.
	Description string
	// AddedAt is when it was added, UTC; types are listed in this order.
	AddedAt time.Time
	// Hidden types were removed: no webhook can newly subscribe to one and no list shows it, but
	// webhooks that have it keep it. Adding the type again shows it again, as the newest.
	Hidden bool
}

// ValidEventTypeName reports whether name can name an event type: 1 to 128 ASCII letters, digits
// and ". _ - : /", the first one a letter or a digit.
func ValidEventTypeName(name string) bool {
	if name == "" || len(name) > MaxEventLength || !isAlphanumeric(name[0]) {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isAlphanumeric(c) && !strings.ContainsRune("._-:/", rune(c)) {
			return false
		}
	}
	return true
}

// AvailableTypes puts the types that a company may subscribe to in the order of the contract: the
// platform-wide ones, then those of the company alone, each by the time they were added (then by
// name). Hidden ones are left out, and a name that is in both stands where the platform has it.
func AvailableTypes(platform, company []EventType) []EventType {
	available := make([]EventType, 0, len(platform)+len(company))
	seen := make(map[string]bool, cap(available))
	for _, types := range [][]EventType{platform, company} {
		for _, t := range TypesByAge(types) {
			if !t.Hidden && !seen[t.Name] {
				seen[t.Name] = true
				available = append(available, t)
			}
		}
	}
	return available
}

// TypesByAge gives types in the order of the time they were added, then by name.
func TypesByAge(types []EventType) []EventType {
	return slices.SortedFunc(slices.Values(types), func(a, b EventType) int {
		return cmp.Or(a.AddedAt.Compare(b.AddedAt), strings.Compare(a.Name, b.Name))
	})
}
