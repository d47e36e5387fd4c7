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
	File string `arg:"" help:"File to write; it must not exist."`
}

// Help is the end of "webhookctl backup --help".
func (*backupCmd) Help() string {
	return `The service may be running: it goes on, and the backup has everything as it was at one moment. It is a database file that "restore" takes, readable by this user alone.

The token key file is not in it, and without that no webhook token in it can be opened. Keep a copy of it as well, in another place.

Examples:

    webhookctl backup webhooks-backup.db
    webhookctl backup --data /var/lib/webhooks /var/backups/webhooks-$(date +%F).db`
}

// Run makes the backup.
func (cmd *backupCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := sqliteOnly(storage); err != nil {
		return err
	}
	path := storage.databaseFile()
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no %s: check --data", path)
	}
	return untilSignal(ctx, func(ctx context.Context) error {
		summary, err := sqlite.BackupFile(ctx, path, cmd.File)
		if err != nil {
			return fileError(path, err)
		}
		_, err = fmt.Fprintf(c.out, "%s is a backup of %s: %s.\n"+
			"The token key file (%s, or what --token-key-file names) is not in it: keep a copy of that as well, in another place.\n",
			cmd.File, path, contents(summary), (&tokenKeyFlags{}).file(storage))
		return err
	})
}

// sqliteOnly refuses what is for a file.
func sqliteOnly(storage *storageFlags) error {
	if err := storage.validate(); err != nil {
		return err
	}
	if storage.Store != storeSQLite {
		return errors.New("backup and restore are for the SQLite file: AWS makes backups of DynamoDB tables, and \"webhookctl export\" writes a company to a file")
	}
	return nil
}

// contents says what a database file has.
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
