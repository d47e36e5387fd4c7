package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf8"

	"webhooks/shared/webhook"
)

// typesAddCmd is "webhookctl types add".
type typesAddCmd struct {
	Name        string  `arg:"" help:"Name of the event type, for example RecurringPayments.charge.paid."`
	Company     *string `env:"WEBHOOKS_COMPANY" placeholder:"C" help:"Company that can use the type. By default, every company can."`
	Description string  `env:"WEBHOOKS_DESCRIPTION" placeholder:"TEXT" help:"What the type means, for people."`
}

// Help is the end of "webhookctl types add --help".
func (*typesAddCmd) Help() string {
	return `Adding a type that was removed lists it again, as the newest one.

Examples:

    webhookctl types add RecurringPayments.charge.paid
    webhookctl types add Beta.invoice.drafted --company acme --description "An invoice was drafted"`
}

// Run adds the type.
func (cmd *typesAddCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if !webhook.ValidEventTypeName(cmd.Name) {
		return fmt.Errorf("%q is not a valid event type name: %s", cmd.Name, webhook.EventTypeNameRule)
	}
	company, err := optionalCompany(cmd.Company)
	if err != nil {
		return err
	}
	if !utf8.ValidString(cmd.Description) || utf8.RuneCountInString(cmd.Description) > webhook.MaxDescriptionLength {
		return fmt.Errorf("--description must be valid UTF-8 and not exceed %d characters", webhook.MaxDescriptionLength)
	}
	return storage.withStore(ctx, c, create, func(ctx context.Context, s *opened) error {
		err := s.AddEventType(ctx, webhook.EventType{
			Name:        cmd.Name,
			Company:     company,
			Description: cmd.Description,
			AddedAt:     c.timestamp(),
		})
		if err != nil {
			return storeError(err)
		}
		_, err = fmt.Fprintf(c.out, "%s is available to %s in %s.\n", cmd.Name, companyOrEvery(company), s.place)
		return err
	})
}

func companyOrEvery(company string) string {
	if company == "" {
		return "every company"
	}
	return "company " + company
}

// typesListCmd is "webhookctl types list".
type typesListCmd struct {
	Company *string `env:"WEBHOOKS_COMPANY" placeholder:"C" help:"List every type that this company can use, its own included. By default, list only the types of every company."`
	listFormat
}

// Help is the end of "webhookctl types list --help".
func (*typesListCmd) Help() string {
	return `Lists the types in the same order as the API. Times are in UTC.

JSON fields: types, an array of objects with name, company (null for every company), description and added_at.

Examples:

    webhookctl types list
    webhookctl types list --company acme --output json`
}

// Run prints a table of the types.
func (cmd *typesListCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	company, err := optionalCompany(cmd.Company)
	if err != nil {
		return err
	}
	return storage.withStore(ctx, c, existing, func(ctx context.Context, s *opened) error {
		types, err := s.EventTypes(ctx, company)
		if err != nil {
			return storeError(err)
		}
		if len(types) == 0 {
			fmt.Fprintf(c.err, "No event types for %s in %s: add one with \"webhookctl types add NAME\".\n",
				companyOrEvery(company), s.place)
		}
		if cmd.json() {
			return writeJSONList(c.out, "types", types, newTypeJSON)
		}
		return writeTypes(c.out, types)
	})
}

func writeTypes(out io.Writer, types []webhook.EventType) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tFOR\tADDED\tDESCRIPTION")
	for _, t := range types {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n",
			t.Name, companyOrEvery(t.Company), t.AddedAt.UTC().Format(time.RFC3339), onOneLine(t.Description))
	}
	return table.Flush()
}

// onOneLine replaces characters that could break the table or control the terminal.
func onOneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

// typesRemoveCmd is "webhookctl types remove".
type typesRemoveCmd struct {
	Name    string  `arg:"" help:"Name of the event type."`
	Company *string `env:"WEBHOOKS_COMPANY" placeholder:"C" help:"Company whose own type to remove. By default, remove a type of every company."`
}

// Help is the end of "webhookctl types remove --help".
func (*typesRemoveCmd) Help() string {
	return `A removed type is no longer listed, and no new webhook can subscribe to it. Existing webhooks keep it.

Examples:

    webhookctl types remove RecurringPayments.charge.failed
    webhookctl types remove Beta.invoice.drafted --company acme`
}

// Run removes the type.
func (cmd *typesRemoveCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	company, err := optionalCompany(cmd.Company)
	if err != nil {
		return err
	}
	return storage.withStore(ctx, c, existing, func(ctx context.Context, s *opened) error {
		err := s.RemoveEventType(ctx, company, cmd.Name)
		if webhook.KindOf(err) == webhook.KindNotFound {
			return fmt.Errorf("event type %q for %s not found in %s: check the name and --company with \"webhookctl types list\"",
				cmd.Name, companyOrEvery(company), s.place)
		}
		if err != nil {
			return storeError(err)
		}
		_, err = fmt.Fprintf(c.out, "Removed %s for %s. Existing webhooks keep it.\n", cmd.Name, companyOrEvery(company))
		return err
	})
}
