package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
)

// ErrInUse is why a database file cannot be replaced: another process has it open, or replaces it
// as well.
var ErrInUse = errors.New("the database file is open in another process")

// Where SQLite puts its locks in a database file: the pending byte, the reserved byte, and the
// 510 shared ones. They are far behind the end of most files, and the page they are in is never
// used. (Section "File Locking Notes" of os_unix.c, https://sqlite.org/src/file/src/os_unix.c)
const (
	lockStart  = 0x40000000
	lockLength = 2 + 510
)

// lockExclusively takes a database file for this process alone, by SQLite's own locks: a process
// that has it open holds a shared lock for as long as that lasts, since the file is in WAL mode, and
// one that opens it afterwards waits. The lock goes when the file is closed. It answers [ErrInUse]
// where it cannot be had at once.
//
// Such locks do not hold between parts of one process, which must not have the file open itself.
func lockExclusively(file *os.File) error {
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Whence: io.SeekStart, Start: lockStart, Len: lockLength}
	err := syscall.FcntlFlock(file.Fd(), syscall.F_SETLK, &lock)
	switch {
	case errors.Is(err, syscall.EAGAIN), errors.Is(err, syscall.EACCES):
		return ErrInUse
	case err != nil:
		return fmt.Errorf("locking the database file: %w", err)
	}
	return nil
}
