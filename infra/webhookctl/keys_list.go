package main

import (
	"context"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"webhooks/shared/access"
)

// keysListCmd is "webhookctl keys list".
type keysListCmd struct {
	Company string `required:"" env:"WEBHOOKS_COMPANY" placeholder:"C" help:"Company whose keys to list."`
}

// Help is the end of "webhookctl keys list --help".
func (*keysListCmd) Help() string {
	return `Oldest first, those that have expired or were revoked as well. Times are UTC.

Example:

    webhookctl keys list --company acme`
}

// Run prints a table of the keys.
func (cmd *keysListCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := validateCompany(cmd.Company); err != nil {
		return err
	}
	return storage.withStore(ctx, c, existing, func(ctx context.Context, s *opened) error {
		keys, err := s.Keys(ctx, cmd.Company)
		if err != nil {
			return storeError(err)
		}
		if len(keys) == 0 {
			fmt.Fprintf(c.err, "Company %s has no keys in %s.\n", cmd.Company, s.place)
		}
		return writeKeys(c.out, keys, c.now())
	})
}

func writeKeys(out io.Writer, keys []access.Key, now time.Time) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tPERMISSIONS\tCREATED\tEXPIRES\tSTATUS")
	for _, k := range keys {
		expires := "never"
		if !k.ExpiresAt.IsZero() {
			expires = k.ExpiresAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n",
			k.ID, joinPermissions(k.Permissions), k.CreatedAt.UTC().Format(time.RFC3339), expires, keyStatus(k, now))
	}
	return table.Flush()
}

func keyStatus(k access.Key, now time.Time) string {
	switch {
	case !k.RevokedAt.IsZero():
		return "revoked"
	case !k.Usable(now):
		return "expired"
	default:
		return "active"
	}
}
