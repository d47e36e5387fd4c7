package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	codes "modernc.org/sqlite/lib"
)

// Summary is what a database file that was read as a whole is and has.
type Summary struct {
	// Schema is the version of its tables.
	Schema int
	// Size is the file's, in bytes.
	Size int64
	// Webhooks are those of all Companies that have any.
	Webhooks, Companies int
}

// What else can be wrong with a file that should be a backup.
var (
	errOpenElsewhere = errors.New("there is a write-ahead log beside it, so it is a database in use and no backup: make a backup of it")
	errDamaged       = errors.New("the file is damaged: use another backup")
)

// Verify reads a whole database file that nothing writes to, such as a backup, without changing
// anything. It refuses one that is damaged or without the tables of its version, of a newer version
// of this program, or another program's.
func Verify(ctx context.Context, path string) (Summary, error) {
	summary, err := verify(ctx, path, migrations)
	if err != nil {
		return Summary{}, fmt.Errorf("verifying %s: %w", path, err)
	}
	return summary, nil
}

func verify(ctx context.Context, path string, steps fs.FS) (Summary, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Summary{}, err
	}
	if err := checkBackupFile(path); err != nil {
		return Summary{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Summary{}, withoutPath(err)
	}
	db, err := sql.Open(driverName, frozenSource(path))
	if err != nil {
		return Summary{}, err
	}
	summary, err := inspect(ctx, db, steps)
	summary.Size = info.Size()
	return summary, errors.Join(damage(err), db.Close())
}

// checkBackupFile refuses what is no file that nothing writes to.
func checkBackupFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return errNoFile
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // SQLite follows a link, too, and has the log beside what it leads to
	}
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return errOpenElsewhere
	}
	return nil
}

// frozenSource names a file that nothing writes to. SQLite makes no files beside it.
func frozenSource(path string) string {
	return (&url.URL{
		Scheme:   "file",
		OmitHost: true,
		Path:     path,
		RawQuery: url.Values{
			"mode":      {"ro"},
			"immutable": {"1"},
			"_pragma":   {"query_only(1)", "trusted_schema(0)", "cell_size_check(1)"},
			"_error_rc": {"1"},
		}.Encode(),
	}).String()
}

// inspect checks and counts. A damaged file may fail at any of these.
func inspect(ctx context.Context, db *sql.DB, steps fs.FS) (summary Summary, err error) {
	names, err := stepNames(steps)
	if err != nil {
		return Summary{}, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return Summary{}, err
	}
	defer conn.Close()
	if summary.Schema, err = checkVersion(ctx, conn, len(names)); err != nil {
		return Summary{}, err
	}
	if summary.Schema == 0 {
		return Summary{}, errNotOurs
	}
	var found string
	if err := conn.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return Summary{}, err
	}
	if found != "ok" {
		return Summary{}, errDamaged
	}
	if err := checkTables(ctx, conn, steps, names[:summary.Schema]); err != nil {
		return Summary{}, err
	}
	const totals = "SELECT coalesce(sum(webhooks), 0), count(*) FROM counters WHERE webhooks > 0"
	return summary, conn.QueryRowContext(ctx, totals).Scan(&summary.Webhooks, &summary.Companies)
}

// checkTables refuses a file without any of the tables, columns and indexes that the steps make which
// it says were applied. What else is in it does no harm.
func checkTables(ctx context.Context, conn *sql.Conn, steps fs.FS, names []string) error {
	got, err := tables(ctx, conn)
	if err != nil {
		return err
	}
	model, err := sql.Open(driverName, ":memory:")
	if err != nil {
		return err
	}
	defer model.Close()
	memory, err := model.Conn(ctx)
	if err != nil {
		return err
	}
	defer memory.Close()
	if err := applySteps(ctx, memory, steps, names); err != nil {
		return err
	}
	want, err := tables(ctx, memory)
	if err != nil {
		return err
	}
	for _, part := range want {
		if !slices.Contains(got, part) {
			return errDamaged
		}
	}
	return nil
}

// tables gives every table and index of a database, and every column of the tables.
func tables(ctx context.Context, conn *sql.Conn) (parts []string, err error) {
	rows, err := conn.QueryContext(ctx, `SELECT concat_ws(' ', m.type, m.name, c.name, c.type)
		FROM sqlite_schema AS m LEFT JOIN pragma_table_info(m.name) AS c ON true`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var part string
		if err := rows.Scan(&part); err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, rows.Err()
}

// damage says in our words what SQLite says of a file that is no whole database.
func damage(err error) error {
	switch code(err) & primaryCode {
	case codes.SQLITE_NOTADB:
		return errNoFile
	case codes.SQLITE_CORRUPT:
		return errDamaged
	}
	return err
}

// withoutPath leaves out of an error of a file what a sentence around it names.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
