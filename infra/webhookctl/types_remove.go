package main

import (
	"context"
	"fmt"

	"webhooks/shared/webhook"
)

// typesRemoveCmd is "webhookctl types remove".
type typesRemoveCmd struct {
	Name    string `arg:"" help:"Name of the event type."`
	Company string `env:"WEBHOOKS_COMPANY" placeholder:"C" help:"The company whose own type it is. Without it, one that every company may use."`
}

// Help is the end of "webhookctl types remove --help".
func (*typesRemoveCmd) Help() string {
	return `From then on no webhook can newly subscribe to the type, and no list shows it. Webhooks that have it keep it.

Examples:

    webhookctl types remove RecurringPayments.charge.failed
    webhookctl types remove Beta.invoice.drafted --company acme`
}

// Run removes the type.
func (cmd *typesRemoveCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := validateType(cmd.Name, cmd.Company); err != nil {
		return err
	}
	return storage.withStore(ctx, c, existing, func(ctx context.Context, s *opened) error {
		err := s.RemoveEventType(ctx, cmd.Company, cmd.Name)
		if webhook.KindOf(err) == webhook.KindNotFound {
			return cmd.notFound(s.place)
		}
		if err != nil {
			return storeError(err)
		}
		_, err = fmt.Fprintf(c.out, "%s is no longer available to %s. Webhooks that have it keep it.\n", cmd.Name, whose(cmd.Company))
		return err
	})
}

func (cmd *typesRemoveCmd) notFound(place string) error {
	if cmd.Company == "" {
		return fmt.Errorf("there is no event type %s that every company has in %s (for one company's: --company): see \"webhookctl types list\"", cmd.Name, place)
	}
	return fmt.Errorf("there is no event type %s of company %s alone in %s: see \"webhookctl types list --company %s\"", cmd.Name, cmd.Company, place, cmd.Company)
}
