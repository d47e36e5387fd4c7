package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// replacement puts a file in the place of the database at path, in steps. Wherever a process is
// killed, what [Open] then finds is the old database, the new one, or a file that it refuses, and
// a copy of the old one has been kept before that.
type replacement struct {
	path, with string
	now        time.Time
	old        *os.File // what is at path, locked
	made       bool     // by this process, as an empty file
	kept       string   // where the copy of the old database is, or empty
	spoilt     bool     // the old file is no database any more
	placed     bool     // the new one is in its place
}

// replaceFile moves a file to the place of the database at path, and gives where it kept a copy of
// the old one.
func replaceFile(ctx context.Context, path, with string, replace bool, now time.Time) (kept string, err error) {
	r := &replacement{path: path, with: with, now: now}
	if err := r.claim(replace); err != nil {
		return "", errors.Join(err, removeOld(with))
	}
	defer r.old.Close()
	for _, step := range r.steps(ctx) {
		if err := step(); err != nil {
			return "", r.undo(err)
		}
	}
	return r.kept, nil
}

// steps are what there is to do once the old file is this process's own.
func (r *replacement) steps(ctx context.Context) []func() error {
	removeLog := func(suffix string) func() error {
		return func() error { return removeOld(r.path + suffix) }
	}
	return []func() error{
		r.clear,
		func() error { return r.keep(ctx) },
		r.spoil,
		// Without its logs the old database would not be whole, and the new one must never meet them.
		removeLog("-wal"), removeLog("-shm"), removeLog("-journal"),
		r.sync,
		r.rename,
		r.sync,
	}
}

// claim takes the file at path for this process alone, and makes an empty one where there is none,
// so that nobody else begins a database there. A file that is there is claimed to be replaced.
func (r *replacement) claim(replace bool) error {
	file, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	r.made = err == nil
	if errors.Is(err, fs.ErrExist) {
		if !replace {
			return ErrExists
		}
		file, err = os.OpenFile(r.path, os.O_RDWR, 0)
	}
	if err != nil {
		return fmt.Errorf("opening the database file: %w", err)
	}
	if err := lockAt(r.path, file); err != nil {
		return errors.Join(err, file.Close())
	}
	r.old = file
	return nil
}

// lockAt takes an open file for this process alone, if it still is the one at path: another process
// may have replaced it before it was locked.
func lockAt(path string, file *os.File) error {
	if err := lockExclusively(file); err != nil {
		return err
	}
	opened, err := file.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(path)
	if err != nil || !os.SameFile(opened, there) {
		return ErrInUse
	}
	return nil
}

// clear removes the copies that other processes made to put them here. Those were killed, or will find
// that they came too late: no two have the lock.
func (r *replacement) clear() error {
	if _, err := os.Lstat(r.with); err != nil {
		return ErrInUse // removed in the same way
	}
	dir := filepath.Dir(r.path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("looking for what was left before: %w", err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, copyPrefix(r.path)) && name != filepath.Base(r.with) {
			if err := removeOld(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeOld removes a file, which may have gone already.
func removeOld(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a file of a restore: %w", err)
	}
	return nil
}

// keep makes a copy of the database that is about to be replaced. It reads the file that is open: to
// open it once more and close that again would drop the lock.
func (r *replacement) keep(ctx context.Context) error {
	info, err := r.old.Stat()
	if err != nil {
		return fmt.Errorf("looking at the database that is there: %w", err)
	}
	if info.Size() == 0 {
		return nil // nothing is in it
	}
	kept := r.path + ".replaced-" + r.now.UTC().Format("20060102T150405Z")
	if err := writeCopy(kept, io.NewSectionReader(r.old, 0, info.Size())); err != nil {
		return err
	}
	r.kept = kept
	for _, suffix := range []string{"-wal", "-journal"} {
		log, err := os.Open(r.path + suffix)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("keeping the database that is there: %w", err)
		}
		if err := errors.Join(writeCopy(kept+suffix, log), log.Close()); err != nil {
			return err
		}
	}
	err = fold(ctx, kept)
	switch {
	case mayPass(err) || ctx.Err() != nil:
		return fmt.Errorf("keeping the database that is there: %w", errors.Join(err, ctx.Err()))
	case err != nil && r.wasSpoilt():
		// A restore that was killed has kept a copy before, and nothing is in this one.
		if err := r.removeKept(); err != nil {
			return err
		}
		r.kept = ""
	}
	return r.sync() // what else fails is a damaged database, kept as it is
}

// wasSpoilt reports whether the old file begins with what spoil writes.
func (r *replacement) wasSpoilt() bool {
	head := make([]byte, len(epitaph))
	_, err := r.old.ReadAt(head, 0)
	return (err == nil || errors.Is(err, io.EOF)) && string(head) == epitaph
}

func (r *replacement) removeKept() (err error) {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		err = errors.Join(err, removeOld(r.kept+suffix))
	}
	return err
}

// fold brings what is in the logs of a database into its file, and so makes it one that [Verify] takes.
// Nothing else may have it open.
func fold(ctx context.Context, path string) error {
	db, err := sql.Open(driverName, dataSource(path, busyTimeout))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	// A read puts right what a crash left. The last one who closes the file would fold it too, but
	// not tell when there is no room.
	err = db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(new(int))
	if err == nil {
		err = db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(new(int), new(int), new(int))
	}
	return errors.Join(err, db.Close())
}

// writeCopy writes a new file of what it reads, and brings it to the disk.
func writeCopy(path string, from io.Reader) error {
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return fmt.Errorf("keeping the database that is there: %w", err)
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return errors.Join(fmt.Errorf("keeping the database that is there: %w", err), os.Remove(path))
	}
	return nil
}

// epitaph is what a database that was ended begins with.
const epitaph = "A restore has put another database here, or was ended just before.\n"

// spoil makes the old file useless as a database. Who opens it when its logs are gone already must
// not be served what is left; and who opened it before, and waits for the lock, would otherwise
// write to it what nobody will ever find.
func (r *replacement) spoil() error {
	r.spoilt = true
	_, err := r.old.WriteAt([]byte(epitaph), 0)
	if err = errors.Join(err, r.old.Sync()); err != nil {
		return fmt.Errorf("ending the old database: %w", err)
	}
	return nil
}

func (r *replacement) rename() error {
	if err := os.Rename(r.with, r.path); err != nil {
		return fmt.Errorf("replacing the database: %w", err)
	}
	r.placed = true
	return nil
}

func (r *replacement) sync() error { return syncPath(filepath.Dir(r.path)) }

// undo takes back what a replacement that failed has done, and tells what it cannot take back.
func (r *replacement) undo(err error) error {
	if r.placed {
		return err
	}
	err = errors.Join(err, removeOld(r.with))
	switch {
	case r.made:
		err = errors.Join(err, removeOld(r.path))
	case r.spoilt && r.kept != "":
		err = fmt.Errorf("%w: the database that was there is kept as %s: restore that, or run this again", err, r.kept)
	case r.kept != "":
		err = errors.Join(err, r.removeKept())
	}
	return err
}
