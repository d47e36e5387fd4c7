package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"webhooks/shared/webhook"
)

// typesListCmd is "webhookctl types list".
type typesListCmd struct {
	Company string `env:"WEBHOOKS_COMPANY" placeholder:"C" help:"List what this company may use: everybody's types and its own. Without it, everybody's alone."`
}

// Help is the end of "webhookctl types list --help".
func (*typesListCmd) Help() string {
	return `In the order in which the API lists them. Times are UTC.

Examples:

    webhookctl types list
    webhookctl types list --company acme`
}

// Run prints a table of the types.
func (cmd *typesListCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if cmd.Company != "" {
		if err := validateCompany(cmd.Company); err != nil {
			return err
		}
	}
	return storage.withStore(ctx, c, existing, func(ctx context.Context, s *opened) error {
		types, err := s.EventTypes(ctx, cmd.Company)
		if err != nil {
			return storeError(err)
		}
		if len(types) == 0 {
			fmt.Fprintf(c.err, "There are no event types for %s in %s: add one with \"webhookctl types add NAME\".\n",
				whose(cmd.Company), s.place)
		}
		return writeTypes(c.out, types)
	})
}

func writeTypes(out io.Writer, types []webhook.EventType) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tFOR\tADDED\tDESCRIPTION")
	for _, t := range types {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n",
			t.Name, whose(t.Company), t.AddedAt.UTC().Format(time.RFC3339), onOneLine(t.Description))
	}
	return table.Flush()
}

// onOneLine keeps text from breaking the table or steering the terminal.
func onOneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
