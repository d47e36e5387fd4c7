package main

import (
	"encoding/json"
	"io"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// listFormat is the flag of commands whose result is also available as JSON. It has no environment variable, because the
// formats of a script's commands belong in the script.
type listFormat struct {
	Output string `default:"text" enum:"text,json" help:"Output format: text for people, or json, one document with stable field names."`
}

func (f listFormat) json() bool { return f.Output == "json" }

// writeJSON writes a JSON document on one line.
func writeJSON(out io.Writer, document any) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder.Encode(document)
}

// writeJSONList writes a JSON document with one field, a list of items.
func writeJSONList[Item, JSON any](out io.Writer, field string, items []Item, toJSON func(Item) JSON) error {
	list := make([]JSON, len(items)) // not nil, which would be null
	for i, item := range items {
		list[i] = toJSON(item)
	}
	return writeJSON(out, map[string][]JSON{field: list})
}

// The fields of JSON documents are documented in the help of each command. Scripts depend on them.

type keyJSON struct {
	ID          string              `json:"id"`
	Company     *string             `json:"company"` // nil for the platform
	Label       string              `json:"label"`
	Permissions []access.Permission `json:"permissions"`
	CreatedAt   time.Time           `json:"created_at"`
	ExpiresAt   *time.Time          `json:"expires_at"`
	RevokedAt   *time.Time          `json:"revoked_at"`
	LastUsedOn  *string             `json:"last_used_on"` // a day
	Status      string              `json:"status"`
	APIKey      string              `json:"api_key,omitempty"` // the secret, only when it is created
}

func newKeyJSON(k access.Key, now time.Time) keyJSON {
	document := keyJSON{
		ID: k.ID, Company: orNull(k.Company), Label: k.Label, Permissions: k.Permissions, CreatedAt: k.CreatedAt.UTC(),
		ExpiresAt: orNull(k.ExpiresAt.UTC()), RevokedAt: orNull(k.RevokedAt.UTC()), Status: keyStatus(k, now),
	}
	if !k.LastUsedOn.IsZero() {
		document.LastUsedOn = new(k.LastUsedOn.UTC().Format(time.DateOnly))
	}
	return document
}

// orNull returns nil, which JSON shows as null, for a zero value.
func orNull[T comparable](value T) *T {
	var zero T
	if value == zero {
		return nil
	}
	return &value
}

type typeJSON struct {
	Name        string    `json:"name"`
	Company     *string   `json:"company"`
	Description string    `json:"description"`
	AddedAt     time.Time `json:"added_at"`
}

func newTypeJSON(t webhook.EventType) typeJSON {
	return typeJSON{Name: t.Name, Company: orNull(t.Company), Description: t.Description, AddedAt: t.AddedAt.UTC()}
}

type companyJSON struct {
	Company    string `json:"company"`
	Webhooks   int    `json:"webhooks"`
	APIKeys    int    `json:"api_keys"`
	EventTypes int    `json:"event_types"`
}

func newCompanyJSON(c webhook.CompanyItems) companyJSON { return companyJSON(c) }
