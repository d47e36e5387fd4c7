package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"webhooks/shared/sqlite"
)

// backupCmd is "webhookctl backup".
type backupCmd struct {
	File string `arg:"" help:"File to write, which must not exist."`
}

// Help is the end of "webhookctl backup --help".
func (*backupCmd) Help() string {
	return `The service may be running. The backup is a consistent snapshot: a database file for "webhookctl restore", readable only by this user.

The token key file is not included, and webhook tokens cannot be decrypted without it. Back it up as well, to another place.

Examples:

    webhookctl backup webhooks-backup.db
    webhookctl backup --data /var/lib/webhooks /var/backups/webhooks-$(date +%F).db`
}

// Run creates the backup.
func (cmd *backupCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := sqliteOnly(storage); err != nil {
		return err
	}
	path := storage.databaseFile()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist: check --data", path)
	}
	return untilSignal(ctx, func(ctx context.Context) error {
		summary, err := sqlite.Backup(ctx, path, cmd.File)
		if err != nil {
			return fileError(path, err)
		}
		_, err = fmt.Fprintf(c.out, "Backed up %s to %s: %s.\n"+
			"The token key file (%s, or the one in --token-key-file) is not included: back it up as well, to another place.\n",
			path, cmd.File, contents(summary), (&tokenKeyFlags{}).file(storage))
		return err
	})
}

// sqliteOnly rejects other stores.
func sqliteOnly(storage *storageFlags) error {
	if err := storage.validate(); err != nil {
		return err
	}
	if storage.Store != storeSQLite {
		return errors.New("backup and restore are only for SQLite: AWS backs up DynamoDB tables, and \"webhookctl export\" writes a company to a file")
	}
	return nil
}

// contents describes a database file.
func contents(s sqlite.Summary) string {
	return fmt.Sprintf("%s of %s, %d bytes, schema %d",
		plural(s.Webhooks, "webhook", "webhooks"), plural(s.Companies, "company", "companies"), s.Size, s.Schema)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
