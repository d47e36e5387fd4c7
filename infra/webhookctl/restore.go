package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"webhooks/infra/webhookctl/transfer"
	"webhooks/shared/sqlite"
)

// restoreCmd is "webhookctl restore".
type restoreCmd struct {
	File string `arg:"" help:"Backup that \"backup\" made."`
	// Replace has no variable: it is asked for each time, and not by what a shell was left with.
	Replace bool `help:"Replace the database that is there. A copy of it is kept beside it."`
}

// Help is the end of "webhookctl restore --help".
func (*restoreCmd) Help() string {
	return `The backup is copied and checked before anything else happens; a damaged one, or one of a newer version of this program, is refused. The service must not be running. Run it as the user that the service runs as.

Everything is then as it was at the backup. API keys that were revoked since work again: revoke them once more.

The token key file must be the one that the backed up service had.

Examples:

    webhookctl restore webhooks-backup.db
    webhookctl restore --data /var/lib/webhooks --replace /var/backups/webhooks-2030-01-02.db`
}

// Run restores the backup.
func (cmd *restoreCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := sqliteOnly(storage); err != nil {
		return err
	}
	if err := cmd.validate(); err != nil {
		return err
	}
	if err := storage.makeDataDir(); err != nil {
		return err
	}
	return untilSignal(ctx, func(ctx context.Context) error {
		restored, err := sqlite.Restore(ctx, cmd.File, storage.databaseFile(), cmd.Replace, c.now())
		switch {
		case errors.Is(err, sqlite.ErrExists):
			return fmt.Errorf("there is a %s already: give another --data, or --replace to put the backup in its place", storage.databaseFile())
		case errors.Is(err, sqlite.ErrInUse):
			return fmt.Errorf("%s is open in another process: stop the service, then run this again", storage.databaseFile())
		case err != nil:
			return storeError(err)
		}
		return cmd.report(c, storage, restored)
	})
}

// validate refuses what can be no backup before anything is made. The rest is for the verification.
func (cmd *restoreCmd) validate() error {
	info, err := os.Stat(cmd.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no %s: check the path of the backup", cmd.File)
	case err == nil && !info.Mode().IsRegular(): // opening a pipe would wait for a writer
		return nil
	}
	file, err := os.Open(cmd.File)
	if err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	defer file.Close()
	if _, err := transfer.NewReader(file); err == nil {
		return fmt.Errorf("%s is no backup: what export wrote goes to \"webhookctl import\"", cmd.File)
	}
	return nil
}

func (cmd *restoreCmd) report(c *console, storage *storageFlags, restored sqlite.Restored) error {
	fmt.Fprintf(c.out, "%s is restored to %s: %s.\n", cmd.File, storage.databaseFile(), contents(restored.Summary))
	if restored.Kept != "" {
		fmt.Fprintf(c.out, "The database that was there is kept as %s.\n", restored.Kept)
	}
	fmt.Fprintln(c.out, "Everything is as it was at the backup: API keys revoked since then work again; look at \"webhookctl keys list\".")
	file := (&tokenKeyFlags{}).file(storage)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(c.err, "There is no %s: put the token key file there that belongs to the backup, before you start the service (or name it with --token-key-file).\n", file)
	}
	return nil
}
