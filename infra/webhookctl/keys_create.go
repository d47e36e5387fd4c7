package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// keysCreateCmd is "webhookctl keys create".
type keysCreateCmd struct {
	Company     string    `required:"" env:"WEBHOOKS_COMPANY" placeholder:"C" help:"Company whose webhooks the key reaches: 1 to 64 letters, digits, _ and -."`
	Permissions []string  `required:"" env:"WEBHOOKS_PERMISSIONS" placeholder:"P" help:"What the key may do: webhooks:read, webhooks:write or both."`
	Expires     *lifetime `env:"WEBHOOKS_EXPIRES" placeholder:"720h" help:"How long the key works, such as 720h for 30 days. Without it, until it is revoked."`
}

// Help is the end of "webhookctl keys create --help".
func (*keysCreateCmd) Help() string {
	return `The key is all that is written to stdout, and this is the only time that it is shown: no more than its SHA-256 is stored. Notes go to stderr.

Examples:

    webhookctl keys create --company acme --permissions webhooks:read,webhooks:write
    KEY=$(webhookctl keys create --company acme --permissions webhooks:read --expires 720h)`
}

// Run makes a key and prints it.
func (cmd *keysCreateCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	key, secret, err := cmd.newKey(c)
	if err != nil {
		return err
	}
	return storage.withStore(ctx, c, create, func(ctx context.Context, s *opened) error {
		if err := s.CreateKey(ctx, key); err != nil {
			return storeError(err)
		}
		fmt.Fprintf(c.err, "Key %s of company %s in %s: %s; %s.\nThis is the only time that the key itself is shown:\n",
			key.ID, key.Company, s.place, joinPermissions(key.Permissions), untilWhen(key))
		if _, err := fmt.Fprintln(c.out, secret); err != nil {
			return fmt.Errorf("the key is stored but could not be printed, revoke %s: %w", key.ID, err)
		}
		return nil
	})
}

// newKey checks the flags and makes what they ask for.
func (cmd *keysCreateCmd) newKey(c *console) (key access.Key, secret string, err error) {
	if err := validateCompany(cmd.Company); err != nil {
		return access.Key{}, "", err
	}
	permissions, err := access.ParsePermissions(cmd.Permissions)
	if err != nil {
		return access.Key{}, "", fmt.Errorf("--permissions: %w", err)
	}
	secret, err = access.NewSecret(c.random)
	if err != nil {
		return access.Key{}, "", err
	}
	hash, err := access.HashSecret(secret)
	if err != nil {
		return access.Key{}, "", err
	}
	now := c.present()
	id, err := ulid.New(ulid.Timestamp(now), c.random)
	if err != nil {
		return access.Key{}, "", err
	}
	key = access.Key{
		ID:          access.NewKeyID(cmd.Company, id.String()),
		Company:     cmd.Company,
		Permissions: permissions,
		Hash:        hash,
		CreatedAt:   now,
	}
	if cmd.Expires != nil {
		key.ExpiresAt = now.Add(time.Duration(*cmd.Expires)).Truncate(time.Millisecond)
	}
	return key, secret, nil
}

func validateCompany(company string) error {
	if !webhook.ValidCompany(company) {
		return fmt.Errorf("--company %q is no company id: use 1 to %d letters, digits, _ and -", company, webhook.MaxCompanyLength)
	}
	return nil
}

func joinPermissions(permissions []access.Permission) string {
	names := make([]string, len(permissions))
	for i, p := range permissions {
		names[i] = string(p)
	}
	return strings.Join(names, ",")
}

func untilWhen(key access.Key) string {
	if key.ExpiresAt.IsZero() {
		return "never expires"
	}
	return "expires " + key.ExpiresAt.Format(time.RFC3339)
}
