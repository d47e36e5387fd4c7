package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// backupPrefix is what the names of backups begin with that are being made. Like finished ones they
// end with .db, so that what removes old backups by that removes these too.
const backupPrefix = ".webhooks-backup-"

// abandonedAfter is how long nothing has been written to a backup in the making when its process is
// taken for dead. SQLite writes all the time; a process that was only stopped for so long is told
// that its file is gone.
const abandonedAfter = time.Hour

// Backup writes the whole database as it is at one moment to a new file, with mode 0600, while
// everything else goes on. The file is complete and on the disk when Backup returns nil, and not
// there when it fails. It is an ordinary database file, which [Open] can open. Backup refuses to
// write over a file that exists, also one that comes to exist meanwhile.
func (s *Store) Backup(ctx context.Context, dest string) error {
	if _, err := os.Lstat(dest); err == nil {
		return existsAlready(dest)
	}
	dir, err := filepath.Abs(filepath.Dir(dest))
	if err != nil {
		return fmt.Errorf("finding the directory of the backup: %w", err)
	}
	// SQLite accepts an empty file as the target, and so the mode is right from the first byte on.
	temporary, err := os.CreateTemp(dir, backupPrefix+"*.db")
	if err != nil {
		return fmt.Errorf("making the backup: no file can be made in %s: %w: give a path in another folder", dir, withoutPath(err))
	}
	info, err := temporary.Stat()
	if err = errors.Join(err, temporary.Close()); err == nil {
		removeAbandoned(dir, info.ModTime())
		if err = s.copyInto(ctx, temporary.Name()); err == nil {
			err = giveName(temporary.Name(), dest, os.Link)
		}
	}
	if gone := os.Remove(temporary.Name()); !errors.Is(gone, fs.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	if err != nil {
		return fmt.Errorf("making the backup: %w", err)
	}
	return syncPath(dir)
}

func existsAlready(dest string) error {
	return fmt.Errorf("%s exists already: give the path of a new file", dest)
}

// removeAbandoned removes what processes that were killed in the middle of a backup left in a
// directory. The time is the present one by the clock that stamps the files there. What cannot be
// removed is in nobody's way.
func removeAbandoned(dir string, now time.Time) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err == nil && strings.HasPrefix(entry.Name(), backupPrefix) && now.Sub(info.ModTime()) > abandonedAfter {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
	}
}

// giveName gives a file the name dest, unless there is a file of that name. It may or may not take
// its old name from it. A link makes that sure in one step; file systems without links have an
// empty file hold the name until the file takes its place, which a kill may leave.
func giveName(path, dest string, link func(path, dest string) error) error {
	err := link(path, dest)
	if err == nil {
		return nil
	}
	if !errors.Is(err, fs.ErrExist) {
		var holder *os.File
		holder, err = os.OpenFile(dest, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
		if err == nil {
			if err = errors.Join(holder.Close(), os.Rename(path, dest)); err != nil {
				err = errors.Join(err, os.Remove(dest))
			}
		}
	}
	if errors.Is(err, fs.ErrExist) {
		return existsAlready(dest)
	}
	return err
}

// copyInto writes a copy of the database into an empty file and syncs it, which SQLite does not do.
func (s *Store) copyInto(ctx context.Context, path string) error {
	db, err := sql.Open(driverName, dataSource(s.path, busyTimeout))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", path)
	if err = errors.Join(err, db.Close()); err != nil {
		return translate(fmt.Errorf("copying the database to %s: %w", filepath.Dir(path), err))
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
