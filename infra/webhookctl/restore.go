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
	File string `arg:"" help:"Backup to restore."`
	// Replace has no environment variable, so that it must be requested every time.
	Replace bool `help:"Replace the existing database. A copy is kept next to it."`
}

// Help is the end of "webhookctl restore --help".
func (*restoreCmd) Help() string {
	return `The backup is checked before anything else happens. A damaged one, or one of a newer version of this program, is rejected. With --replace, stop the service first: a process that delivers would mistake the deliveries in the backup for those it knows. Run the command as the user that the service runs as.

Everything is as it was at the time of the backup. Deliveries that were pending then are attempted again. API keys that have been revoked since then work again: revoke them again.

The token key file must belong to the backup.

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
		unlock, err := cmd.lock(ctx, storage.databaseFile())
		if err != nil {
			return err
		}
		restored, err := sqlite.Restore(ctx, cmd.File, storage.databaseFile(), cmd.Replace, c.now())
		err = errors.Join(err, unlock())
		switch {
		case errors.Is(err, sqlite.ErrExists):
			return fmt.Errorf("%s already exists: use another --data, or --replace to replace it with the backup", storage.databaseFile())
		case err != nil:
			return storeError(err)
		}
		return cmd.report(c, storage, restored)
	})
}

// lock prevents other processes from delivering while a database is replaced. It fails if one of them is delivering, because that
// process identifies deliveries by their numbers, which belong to different deliveries in the backup.
func (cmd *restoreCmd) lock(ctx context.Context, path string) (unlock func() error, err error) {
	if !cmd.Replace {
		return func() error { return nil }, nil
	}
	locking, cancel := context.WithTimeout(ctx, lockPatience)
	defer cancel()
	unlock, err = sqlite.LockDelivery(locking, path)
	switch {
	case errors.Is(err, fs.ErrNotExist): // nothing to replace
		return func() error { return nil }, nil
	case locking.Err() != nil && ctx.Err() == nil:
		return nil, fmt.Errorf("a process is delivering the events in %s: stop it before the restore (for example with systemctl stop webhooks)", path)
	case err != nil:
		return nil, fileError(path, err)
	}
	return unlock, nil
}

// validate rejects some files that are not backups before anything is created. The verification does the rest.
func (cmd *restoreCmd) validate() error {
	info, err := os.Stat(cmd.File)
	switch {
	case cmd.File == stdio || err == nil && info.Mode()&fs.ModeNamedPipe != 0:
		return errors.New("restore cannot read from a pipe: write the backup to a file and pass its path")
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s does not exist: check the path of the backup", cmd.File)
	case err == nil && !info.Mode().IsRegular():
		return nil
	}
	file, err := os.Open(cmd.File)
	if err != nil {
		return fmt.Errorf("reading the backup: %w", err)
	}
	defer file.Close()
	if _, err := transfer.NewReader(file); err == nil {
		return fmt.Errorf("%s is an export and not a backup: use \"webhookctl import\"", cmd.File)
	}
	return nil
}

func (cmd *restoreCmd) report(c *console, storage *storageFlags, restored sqlite.Restored) error {
	fmt.Fprintf(c.out, "Restored %s to %s: %s.\n", cmd.File, storage.databaseFile(), contents(restored.Summary))
	if restored.Kept != "" {
		fmt.Fprintf(c.out, "The replaced database was kept as %s.\n", restored.Kept)
	}
	fmt.Fprintln(c.out, "API keys that have been revoked since the backup work again: check \"webhookctl keys list\".")
	file := (&tokenKeyFlags{}).file(storage)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintf(c.err, "%s does not exist: copy the token key file of the backup there before you start the service, or pass its path with --token-key-file.\n", file)
	}
	return nil
}
