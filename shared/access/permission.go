// Package access authenticates and authorizes requests: API keys and their permissions.
package access

import (
	"fmt"
	"slices"
	"strings"
)

// Permission is a permission of an API key, by its name in the API.
type Permission string

// All permissions.
const (
	WebhooksRead  Permission = "webhooks:read"  // list and get webhooks, list event types
	WebhooksWrite Permission = "webhooks:write" // create and delete webhooks
)

// Permissions returns all permissions.
func Permissions() []Permission { return []Permission{WebhooksRead, WebhooksWrite} }

// ParsePermissions parses permission names and removes duplicates. It rejects unknown names and an empty list.
func ParsePermissions(names []string) ([]Permission, error) {
	var parsed []Permission
	for _, name := range names {
		p := Permission(strings.TrimSpace(name))
		if !slices.Contains(Permissions(), p) {
			return nil, fmt.Errorf("unknown permission %q: use %s", name, choices())
		}
		if !slices.Contains(parsed, p) {
			parsed = append(parsed, p)
		}
	}
	if len(parsed) == 0 {
		return nil, fmt.Errorf("no permission: use %s", choices())
	}
	return parsed, nil
}

// choices lists all permissions, for messages.
func choices() string {
	var names []string
	for _, p := range Permissions() {
		names = append(names, string(p))
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
