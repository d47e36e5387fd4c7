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

// The fields of JSON documents are documented in the help of each command. Scripts depend on them.

type keyJSON struct {
	ID          string              `json:"id"`
	Company     string              `json:"company"`
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
		ID: k.ID, Company: k.Company, Label: k.Label, Permissions: k.Permissions, CreatedAt: k.CreatedAt.UTC(),
		ExpiresAt: orNull(k.ExpiresAt), RevokedAt: orNull(k.RevokedAt), Status: keyStatus(k, now),
	}
	if !k.LastUsedOn.IsZero() {
		document.LastUsedOn = new(lastUse(k))
	}
	return document
}

// orNull returns nil for a zero time.
func orNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func keysJSON(keys []access.Key, now time.Time) any {
	list := make([]keyJSON, len(keys))
	for i, k := range keys {
		list[i] = newKeyJSON(k, now)
	}
	return map[string]any{"keys": list}
}

type typeJSON struct {
	Name        string    `json:"name"`
	Company     *string   `json:"company"`
	Description string    `json:"description"`
	AddedAt     time.Time `json:"added_at"`
}

func typesJSON(types []webhook.EventType) any {
	list := make([]typeJSON, len(types))
	for i, t := range types {
		list[i] = typeJSON{Name: t.Name, Description: t.Description, AddedAt: t.AddedAt.UTC()}
		if t.Company != "" {
			list[i].Company = &t.Company
		}
	}
	return map[string]any{"types": list}
}

type companyJSON struct {
	Company    string `json:"company"`
	Webhooks   int    `json:"webhooks"`
	APIKeys    int    `json:"api_keys"`
	EventTypes int    `json:"event_types"`
}

func companiesJSON(companies []webhook.CompanyItems) any {
	list := make([]companyJSON, len(companies))
	for i, c := range companies {
		list[i] = companyJSON(c)
	}
	return map[string]any{"companies": list}
}
