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

// Summary describes a database file that was read completely.
type Summary struct {
	// Schema is the version of the tables.
	Schema int
	// Size is the size of the file in bytes.
	Size int64
	// Webhooks and APIKeys are the numbers of all companies' webhooks and API keys, including expired and revoked keys.
	Webhooks, APIKeys int
}

// Reasons why a backup is rejected.
var (
	errOpenElsewhere = errors.New("it has a write-ahead log, so it is a database in use and not a backup: use \"webhookctl backup\"")
	errDamaged       = errors.New("the file is damaged: use another backup")
)

// Verify reads all of a database file that nothing writes to, such as a backup, without changing it. It returns an error if the
// file is damaged, lacks tables of its version, or belongs to another program or to a newer version of this one.
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

// checkBackupFile rejects anything except a file that nothing writes to.
func checkBackupFile(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return withoutPath(err)
	}
	if !info.Mode().IsRegular() {
		return errNoFile
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real // SQLite follows a link and keeps the log next to the target
	}
	if log, err := os.Stat(path + "-wal"); err == nil && log.Size() > 0 {
		return errOpenElsewhere
	}
	return nil
}

// frozenSource returns the data source name of a file that nothing writes to. SQLite creates no files next to it.
func frozenSource(path string) string {
	return (&url.URL{
		Scheme:   "file",
		OmitHost: true,
		Path:     path,
		RawQuery: url.Values{
			"mode":      {"ro"},
			"immutable": {"1"},
			"_pragma":   {"trusted_schema(0)", "cell_size_check(1)"},
			"_error_rc": {"1"},
		}.Encode(),
	}).String()
}

// inspect checks a file and counts its webhooks and API keys. If the file is damaged, any of the steps may fail.
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
	const totals = "SELECT (SELECT coalesce(sum(webhooks), 0) FROM counters), (SELECT count(*) FROM api_keys)"
	return summary, conn.QueryRowContext(ctx, totals).Scan(&summary.Webhooks, &summary.APIKeys)
}

// checkTables checks that the file has all tables, columns and indexes of its version. It ignores anything else in the file.
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

// tables returns every table and index of a database, and every column of the tables.
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

// damage translates the errors of SQLite for a file that is not an intact database.
func damage(err error) error {
	switch code(err) & primaryCode {
	case codes.SQLITE_NOTADB:
		return errNoFile
	case codes.SQLITE_CORRUPT:
		return errDamaged
	}
	return err
}

// withoutPath returns the cause of a file error without the path, for messages that already contain it.
func withoutPath(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
