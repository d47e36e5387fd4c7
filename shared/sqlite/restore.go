package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"
)

// ErrExists means that a database already exists and may not be replaced.
var ErrExists = errors.New("a database file already exists")

// Restored is the result of [Restore].
type Restored struct {
	Summary
	// Kept is the path of the safety copy of the replaced database, which can be restored as well. It is empty if there was
	// no database.
	Kept string
}

// Restore verifies a backup as [Verify] does, updates the tables of its contents as [Open] does, and writes them to the
// database at path. It creates the file if it does not exist. It replaces an existing database only if replace is true, and
// returns [ErrExists] otherwise. The old contents are kept in a safety copy next to the database. Other processes may have the
// database open: they see either the old contents or the new ones, with tables of this version.
//
// The contents are replaced in one transaction. If the process is killed or the disk is full, the database keeps its old
// contents. A file that is not a readable database is renamed instead of copied.
func Restore(ctx context.Context, backup, path string, replace bool, now time.Time) (Restored, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Restored{}, fmt.Errorf("finding the database file: %w", err)
	}
	// SQLite follows a link and keeps its other files next to the target.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	existing, err := os.Lstat(path)
	exists := err == nil
	if exists && !replace {
		return Restored{}, ErrExists
	}
	summary, err := Verify(ctx, backup)
	if err != nil {
		return Restored{}, err
	}
	if backup, err = filepath.Abs(backup); err != nil {
		return Restored{}, fmt.Errorf("finding the backup: %w", err)
	}
	temporary, err := os.MkdirTemp(filepath.Dir(path), filepath.Base(path)+".restoring-*")
	if err != nil {
		return Restored{}, fmt.Errorf("cannot create a directory next to the database: %w", err)
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	source, err := withCurrentTables(ctx, backup, summary.Schema, temporary)
	if err != nil {
		return Restored{}, fmt.Errorf("restoring %s: %w", backup, err)
	}
	restored := Restored{Summary: summary}
	if exists && existing.Size() > 0 {
		restored.Kept = path + ".replaced-" + now.UTC().Format("20060102T150405Z")
	}
	if exists {
		err = overwrite(ctx, path, source, restored.Kept)
		_, copied := os.Lstat(restored.Kept)
		switch code(err) & primaryCode {
		case codes.SQLITE_NOTADB, codes.SQLITE_CORRUPT:
			// If the safety copy exists, the damaged file is the backup.
			if restored.Kept != "" && errors.Is(copied, fs.ErrNotExist) {
				exists, err = false, rename(path, restored.Kept)
			}
		}
	}
	if !exists && err == nil {
		err = place(ctx, path, source, temporary)
	}
	if err == nil {
		err = migrate(ctx, path, migrations)
	}
	if err != nil {
		return Restored{}, fmt.Errorf("restoring %s: %w", backup, err)
	}
	return restored, nil
}

// place copies a backup to path, where no file may exist. The file appears there complete, or not at all.
func place(ctx context.Context, path, backup, temporary string) error {
	copied := filepath.Join(temporary, "new.db")
	if err := copyDatabase(ctx, frozenSource(backup), copied); err != nil {
		return err
	}
	// SQLite would apply the log of a lost database to the new one.
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	err := os.Link(copied, path)
	if errors.Is(err, fs.ErrExist) {
		err = ErrExists
	}
	return errors.Join(err, syncPath(filepath.Dir(path)))
}

// rename moves a damaged database and the files next to it out of the way.
func rename(path, kept string) error {
	for _, suffix := range []string{"-wal", "-shm", "-journal", ""} {
		if err := os.Rename(path+suffix, kept+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// withCurrentTables returns the path of the backup or, if its schema is older, of a copy in a temporary directory whose tables are
// updated. Processes that have the database open must not see the older ones.
func withCurrentTables(ctx context.Context, backup string, schema int, temporary string) (string, error) {
	names, err := stepNames(migrations)
	if err != nil || schema == len(names) {
		return backup, err
	}
	updated := filepath.Join(temporary, "updated.db")
	if err := copyDatabase(ctx, frozenSource(backup), updated); err != nil {
		return "", err
	}
	return updated, migrate(ctx, updated, migrations)
}

// overwrite replaces the contents of a database with those of a backup, in one transaction. If kept is not empty, it first
// copies the old contents there. No write can happen in between, because the copy is made while holding the write lock.
func overwrite(ctx context.Context, path, backup, kept string) error {
	db, err := sql.Open(driverName, dataSource(path, busyTimeout))
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return translate(retryBusy(ctx, func() error {
		return conn.Raw(func(c any) error {
			online, ok := c.(interface {
				NewRestore(source string) (*driver.Backup, error)
			})
			if !ok {
				return errors.New("the SQLite driver does not support online backups")
			}
			restore, err := online.NewRestore(frozenSource(backup))
			if err != nil {
				return err
			}
			_, err = restore.Step(0) // takes the write lock
			if err == nil && kept != "" {
				err = copyDatabase(ctx, dataSource(path, busyTimeout), kept)
			}
			if err == nil {
				_, err = restore.Step(-1) // all pages
			}
			return errors.Join(err, restore.Finish())
		})
	}))
}
