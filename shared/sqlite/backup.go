package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Backup writes a consistent snapshot of the database at path to a new file dest with mode 0600, and verifies it as [Verify]
// does. Other processes may be using the database. Backup never overwrites a file, even one that is created concurrently. The
// backup is an ordinary database file. Its tables keep their version, whereas [Open] would update them.
//
// If Backup fails, it removes the file. If the process is killed, the incomplete file remains, and Verify rejects it.
func Backup(ctx context.Context, path, dest string) (Summary, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Summary{}, fmt.Errorf("finding the database file: %w", err)
	}
	if err := copyDatabase(ctx, dataSource(path, busyTimeout), dest); err != nil {
		return Summary{}, fmt.Errorf("creating the backup: %w", err)
	}
	summary, err := Verify(ctx, dest)
	if err != nil {
		return Summary{}, errors.Join(fmt.Errorf("the backup is not usable: %w", err), os.Remove(dest))
	}
	return summary, nil
}

// copyDatabase copies the database with a data source name to a new file and syncs it to the disk.
func copyDatabase(ctx context.Context, source, dest string) (err error) {
	dest, err = filepath.Abs(dest)
	if err != nil {
		return fmt.Errorf("finding the directory: %w", err)
	}
	// SQLite accepts an empty file as the target. Creating it here makes sure that nothing is overwritten, and that the
	// mode is right from the first byte on.
	file, err := os.OpenFile(dest, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	switch {
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("%s already exists: choose the path of a new file", dest)
	case err != nil:
		return fmt.Errorf("cannot create %s: %w: choose a path in another directory", dest, withoutPath(err))
	}
	if err := file.Close(); err != nil {
		return err
	}
	db, err := sql.Open(driverName, source)
	if err == nil {
		_, err = db.ExecContext(ctx, "VACUUM INTO ?", dest)
		err = errors.Join(translate(err), db.Close())
	}
	if err == nil {
		err = errors.Join(syncPath(dest), syncPath(filepath.Dir(dest)))
	}
	if err != nil {
		return errors.Join(err, os.Remove(dest))
	}
	return nil
}

// syncPath syncs a file or a directory to the disk.
func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("writing to the disk: %w", err)
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing to the disk: %w", err)
	}
	return nil
}
