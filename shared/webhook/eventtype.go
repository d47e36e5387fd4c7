package webhook

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// EventType is a type of event that webhooks can subscribe to, for example RecurringPayments.charge.paid.
type EventType struct {
	// Name identifies the type in webhooks and events; see [ValidEventTypeName].
	Name string
	// Company is the only company that can use the type. It is empty for a platform-wide type.
	Company string
	// Description is free text of at most [MaxDescriptionLength] code points.
	Description string
	// AddedAt is when the type was added, in UTC. Types are listed in this order.
	AddedAt time.Time
	// Hidden types have been removed: webhooks can no longer subscribe to them and lists do not show them, but webhooks
	// that are subscribed stay subscribed. Adding the type again makes it visible again, as the newest.
	Hidden bool
}

// EventTypeNameRule says which names [ValidEventTypeName] accepts.
const EventTypeNameRule = "use words of letters, digits, _ and -, joined by single dots, and at most 128 characters"

// ValidEventTypeName reports whether name is a valid name for a new event type: 1 to 128 characters, in segments of A-Z, a-z,
// 0-9, "_" and "-" that are joined by ".".
func ValidEventTypeName(name string) bool {
	return StorableEventTypeName(name) && !strings.ContainsAny(name, ":/") &&
		!slices.Contains(strings.Split(name, "."), "")
}

// StorableEventTypeName reports whether an event type with this name can exist. Earlier versions also accepted ":", "/" and
// dots without a segment between them.
func StorableEventTypeName(name string) bool {
	if name == "" || len(name) > MaxEventLength {
		return false
	}
	for i := range len(name) {
		if c := name[i]; !isAlphanumeric(c) && !strings.ContainsRune("._-:/", rune(c)) {
			return false
		}
	}
	return true
}

// AvailableTypes returns the types that a company can subscribe to in the order of the contract: the platform-wide ones and
// then the company's own, each by the time they were added and then by name. It omits hidden types. A name that exists on
// both levels appears in the platform's position.
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

// TypesByAge returns types ordered by the time they were added, then by name.
func TypesByAge(types []EventType) []EventType {
	return slices.SortedFunc(slices.Values(types), func(a, b EventType) int {
		return cmp.Or(a.AddedAt.Compare(b.AddedAt), strings.Compare(a.Name, b.Name))
	})
}
