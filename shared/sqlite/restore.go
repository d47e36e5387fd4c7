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
	// Kept is where the database is that was replaced, as a file that can be restored in its turn; of
	// a damaged one the write-ahead log may be beside it. It is empty where none was.
	Kept string
}

// Restore puts a copy of a backup, verified as [Verify] does, where [Open] then finds it: at path, as a
// whole or not at all. A database that is there is replaced if that is asked for ([ErrExists]), and
// a copy of it is kept; none that any process has open is ([ErrInUse]). This process must not have
// it open itself.
//
// A process that is killed meanwhile leaves the database that was there, the restored one, or a file
// that Open refuses, with the copy beside it: never a part of what was there. The next Restore
// removes what else it left.
func Restore(ctx context.Context, backup, path string, replace bool, now time.Time) (Restored, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Restored{}, fmt.Errorf("finding the database file: %w", err)
	}
	// SQLite follows a link, and has the logs beside what it leads to.
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if _, err := os.Lstat(path); err == nil && !replace {
		return Restored{}, ErrExists
	}
	copied, summary, err := verifiedCopy(ctx, backup, path)
	if err != nil {
		return Restored{}, err
	}
	kept, err := replaceFile(ctx, path, copied, replace, now)
	if err != nil {
		return Restored{}, err
	}
	return Restored{Summary: summary, Kept: kept}, nil
}

// copyPrefix is what the names of the copies begin with that are made to take the place of a database.
func copyPrefix(path string) string { return "." + filepath.Base(path) + ".restore-" }

// verifiedCopy makes a copy of a backup beside the place that it is for, and verifies the copy, so
// that nothing else than what was verified is put in place.
func verifiedCopy(ctx context.Context, backup, place string) (path string, summary Summary, err error) {
	if err := checkBackupFile(backup); err != nil {
		return "", Summary{}, fmt.Errorf("verifying %s: %w", backup, err)
	}
	from, err := os.Open(backup)
	if err != nil {
		return "", Summary{}, fmt.Errorf("reading the backup: %w", err)
	}
	defer from.Close()
	to, err := os.CreateTemp(filepath.Dir(place), copyPrefix(place)+"*") // made with mode 0600
	if err != nil {
		return "", Summary{}, fmt.Errorf("copying the backup: %w", err)
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Sync(), to.Close()); err != nil {
		return "", Summary{}, withoutFile(fmt.Errorf("copying the backup: %w", err), to.Name())
	}
	if summary, err = verify(ctx, to.Name(), migrations); err != nil {
		return "", Summary{}, withoutFile(fmt.Errorf("verifying %s: %w", backup, err), to.Name())
	}
	return to.Name(), summary, nil
}

// withoutFile is an error after which a copy is of no use and removed. Where the copy has gone before,
// another process that restores has removed it.
func withoutFile(err error, path string) error {
	gone := os.Remove(path)
	if errors.Is(gone, fs.ErrNotExist) {
		return ErrInUse
	}
	return errors.Join(err, gone)
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
