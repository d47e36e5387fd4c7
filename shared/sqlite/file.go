package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver
)

// driverName is what modernc.org/sqlite registers itself as.
const driverName = "sqlite"

// fileMode is that of the database file; SQLite gives the files beside it the same.
const fileMode = 0o600

// prepareFile makes the database file where there is none, takes it from everybody else where
// others may open it, and gives its absolute path. It must not open a file that is there: closing
// it again would drop the locks that SQLite has on it in this process.
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
		return "", fmt.Errorf("making the database file: %w", err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := makePrivate(path + suffix); err != nil {
			return "", err
		}
	}
	return path, nil
}

// makePrivate takes a file from everybody but its owner. A file that does not exist is well.
func makePrivate(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("looking at the database file: %w", err)
	case info.IsDir():
		return fmt.Errorf("%s is a directory: give the path of a file in it", path)
	case info.Mode().Perm()&^fileMode == 0:
		return nil
	}
	if err := os.Chmod(path, fileMode); err != nil {
		return fmt.Errorf("making the database file private: %w", err)
	}
	return nil
}

// busyTimeout is how long a connection waits where another one is in the way. Reads are in nobody's
// way, but for the moments when the write-ahead log is made or put right after a crash.
const busyTimeout = 5 * time.Second

// dataSource names the file to database/sql, with the settings of every connection and more.
func dataSource(path string, timeout time.Duration, pragmas ...string) string {
	return (&url.URL{
		Scheme:   "file",
		OmitHost: true,
		Path:     path,
		RawQuery: url.Values{
			"mode": {"rw"}, // a file that vanished is an error, not an empty database
			"_pragma": append([]string{
				fmt.Sprintf("busy_timeout(%d)", timeout.Milliseconds()),
				"synchronous(FULL)", // a commit is on the disk before it returns
				"fullfsync(1)",      // on macOS too, where fsync alone does not do that
				"checkpoint_fullfsync(1)",
				"journal_size_limit(67108864)", // give back what a burst made the log grow to
				"trusted_schema(0)",
			}, pragmas...),
			"_defensive": {"1"},
			"_dqs":       {"0"},
			"_error_rc":  {"1"},
		}.Encode(),
	}).String()
}
