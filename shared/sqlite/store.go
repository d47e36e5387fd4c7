// Package sqlite stores webhooks, event types, API keys, events and deliveries in one SQLite file. It implements the same contracts
// as the store on DynamoDB, and the contracts of deliveries. It needs no other software.
//
// One goroutine per process writes. It commits all changes that wait as one transaction, which is on the disk before any of
// them is acknowledged. Reads have their own pool of connections and never wait for the writer: with SQLite's write-ahead log,
// each read sees the last committed state. Several processes on one machine may use the file concurrently. Network file
// systems are not supported.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"time"

	"webhooks/shared/access"
	"webhooks/shared/webhook"
)

// Store is a [webhook.Store], [webhook.DeliveryStore], [webhook.Backlog] and [access.KeyStore] on one SQLite file. It is safe for
// concurrent use by multiple goroutines.
type Store struct {
	path   string
	file   os.FileInfo // the open file, to notice when it is moved or replaced
	now    func() time.Time
	reads  *reader
	writes *writer

	published turnstile
}

var (
	_ webhook.Store         = (*Store)(nil)
	_ webhook.DeliveryStore = (*Store)(nil)
	_ webhook.Backlog       = (*Store)(nil)
	_ access.KeyStore       = (*Store)(nil)
)

// Open opens the file at path and updates its tables. It creates the file with mode 0600 if it does not exist, but not the
// directory. It rejects a file that belongs to another program or to a newer version of this one, or that cannot be written. The
// clock now decides which idempotency records can be deleted. The caller must call [Store.Close].
func Open(ctx context.Context, path string, now func() time.Time) (*Store, error) {
	return open(ctx, path, now, migrations)
}

// open is [Open] with the migrations as a parameter.
func open(ctx context.Context, path string, now func() time.Time, steps fs.FS) (*Store, error) {
	path, err := prepareFile(path)
	if err != nil {
		return nil, err
	}
	if err := migrate(ctx, path, steps); err != nil {
		return nil, fmt.Errorf("opening the database file %s: %w", path, err)
	}
	reads, err := openReader(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("opening the database file %s: %w", path, err)
	}
	writes, err := startWriter(ctx, path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database file %s: %w", path, err), reads.close())
	}
	file, err := os.Stat(path)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening the database file: %w", err), writes.close(), reads.close())
	}
	return &Store{path: path, file: file, now: now, reads: reads, writes: writes}, nil
}

// Close finishes pending writes and closes the file. Later calls fail.
func (s *Store) Close() error {
	return errors.Join(s.writes.close(), s.reads.close())
}

const ping = `SELECT EXISTS (SELECT 1 FROM counters)`

// Ping implements [webhook.Store]. It also fails if the open file is no longer the one at its path, because the next process
// would not find the data in it. And it fails if the file can no longer be written, for example because the file system has
// become read-only.
func (s *Store) Ping(ctx context.Context) error {
	var any bool
	if err := s.reads.row(ctx, ping).Scan(&any); err != nil {
		return translate(err)
	}
	if there, err := os.Stat(s.path); err != nil || !os.SameFile(s.file, there) {
		return webhook.Unavailable(fmt.Errorf("the database file %s was moved or replaced while it was open: move it back, or restart with the new one", s.path))
	}
	if err := checkWritable(files(s.path)...); err != nil {
		return webhook.Unavailable(err)
	}
	return nil
}

// reader is a pool of connections that only read, with every query of the package prepared. Limits are written as LIMIT ?1 + 0,
// because SQLite prepares a statement again whenever a parameter that is the whole limit gets a value.
type reader struct {
	db       *sql.DB
	prepared map[string]*sql.Stmt
}

func openReader(ctx context.Context, path string) (*reader, error) {
	db, err := sql.Open(driverName, dataSource(path, busyTimeout, "query_only(1)"))
	if err != nil {
		return nil, err
	}
	size := max(16, 2*runtime.GOMAXPROCS(0))
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	r := &reader{db: db, prepared: make(map[string]*sql.Stmt)}
	for _, query := range []string{
		ping, selectWebhook, selectPage, selectCount, selectState, selectAvailable,
		selectTypes, selectKeyByHash, selectKeys,
		selectEvent, selectAnyToFanOut, selectLane, selectLaneOfWebhook, selectDeliveries, selectEventDeliveries,
		selectNumber, selectWork, selectBodies, selectArrived, selectLastNumber, selectLanes, selectDue, selectGranted,
		selectBacklogSize, selectDeletedWebhooks, selectOldEvents, selectExpired,
	} {
		if r.prepared[query], err = db.PrepareContext(ctx, query); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	return r, nil
}

func (r *reader) row(ctx context.Context, query string, args ...any) *sql.Row {
	return r.prepared[query].QueryRowContext(ctx, args...)
}

func (r *reader) rows(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	return r.prepared[query].QueryContext(ctx, args...)
}

// close closes the connections and their statements.
func (r *reader) close() error { return r.db.Close() }
