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

// Backup writes the whole database as it is at one moment to a new file, with mode 0600, while
// everything else goes on. The file is complete and on the disk when Backup returns nil, and not
// there when it fails. It is an ordinary database file, which [Open] can open. Backup refuses to
// write over a file that exists.
func (s *Store) Backup(ctx context.Context, dest string) error {
	if _, err := os.Lstat(dest); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s exists already: give the path of a new file", dest)
	}
	dir, err := filepath.Abs(filepath.Dir(dest))
	if err != nil {
		return fmt.Errorf("finding the directory of the backup: %w", err)
	}
	// SQLite accepts an empty file as the target, and so the mode is right from the first byte on.
	temporary, err := os.CreateTemp(dir, ".backup-*")
	if err != nil {
		return fmt.Errorf("making the backup: no file can be made in %s: %w: give a path in another folder", dir, withoutPath(err))
	}
	err = errors.Join(temporary.Close(), s.copyInto(ctx, temporary.Name()))
	if err == nil {
		err = os.Rename(temporary.Name(), dest)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("making the backup: %w", err), os.Remove(temporary.Name()))
	}
	return syncPath(dir)
}

// copyInto writes a copy of the database into an empty file and syncs it, which SQLite does not do.
func (s *Store) copyInto(ctx context.Context, path string) error {
	db, err := sql.Open(driverName, dataSource(s.path, busyTimeout))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", path)
	if err = errors.Join(err, db.Close()); err != nil {
		return translate(err)
	}
	return syncPath(path)
}

// syncPath brings a file or a directory to the disk.
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
