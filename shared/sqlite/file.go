package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// driverName is the name under which modernc.org/sqlite registers its driver.
const driverName = "sqlite"

// fileMode is the mode of the database file. SQLite creates the files next to it with the same mode.
const fileMode = 0o600

// prepareFile creates the database file if it does not exist, makes it private if other users can open it, checks that it can be
// written, and returns its absolute path. It must not open an existing file: closing it would release the locks that SQLite holds
// on it in this process.
func prepareFile(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", fmt.Errorf("finding the database file: %w", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
	if err == nil {
		return path, file.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("creating the database file: %w", err)
	}
	for _, file := range files(path) {
		if err := makePrivate(file); err != nil {
			return "", err
		}
	}
	return path, checkWritable(append(files(path), filepath.Dir(path))...)
}

// files returns the database file at path and the files that SQLite keeps next to it.
func files(path string) []string { return []string{path, path + "-wal", path + "-shm"} }

// checkWritable returns an error that names the first of some files and directories that this process may not read and write.
// SQLite would open a database that it cannot write, and fail at the first change. It is not an error if a file does not exist.
func checkWritable(paths ...string) error {
	const readAndWrite = 4 | 2 // R_OK | W_OK
	for _, path := range paths {
		if err := syscall.Access(path, readAndWrite); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s cannot be written: %w: check its owner, its mode and the file system", path, err)
		}
	}
	return nil
}

// makePrivate restricts a file to its owner. It is not an error if the file does not exist.
func makePrivate(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("checking the database file: %w", err)
	case info.IsDir():
		return fmt.Errorf("%s is a directory: use the path of a file in it", path)
	case info.Mode().Perm()&^fileMode == 0:
		return nil
	}
	if err := os.Chmod(path, fileMode); err != nil {
		return fmt.Errorf("making the database file private: %w", err)
	}
	return nil
}

// busyTimeout is how long a connection waits for a lock. Reads only have to wait while the write-ahead log is created, or
// recovered after a crash.
const busyTimeout = 5 * time.Second

// dataSource returns the data source name of a file, with the settings of every connection and additional pragmas.
func dataSource(path string, timeout time.Duration, pragmas ...string) string {
	return (&url.URL{
		Scheme:   "file",
		OmitHost: true,
		Path:     path,
		RawQuery: url.Values{
			"mode": {"rw"}, // a missing file is an error, not an empty database
			"_pragma": append([]string{
				fmt.Sprintf("busy_timeout(%d)", timeout.Milliseconds()),
				"synchronous(FULL)", // a commit is on the disk before it returns
				"fullfsync(1)",      // also on macOS, where fsync is not enough
				"checkpoint_fullfsync(1)",
				"journal_size_limit(67108864)", // shrink the log after a burst
				"trusted_schema(0)",
			}, pragmas...),
			"_defensive": {"1"},
			"_dqs":       {"0"},
			"_error_rc":  {"1"},
		}.Encode(),
	}).String()
}
