package transfer

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// formatName and formatVersion are in the header. A change that an older program would not
// understand raises the version.
const (
	formatName    = "webhooks-export"
	formatVersion = 1
)

// What a line can be.
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
}

// Who may use an event type.
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
	Permissions []access.Permission `json:"permissions"`
	Hash        string              `json:"hash"` // SHA-256, in hexadecimal
	CreatedAt   time.Time           `json:"created_at"`
	ExpiresAt   time.Time           `json:"expires_at,omitzero"`
	RevokedAt   time.Time           `json:"revoked_at,omitzero"`
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

// Counts says how many there are of each kind.
type Counts struct {
	EventTypes int `json:"event_types"`
	APIKeys    int `json:"api_keys"`
	Webhooks   int `json:"webhooks"`
}

// String gives the counts in words.
func (c Counts) String() string {
	return fmt.Sprintf("%s, %s and %s", number(c.Webhooks, "webhook"), number(c.EventTypes, "event type"), number(c.APIKeys, "API key"))
}

func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Total is all of them.
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
		Kind: kindAPIKey, ID: k.ID, Permissions: k.Permissions, Hash: hex.EncodeToString(k.Hash[:]),
		CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt, RevokedAt: k.RevokedAt,
	}
}

func newWebhookLine(w webhook.Webhook) webhookLine {
	return webhookLine{
		Kind: kindWebhook, ID: w.ID, Name: w.Name, Description: w.Description, URL: w.URL, Events: w.Events,
		SealedToken: w.SealedToken, Version: w.Version, CreatedAt: w.CreatedAt,
	}
}

// eventType gives what the line describes, of a company.
func (l eventTypeLine) eventType(company string) (webhook.EventType, error) {
	switch l.Level {
	case levelPlatform:
		company = ""
	case levelCompany:
	default:
		return webhook.EventType{}, fmt.Errorf("the level must be %q or %q", levelPlatform, levelCompany)
	}
	if !webhook.ValidEventTypeName(l.Name) {
		return webhook.EventType{}, errors.New("the name can be no event type's")
	}
	if err := validTexts(text{"description", l.Description, webhook.MaxDescriptionLength}); err != nil {
		return webhook.EventType{}, err
	}
	if err := validTimes(l.AddedAt); err != nil {
		return webhook.EventType{}, err
	}
	return webhook.EventType{
		Name: l.Name, Company: company, Description: l.Description, AddedAt: l.AddedAt.UTC(), Hidden: l.Hidden,
	}, nil
}

// key gives what the line describes, of a company.
func (l apiKeyLine) key(company string) (access.Key, error) {
	if owner, ok := access.KeyCompany(l.ID); !ok || owner != company {
		return access.Key{}, errors.New("the id is none of an API key of the company")
	}
	names := make([]string, len(l.Permissions))
	for i, p := range l.Permissions {
		names[i] = string(p)
	}
	permissions, err := access.ParsePermissions(names)
	if err != nil {
		return access.Key{}, err
	}
	hash, err := hex.DecodeString(l.Hash)
	if err != nil || len(hash) != len(access.Hash{}) {
		return access.Key{}, errors.New("the hash is no SHA-256 in hexadecimal")
	}
	if err := validTimes(l.CreatedAt, l.ExpiresAt, l.RevokedAt); err != nil {
		return access.Key{}, err
	}
	return access.Key{
		ID: l.ID, Company: company, Permissions: permissions, Hash: access.Hash(hash),
		CreatedAt: l.CreatedAt.UTC(), ExpiresAt: l.ExpiresAt.UTC(), RevokedAt: l.RevokedAt.UTC(),
	}, nil
}

// webhook gives what the line describes, of a company. What a customer may send today is not asked:
// an older version may have allowed more, and a webhook must not be lost for it.
func (l webhookLine) webhook(company string) (webhook.Webhook, error) {
	if !webhook.ValidID(l.ID) {
		return webhook.Webhook{}, errors.New("the id is none of a webhook")
	}
	if err := validEvents(l.Events); err != nil {
		return webhook.Webhook{}, err
	}
	if l.Name == "" || l.URL == "" || len(l.SealedToken) == 0 || l.Version < 1 {
		return webhook.Webhook{}, errors.New("name, url, sealed_token and version must be there")
	}
	err := validTexts(
		text{"name", l.Name, webhook.MaxNameLength},
		text{"description", l.Description, webhook.MaxDescriptionLength},
		text{"url", l.URL, webhook.MaxURLLength},
	)
	if err != nil {
		return webhook.Webhook{}, err
	}
	if err := validTimes(l.CreatedAt); err != nil {
		return webhook.Webhook{}, err
	}
	return webhook.Webhook{
		ID: l.ID, Company: company, Name: l.Name, Description: l.Description, URL: l.URL, Events: l.Events,
		SealedToken: l.SealedToken, Version: l.Version, CreatedAt: l.CreatedAt.UTC(),
	}, nil
}

// newEncoder writes lines as they are meant to be read by people too.
func newEncoder(out io.Writer) *json.Encoder {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	return encoder
}
