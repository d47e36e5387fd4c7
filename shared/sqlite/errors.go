package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"webhooks/shared/webhook"
)

// errClosed is the cause of errors after [Store.Close].
var errClosed = errors.New("the database file has been closed")

// errLocked is the cause of errors because another process has the lock on the file.
var errLocked = errors.New("another process has locked the database file")

// primaryCode masks the part of a result code that is the kind of error. The rest is a detail, such as the failed operation.
const primaryCode = 0xff

// translate turns an error of the driver or of database/sql into an error of the domain. It returns errors of the domain
// unchanged.
func translate(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*webhook.Error](err); ok {
		return err
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return webhook.ErrNotFound
	case IsLocked(err):
		return webhook.Unavailable(err)
	case isBusy(err):
		return webhook.Unavailable(fmt.Errorf("%w: %w", errLocked, err))
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), isTemporary(err):
		return webhook.Unavailable(err)
	}
	return &webhook.Error{Kind: webhook.KindInternal, Message: "Internal error", Cause: err}
}

// isTemporary reports whether an error of SQLite can go away without a change to the program or the file, for example because
// another process has the lock, or the disk is full or failing.
func isTemporary(err error) bool {
	switch code(err) & primaryCode {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_PROTOCOL, codes.SQLITE_INTERRUPT,
		codes.SQLITE_FULL, codes.SQLITE_IOERR, codes.SQLITE_CANTOPEN, codes.SQLITE_NOMEM:
		return true
	}
	return false
}

// IsFull reports whether err is SQLite's error for a full disk.
func IsFull(err error) bool { return code(err)&primaryCode == codes.SQLITE_FULL }

// IsFailing reports whether err is SQLite's error for a file that cannot be opened, read or written. Possible causes are a
// failing disk, no space for the files next to the database, and missing permissions.
func IsFailing(err error) bool {
	switch code(err) & primaryCode {
	case codes.SQLITE_IOERR, codes.SQLITE_CANTOPEN, codes.SQLITE_READONLY, codes.SQLITE_PERM:
		return true
	}
	return false
}

// IsLocked reports whether another process's lock on the file caused err.
func IsLocked(err error) bool { return errors.Is(err, errLocked) }

// isBusy reports whether err is SQLite's error for a lock held by another process or connection.
func isBusy(err error) bool { return code(err)&primaryCode == codes.SQLITE_BUSY }

// code returns SQLite's result code, or zero if err is not an error of SQLite.
func code(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code()
	}
	return codes.SQLITE_OK
}
