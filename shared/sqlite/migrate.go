package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	codes "modernc.org/sqlite/lib"
)

// migrations are the steps from an empty file to the current schema, in name order. A released step is never edited; changes
// are new steps.
//
//go:embed schema/*.sql
var migrations embed.FS

// applicationID in SQLite's header marks a file as ours: "whks" in ASCII.
const applicationID = 0x77686b73

const (
	// openTimeout is how long [Open] and [Restore] wait for other processes' locks on the file, give or take [busyTimeout].
	openTimeout = 30 * time.Second
	// openPause is the time between two attempts.
	openPause = 50 * time.Millisecond
)

// Reasons why an existing file is rejected.
var (
	errNotOurs = errors.New("the file belongs to another program: use another path")
	errNoFile  = errors.New("the file is not a SQLite database: use another path, or restore a backup")
)

// migrate updates a file to the schema after all steps. SQLite's user_version is the number of applied steps.
func migrate(ctx context.Context, path string, steps fs.FS) error {
	db, err := sql.Open(driverName, dataSource(path, busyTimeout))
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	err = retryBusy(ctx, func() error {
		_, err := db.ExecContext(ctx, "PRAGMA journal_mode = WAL")
		return err
	})
	if err == nil {
		err = retryBusy(ctx, func() error { return applyMigrations(ctx, db, steps) })
	}
	if code(err)&primaryCode == codes.SQLITE_NOTADB {
		err = errNoFile
	}
	return errors.Join(err, db.Close())
}

// retryBusy repeats an operation while other processes have the lock. If ctx ends meanwhile, the error also names the lock. SQLite
// itself does not wait for the lock when it changes the journal mode.
func retryBusy(ctx context.Context, do func() error) error {
	waiting, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	pause := time.NewTicker(openPause)
	defer pause.Stop()
	var busy error // of the last attempt that found the file locked
	for {
		err := do()
		if isBusy(err) {
			busy = fmt.Errorf("%w: %w", errLocked, err)
		} else if err == nil || busy == nil || ctx.Err() == nil {
			return err
		}
		select {
		case <-pause.C:
		case <-waiting.Done():
		}
		if err := waiting.Err(); err != nil {
			return fmt.Errorf("%w: %w", err, busy)
		}
	}
}

// applyMigrations applies the missing steps in one transaction. It locks the file first, so that only one of several processes
// applies them.
func applyMigrations(ctx context.Context, db *sql.DB, steps fs.FS) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err = applyMissing(ctx, conn, steps)
	if err == nil {
		_, err = conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// If this fails as well, the first error is still the one to report.
		_, _ = conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK")
	}
	return err
}

func applyMissing(ctx context.Context, conn *sql.Conn, steps fs.FS) error {
	names, err := stepNames(steps)
	if err != nil {
		return err
	}
	version, err := checkVersion(ctx, conn, len(names))
	if err != nil || version == len(names) {
		return err
	}
	if err := applySteps(ctx, conn, steps, names[version:]); err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d; PRAGMA application_id = %d", len(names), applicationID))
	return err
}

// stepNames returns the files of the steps in order.
func stepNames(steps fs.FS) ([]string, error) { return fs.Glob(steps, "schema/*.sql") }

func applySteps(ctx context.Context, conn *sql.Conn, steps fs.FS, names []string) error {
	for _, name := range names {
		text, err := fs.ReadFile(steps, name)
		if err != nil {
			return err
		}
		if _, err := conn.ExecContext(ctx, string(text)); err != nil {
			return fmt.Errorf("applying %s: %w", name, err)
		}
	}
	return nil
}

// checkVersion returns the number of applied steps. It rejects files of other programs and of newer versions.
func checkVersion(ctx context.Context, conn *sql.Conn, known int) (version int, err error) {
	var owner, tables int
	query := "SELECT (SELECT user_version FROM pragma_user_version), (SELECT application_id FROM pragma_application_id), (SELECT count(*) FROM sqlite_schema)"
	if err := conn.QueryRowContext(ctx, query).Scan(&version, &owner, &tables); err != nil {
		return 0, err
	}
	switch {
	case version < 0, owner != applicationID && (owner != 0 || version != 0 || tables != 0):
		return 0, errNotOurs
	case version > known:
		return 0, fmt.Errorf("a newer version of this program created the file (schema %d, this program supports up to %d): use that version or a newer one", version, known)
	}
	return version, nil
}
