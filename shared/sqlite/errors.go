package sqlite

import (
	"context"
	"database/sql"
	"errors"

	driver "modernc.org/sqlite"
	codes "modernc.org/sqlite/lib"

	"webhooks/shared/webhook"
)

// errClosed is the cause of the failure of a call after [Store.Close].
var errClosed = errors.New("the database file has been closed")

// primaryCode is the part of a result code that says what kind of failure it is; the rest tells
// where it happened.
const primaryCode = 0xff

// translate turns an error of the driver or of database/sql into one of the domain. Errors of the
// domain pass as they are.
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
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), mayPass(err):
		return webhook.Unavailable(err)
	}
	return &webhook.Error{Kind: webhook.KindInternal, Message: "Internal error", Cause: err}
}

// mayPass reports whether an error of SQLite is of a kind that goes away without a change of the
// program or of the file: another process has the lock, or the disk is full or failing.
func mayPass(err error) bool {
	switch code(err) & primaryCode {
	case codes.SQLITE_BUSY, codes.SQLITE_LOCKED, codes.SQLITE_PROTOCOL, codes.SQLITE_INTERRUPT,
		codes.SQLITE_FULL, codes.SQLITE_IOERR, codes.SQLITE_CANTOPEN, codes.SQLITE_NOMEM:
		return true
	}
	return false
}

// IsFull reports whether an error is SQLite's that the disk has no room left.
func IsFull(err error) bool { return code(err)&primaryCode == codes.SQLITE_FULL }

// IsFailing reports whether an error is SQLite's that the file cannot be opened, read or written: the
// disk fails, or has no room for the files beside it, or this user may not.
func IsFailing(err error) bool {
	switch code(err) & primaryCode {
	case codes.SQLITE_IOERR, codes.SQLITE_CANTOPEN, codes.SQLITE_READONLY, codes.SQLITE_PERM:
		return true
	}
	return false
}

// IsBusy reports whether an error is SQLite's that another process or connection has the lock.
func IsBusy(err error) bool { return code(err)&primaryCode == codes.SQLITE_BUSY }

// code gives SQLite's result code, or zero where err is not SQLite's.
func code(err error) int {
	if e, ok := errors.AsType[*driver.Error](err); ok {
		return e.Code()
	}
	return codes.SQLITE_OK
}
