package main

import (
	"context"
	"fmt"
	"unicode/utf8"

	"webhooks/shared/webhook"
)

// typesAddCmd is "webhookctl types add".
type typesAddCmd struct {
	Name        string `arg:"" help:"Name of the event type, such as RecurringPayments.charge.paid."`
	Company     string `env:"WEBHOOKS_COMPANY" placeholder:"C" help:"The only company that may use it. Without it, every company may."`
	Description string `env:"WEBHOOKS_DESCRIPTION" placeholder:"TEXT" help:"What the type is, for people."`
}

// Help is the end of "webhookctl types add --help".
func (*typesAddCmd) Help() string {
	return `A type that was removed is shown again, as the newest.

Examples:

    webhookctl types add RecurringPayments.charge.paid
    webhookctl types add Beta.invoice.drafted --company acme --description "An invoice was drafted"`
}

// Run adds the type.
func (cmd *typesAddCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := cmd.validate(); err != nil {
		return err
	}
	return storage.withStore(ctx, c, create, func(ctx context.Context, s *opened) error {
		err := s.AddEventType(ctx, webhook.EventType{
			Name:        cmd.Name,
			Company:     cmd.Company,
			Description: cmd.Description,
			AddedAt:     c.present(),
		})
		if err != nil {
			return storeError(err)
		}
		_, err = fmt.Fprintf(c.out, "%s is available to %s in %s.\n", cmd.Name, whose(cmd.Company), s.place)
		return err
	})
}

func (cmd *typesAddCmd) validate() error {
	if err := validateType(cmd.Name, cmd.Company); err != nil {
		return err
	}
	if !utf8.ValidString(cmd.Description) || utf8.RuneCountInString(cmd.Description) > webhook.MaxDescriptionLength {
		return fmt.Errorf("--description must be UTF-8 text of at most %d characters: shorten it", webhook.MaxDescriptionLength)
	}
	return nil
}

// validateType refuses what can be no type, or no company's; an empty company is every one.
func validateType(name, company string) error {
	if !webhook.ValidEventTypeName(name) {
		return fmt.Errorf("%q is no event type name: use 1 to %d letters, digits and . _ - : /, a letter or digit first", name, webhook.MaxEventLength)
	}
	if company == "" {
		return nil
	}
	return validateCompany(company)
}

func whose(company string) string {
	if company == "" {
		return "every company"
	}
	return "company " + company
}
