package transfer

import (
	"slices"
	"strings"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// differing gives the names of what is not the same.
func differing(same map[string]bool) []string {
	var names []string
	for name, isSame := range same {
		if !isSame {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func typeDifferences(a, b webhook.EventType) []string {
	return differing(map[string]bool{
		"description":     a.Description == b.Description,
		"time of adding":  a.AddedAt.Equal(b.AddedAt),
		"state (removed)": a.Hidden == b.Hidden,
	})
}

func keyDifferences(a, b access.Key) []string {
	return differing(map[string]bool{
		"id":             a.ID == b.ID,
		"hash":           a.Hash == b.Hash,
		"company":        a.Company == b.Company,
		"permissions":    slices.Equal(a.Permissions, b.Permissions),
		"time of making": a.CreatedAt.Equal(b.CreatedAt),
		"expiry":         a.ExpiresAt.Equal(b.ExpiresAt),
		"revocation":     a.RevokedAt.Equal(b.RevokedAt),
	})
}

// webhookDifferences does not look at the tokens.
func webhookDifferences(a, b webhook.Webhook) []string {
	return differing(map[string]bool{
		"name":           a.Name == b.Name,
		"description":    a.Description == b.Description,
		"URL":            a.URL == b.URL,
		"events":         slices.Equal(a.Events, b.Events),
		"version":        a.Version == b.Version,
		"time of making": a.CreatedAt.Equal(b.CreatedAt),
	})
}

// inWords puts names into a sentence.
func inWords(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
