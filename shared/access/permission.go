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
	WebhooksRead  Permission = "webhooks:read"  // list and get webhooks and their deliveries, list event types
	WebhooksWrite Permission = "webhooks:write" // create and delete webhooks, retry deliveries
	EventsRead    Permission = "events:read"    // get events with their data
	EventsWrite   Permission = "events:write"   // publish events
)

// Permissions returns all permissions.
func Permissions() []Permission { return append(companyPermissions(), PlatformPermissions()...) }

// companyPermissions returns the permissions that only a company's key can have.
func companyPermissions() []Permission { return []Permission{WebhooksRead, WebhooksWrite} }

// PlatformPermissions returns the permissions that a platform key can have.
func PlatformPermissions() []Permission { return []Permission{EventsRead, EventsWrite} }

// ParsePermissions parses permission names and removes duplicates. It rejects unknown names and an empty list.
func ParsePermissions(names []string) ([]Permission, error) {
	var parsed []Permission
	choices := strings.Join(PermissionNames(Permissions()), ", ")
	for _, name := range names {
		p := Permission(strings.TrimSpace(name))
		if !slices.Contains(Permissions(), p) {
			return nil, fmt.Errorf("unknown permission %q: use one or more of %s", name, choices)
		}
		if !slices.Contains(parsed, p) {
			parsed = append(parsed, p)
		}
	}
	if len(parsed) == 0 {
		return nil, fmt.Errorf("no permission: use one or more of %s", choices)
	}
	return parsed, nil
}

// PermissionNames returns the names of permissions.
func PermissionNames(permissions []Permission) []string {
	names := make([]string, len(permissions))
	for i, p := range permissions {
		names[i] = string(p)
	}
	return names
}
