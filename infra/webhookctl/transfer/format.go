package transfer

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// The format in the header. A change that an older program would not understand raises the version.
const (
	formatName       = "webhooks-export"
	formatVersion    = 3
	oldestReadFormat = 2 // without the labels and last uses of API keys
)

// The kinds of lines.
const (
	kindHeader    = "header"
	kindEventType = "event_type"
	kindAPIKey    = "api_key"
	kindWebhook   = "webhook"
	kindEnd       = "end"
)

type headerLine struct {
	Kind    string `json:"kind"`
	Format  string `json:"format"`
	Version int    `json:"version"`
	Company string `json:"company"`
	// Following is the number of companies that follow in the same file.
	Following int `json:"following,omitempty"`
}

// The levels of event types.
const (
	levelPlatform = "platform"
	levelCompany  = "company"
)

type eventTypeLine struct {
	Kind        string    `json:"kind"`
	Level       string    `json:"level"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	AddedAt     time.Time `json:"added_at"`
	Hidden      bool      `json:"hidden"`
}

type apiKeyLine struct {
	Kind        string              `json:"kind"`
	ID          string              `json:"id"`
	Label       string              `json:"label,omitempty"`
	Permissions []access.Permission `json:"permissions"`
	Hash        string              `json:"hash"` // SHA-256 in hexadecimal
	CreatedAt   time.Time           `json:"created_at"`
	ExpiresAt   time.Time           `json:"expires_at,omitzero"`
	RevokedAt   time.Time           `json:"revoked_at,omitzero"`
	LastUsedOn  time.Time           `json:"last_used_on,omitzero"`
}

type webhookLine struct {
	Kind        string    `json:"kind"`
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	URL         string    `json:"url"`
	Events      []string  `json:"events"`
	SealedToken []byte    `json:"sealed_token"` // base64
	Version     int64     `json:"version"`
	CreatedAt   time.Time `json:"created_at"`
}

type endLine struct {
	Kind string `json:"kind"`
	Counts
}

// Counts are numbers of items by kind.
type Counts struct {
	EventTypes int `json:"event_types"`
	APIKeys    int `json:"api_keys"`
	Webhooks   int `json:"webhooks"`
}

// String returns the counts in words.
func (c Counts) String() string {
	number := func(n int, what string) string {
		if n == 1 {
			return "1 " + what
		}
		return fmt.Sprintf("%d %ss", n, what)
	}
	return fmt.Sprintf("%s, %s and %s", number(c.Webhooks, "webhook"), number(c.EventTypes, "event type"), number(c.APIKeys, "API key"))
}

// Total returns the sum of all kinds.
func (c Counts) Total() int { return c.EventTypes + c.APIKeys + c.Webhooks }

func newEventTypeLine(t webhook.EventType) eventTypeLine {
	level := levelCompany
	if t.Company == "" {
		level = levelPlatform
	}
	return eventTypeLine{
		Kind: kindEventType, Level: level, Name: t.Name, Description: t.Description, AddedAt: t.AddedAt, Hidden: t.Hidden,
	}
}

func newAPIKeyLine(k access.Key) apiKeyLine {
	return apiKeyLine{
		Kind: kindAPIKey, ID: k.ID, Label: k.Label, Permissions: k.Permissions, Hash: hex.EncodeToString(k.Hash[:]),
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt, LastUsedOn: k.LastUsedOn,
	}
}

func newWebhookLine(w webhook.Webhook) webhookLine {
	return webhookLine{
		Kind: kindWebhook, ID: w.ID, Name: w.Name, Description: w.Description, URL: w.URL, Events: w.Events,
		SealedToken: w.SealedToken, Version: w.Version, CreatedAt: w.CreatedAt,
	}
}

// eventType validates the line and returns its event type.
func (l eventTypeLine) eventType(company string) (webhook.EventType, error) {
	if l.Level == levelPlatform {
		company = ""
	} else if l.Level != levelCompany {
		return webhook.EventType{}, fmt.Errorf("level must be %q or %q", levelPlatform, levelCompany)
	}
	// A removed type moves even if its name is one that only an earlier version accepted.
	valid := webhook.ValidEventTypeName(l.Name) || l.Hidden && webhook.StorableEventTypeName(l.Name)
	if !valid {
		return webhook.EventType{}, errors.New("name is not a valid event type name: " + webhook.EventTypeNameRule)
	}
	err := cmp.Or(checkLength("description", l.Description, webhook.MaxDescriptionLength), checkTimes("added_at", l.AddedAt))
	return webhook.EventType{
		Name: l.Name, Company: company, Description: l.Description, AddedAt: l.AddedAt.UTC(), Hidden: l.Hidden,
	}, err
}

// key validates the line and returns its API key.
func (l apiKeyLine) key(company string) (access.Key, error) {
	if owner, ok := access.KeyCompany(l.ID); !ok || owner != company {
		return access.Key{}, errors.New("id is not the ID of an API key of the company")
	}
	if l.Label != "" && !access.ValidLabel(l.Label) {
		return access.Key{}, fmt.Errorf("label must be 1 to %d visible characters long", access.MaxLabelLength)
	}
	permissions, err := access.ParsePermissions(access.PermissionNames(l.Permissions))
	if err != nil {
		return access.Key{}, err
	}
	hash, err := hex.DecodeString(l.Hash)
	if err != nil || len(hash) != len(access.Hash{}) {
		return access.Key{}, errors.New("hash is not a SHA-256 in hexadecimal")
	}
	return access.Key{
		ID: l.ID, Company: company, Label: l.Label, Permissions: permissions, Hash: access.Hash(hash),
		CreatedAt: l.CreatedAt.UTC(), ExpiresAt: l.ExpiresAt.UTC(), RevokedAt: l.RevokedAt.UTC(), LastUsedOn: l.LastUsedOn.UTC(),
	}, checkTimes("created_at", l.CreatedAt, l.ExpiresAt, l.RevokedAt, l.LastUsedOn)
}

// webhook validates the line and returns its webhook. It accepts what stores can keep, and not only what the API accepts
// today: an older version may have accepted more, and the webhook must not be lost.
func (l webhookLine) webhook(company string) (webhook.Webhook, error) {
	if !webhook.ValidID(l.ID) {
		return webhook.Webhook{}, errors.New("id is not a webhook ID")
	}
	if l.Name == "" || l.URL == "" || len(l.SealedToken) == 0 || l.Version < 1 {
		return webhook.Webhook{}, errors.New("name, url, sealed_token and version are required")
	}
	if len(l.Events) == 0 || len(l.Events) > webhook.MaxEvents {
		return webhook.Webhook{}, fmt.Errorf("events must have 1 to %d entries", webhook.MaxEvents)
	}
	for i, event := range l.Events {
		if event == "" || utf8.RuneCountInString(event) > webhook.MaxEventLength || slices.Contains(l.Events[:i], event) {
			return webhook.Webhook{}, fmt.Errorf("events must be unique and have 1 to %d characters", webhook.MaxEventLength)
		}
	}
	return webhook.Webhook{
			ID: l.ID, Company: company, Name: l.Name, Description: l.Description, URL: l.URL, Events: l.Events,
			SealedToken: l.SealedToken, Version: l.Version, CreatedAt: l.CreatedAt.UTC(),
		}, cmp.Or(
			checkLength("name", l.Name, webhook.MaxNameLength),
			checkLength("description", l.Description, webhook.MaxDescriptionLength),
			checkLength("url", l.URL, webhook.MaxURLLength),
			checkTimes("created_at", l.CreatedAt),
		)
}

func checkLength(field, value string, limit int) error {
	if utf8.RuneCountInString(value) > limit {
		return fmt.Errorf("%s must not exceed %d characters", field, limit)
	}
	return nil
}

// checkTimes requires the first time, and all in whole milliseconds, which is what stores keep.
func checkTimes(field string, first time.Time, optional ...time.Time) error {
	if first.IsZero() {
		return fmt.Errorf("%s is required", field)
	}
	for _, t := range append(optional, first) {
		if !t.Equal(t.Truncate(time.Millisecond)) {
			return errors.New("times must be in whole milliseconds")
		}
	}
	return nil
}
