package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// ErrExists is why a backup is not restored where replacing was not asked for.
var ErrExists = errors.New("there is a database file already")

// Restored is what [Restore] did.
type Restored struct {
	Summary
	// Kept is where the database is that was replaced, with its write-ahead log beside it if it had
	// one. It is empty where none was.
	Kept string
}

// Restore puts a copy of a backup, verified as [Verify] does, where [Open] then finds it: at path, as a
// whole or not at all. A database that is there is replaced if that is asked for ([ErrExists]), and
// a copy of it is kept; none that any process has open is ([ErrInUse]). This process must not have
// it open itself.
func Restore(ctx context.Context, backup, path string, replace bool, now time.Time) (Restored, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Restored{}, fmt.Errorf("finding the database file: %w", err)
	}
	if _, err := os.Lstat(path); err == nil && !replace {
		return Restored{}, ErrExists
	}
	copied, summary, err := verifiedCopy(ctx, backup, filepath.Dir(path))
	if err != nil {
		return Restored{}, err
	}
	kept, err := replaceFile(path, copied, replace, now)
	if err != nil {
		return Restored{}, errors.Join(err, os.Remove(copied))
	}
	return Restored{Summary: summary, Kept: kept}, nil
}

// verifiedCopy makes a copy of a backup in a directory, and verifies the copy, so that nothing else
// than what was verified is put in place.
func verifiedCopy(ctx context.Context, backup, dir string) (path string, summary Summary, err error) {
	if err := checkBackupFile(backup); err != nil {
		return "", Summary{}, fmt.Errorf("verifying %s: %w", backup, err)
	}
	from, err := os.Open(backup)
	if err != nil {
		return "", Summary{}, fmt.Errorf("reading the backup: %w", err)
	}
	defer from.Close()
	to, err := os.CreateTemp(dir, ".restore-*") // made with mode 0600
	if err != nil {
		return "", Summary{}, fmt.Errorf("copying the backup: %w", err)
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return "", Summary{}, errors.Join(fmt.Errorf("copying the backup: %w", err), os.Remove(to.Name()))
	}
	if summary, err = verify(ctx, to.Name(), migrations); err != nil {
		return "", Summary{}, errors.Join(fmt.Errorf("verifying %s: %w", backup, err), os.Remove(to.Name()))
	}
	return to.Name(), summary, nil
}

// replaceFile moves a file to the place of the database at path, and gives where it kept a copy of
// the old one.
func replaceFile(path, with string, replace bool, now time.Time) (kept string, err error) {
	old, err := claim(path, replace)
	if err != nil {
		return "", err
	}
	defer old.Close()
	if replace {
		if kept, err = keep(old, path, now); err != nil {
			return "", err
		}
	}
	// Without its log the old database is not whole, but the new one must never meet it.
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", fmt.Errorf("removing what is left of the old database: %w", err)
		}
	}
	if err := syncPath(filepath.Dir(path)); err != nil {
		return "", err
	}
	if err := os.Rename(with, path); err != nil {
		return "", fmt.Errorf("replacing the database: %w", err)
	}
	return kept, errors.Join(spoil(old), syncPath(filepath.Dir(path)))
}

// claim takes the file at path for this process alone, and makes an empty one where there is none,
// so that nobody else begins a database there. A file that is there is claimed to be replaced.
func claim(path string, replace bool) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if errors.Is(err, fs.ErrExist) {
		if !replace {
			return nil, ErrExists
		}
		file, err = os.OpenFile(path, os.O_RDWR, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the database file: %w", err)
	}
	err = lockExclusively(file)
	if err == nil {
		err = stillAt(path, file)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// stillAt finds out whether another process replaced the file before it was locked.
func stillAt(path string, file *os.File) error {
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

// keep copies a database that is about to be replaced, and its log. It reads the file that is
// open: to open it once more and close that again would drop the lock.
func keep(old *os.File, path string, now time.Time) (kept string, err error) {
	info, err := old.Stat()
	if err != nil {
		return "", fmt.Errorf("looking at the database that is there: %w", err)
	}
	if info.Size() == 0 {
		return "", nil // nothing is in it
	}
	kept = path + ".replaced-" + now.UTC().Format("20060102T150405Z")
	if err := writeCopy(kept, io.NewSectionReader(old, 0, info.Size())); err != nil {
		return "", err
	}
	log, err := os.Open(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return kept, nil
	}
	if err != nil {
		return "", fmt.Errorf("keeping the database that is there: %w", err)
	}
	defer log.Close()
	return kept, writeCopy(kept+"-wal", log)
}

// writeCopy writes a new file of what it reads, and brings it to the disk.
func writeCopy(path string, from io.Reader) error {
	to, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err == nil {
		_, err = io.Copy(to, from)
		err = errors.Join(err, to.Sync(), to.Close())
	}
	if err != nil {
		return fmt.Errorf("keeping the database that is there: %w", err)
	}
	return nil
}

// spoil makes a file that has lost its name useless as a database. A process that opened it just
// before, and waits for the lock, would otherwise write to it what nobody will ever find.
func spoil(file *os.File) error {
	if _, err := file.WriteAt([]byte("This database was replaced by another one.\n"), 0); err != nil {
		return fmt.Errorf("ending the old database: %w", err)
	}
	return nil
}

// BackupFile is [Store.Backup] of a file that this process has not opened, which another one may be
// writing to. It leaves the file's tables at their version, whereas [Open] would bring them up to date.
func BackupFile(ctx context.Context, path, dest string) (Summary, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Summary{}, fmt.Errorf("finding the database file: %w", err)
	}
	if err := (&Store{path: path}).Backup(ctx, dest); err != nil {
		return Summary{}, err
	}
	summary, err := Verify(ctx, dest)
	if err != nil {
		return Summary{}, errors.Join(fmt.Errorf("the backup is of no use: %w", err), os.Remove(dest))
	}
	return summary, nil
}
