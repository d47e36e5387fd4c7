package main

import (
	"context"
	"errors"
	"fmt"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// keysRevokeCmd is "webhookctl keys revoke".
type keysRevokeCmd struct {
	KeyID string `arg:"" name:"key-id" help:"Id of the key, as \"keys list\" shows it: key_… (not the key itself)."`
}

// Help is the end of "webhookctl keys revoke --help".
func (*keysRevokeCmd) Help() string {
	return `A revoked key cannot be used again. Running services notice within 60 seconds.

Example:

    webhookctl keys revoke key_acme_01JZ0000000000000000000000`
}

// Run revokes the key.
func (cmd *keysRevokeCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	company, ok := access.KeyCompany(cmd.KeyID)
	if !ok {
		return errors.New("that is no key id: those begin with key_, and \"webhookctl keys list --company C\" shows them")
	}
	return storage.withStore(ctx, c, existing, func(ctx context.Context, s *opened) error {
		err := s.RevokeKey(ctx, cmd.KeyID, c.present())
		if webhook.KindOf(err) == webhook.KindNotFound {
			return fmt.Errorf("there is no key %s in %s: see \"webhookctl keys list --company %s\"", cmd.KeyID, s.place, company)
		}
		if err != nil {
			return storeError(err)
		}
		_, err = fmt.Fprintf(c.out, "Key %s is revoked. Running services refuse it within %.0f seconds.\n",
			cmd.KeyID, access.CacheTTL.Seconds())
		return err
	})
}
