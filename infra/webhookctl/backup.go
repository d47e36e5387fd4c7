package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"webhooks/shared/sqlite"
)

// backupCmd is "webhookctl backup".
type backupCmd struct {
	File string `arg:"" help:"File to write, which must not exist; - for stdout."`
}

// Help is the end of "webhookctl backup --help".
func (*backupCmd) Help() string {
	return `The service may be running. The backup is a consistent snapshot: a database file for "webhookctl restore", readable only by this user.

With -, the backup is first written to a temporary file in TMPDIR (default: /tmp), because SQLite cannot write to a pipe.

The token key file is not included, and webhook tokens cannot be decrypted without it. Back it up as well, to another place.

Examples:

    webhookctl backup webhooks-backup.db
    webhookctl backup --data /var/lib/webhooks /var/backups/webhooks-$(date +%F).db
    webhookctl backup - | gzip >webhooks-backup.db.gz`
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
		if cmd.File == stdio {
			return backupToStdout(ctx, c, storage)
		}
		summary, err := sqlite.Backup(ctx, path, cmd.File)
		if err != nil {
			return fileError(path, err)
		}
		return reportBackup(c.out, storage, cmd.File, summary)
	})
}

// backupToStdout creates the backup as a temporary file and copies it to stdout.
func backupToStdout(ctx context.Context, c *console, storage *storageFlags) error {
	if isTerminal(c.out) {
		return errors.New("a backup is binary and stdout is a terminal: redirect stdout, or pass the path of a new file")
	}
	dir, err := os.MkdirTemp("", "webhookctl-backup-")
	if err != nil {
		return fmt.Errorf("creating a temporary directory: %w: set TMPDIR to another directory", err)
	}
	temporary := filepath.Join(dir, "webhooks.db")
	summary, err := sqlite.Backup(ctx, storage.databaseFile(), temporary)
	var file *os.File
	if err == nil {
		file, err = os.Open(temporary)
	}
	// Removed before it is copied, because the process is killed if the reader of the pipe exits.
	if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
		return fileError(storage.databaseFile(), fmt.Errorf("temporary file in %s (TMPDIR): %w", os.TempDir(), err))
	}
	defer file.Close()
	if _, err := io.Copy(interruptible(ctx, c.out.Write), file); err != nil {
		return fmt.Errorf("writing to stdout: %w", err)
	}
	return reportBackup(c.err, storage, "stdout", summary)
}

func reportBackup(out io.Writer, storage *storageFlags, to string, summary sqlite.Summary) error {
	_, err := fmt.Fprintf(out, "Backed up %s to %s: %s.\n"+
		"The token key file (%s, or the one in --token-key-file) is not included: back it up as well, to another place.\n",
		storage.databaseFile(), to, contents(summary), (&tokenKeyFlags{}).file(storage))
	return err
}

// sqliteOnly rejects other stores.
func sqliteOnly(storage *storageFlags) error {
	if err := storage.validate(); err != nil {
		return err
	}
	if storage.Store != storeSQLite {
		return errors.New("backup and restore are only for SQLite: AWS backs up DynamoDB tables, and \"webhookctl export\" writes their data to a file")
	}
	return nil
}

// contents describes a database file.
func contents(s sqlite.Summary) string {
	return fmt.Sprintf("%s, %s, %d bytes, schema %d",
		plural(s.Webhooks, "webhook", "webhooks"), plural(s.APIKeys, "API key", "API keys"), s.Size, s.Schema)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
