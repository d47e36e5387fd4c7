// Package access decides who calls and what they may do: API keys, their permissions, and the
// authentication of requests.
package access

import (
	"fmt"
	"slices"
	"strings"
)

// Permission is what an API key may do, in the words of the API.
type Permission string

// The permissions there are, as docs/api.md names them.
const (
	WebhooksRead  Permission = "webhooks:read"  // list and get webhooks, list event types
	WebhooksWrite Permission = "webhooks:write" // create and delete webhooks
)

// Permissions gives all of them.
func Permissions() []Permission { return []Permission{WebhooksRead, WebhooksWrite} }

// ParsePermissions reads permission names, collapses duplicates and refuses names that there are
// not, and an empty list.
func ParsePermissions(names []string) ([]Permission, error) {
	var parsed []Permission
	for _, name := range names {
		p := Permission(strings.TrimSpace(name))
		if !slices.Contains(Permissions(), p) {
			return nil, fmt.Errorf("unknown permission %q: there are %s and %s", name, WebhooksRead, WebhooksWrite)
		}
		if !slices.Contains(parsed, p) {
			parsed = append(parsed, p)
		}
	}
	if len(parsed) == 0 {
		return nil, fmt.Errorf("no permission given: there are %s and %s", WebhooksRead, WebhooksWrite)
	}
	return parsed, nil
}
