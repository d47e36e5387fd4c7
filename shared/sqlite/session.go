package sqlite

import (
	"context"
	"database/sql"
	"database/sql/driver"
)

// session is the writer's connection with its prepared statements. It connects on first use, and again after it is abandoned.
type session struct {
	db       *sql.DB
	conn     *sql.Conn
	prepared map[string]*sql.Stmt

	// Of the current transaction: how many deliveries it may still insert, and whether there is news for [Store.Changes].
	room int64
	news bool

	fannedOut string // the company whose fan-out was continued last
}

// statement prepares a query once for the life of the connection.
func (s *session) statement(ctx context.Context, query string) (*sql.Stmt, error) {
	if s.conn == nil {
		conn, err := s.db.Conn(ctx)
		if err != nil {
			return nil, err
		}
		s.conn, s.prepared = conn, make(map[string]*sql.Stmt)
	}
	if stmt, ok := s.prepared[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(ctx, query)
	if err == nil {
		s.prepared[query] = stmt
	}
	return stmt, err
}

// exec runs a statement.
func (s *session) exec(ctx context.Context, query string, args ...any) error {
	_, err := s.changed(ctx, query, args...)
	return err
}

// changed runs a statement and reports whether it changed any row.
func (s *session) changed(ctx context.Context, query string, args ...any) (bool, error) {
	n, err := s.count(ctx, query, args...)
	return n > 0, err
}

// count runs a statement and returns how many rows it changed.
func (s *session) count(ctx context.Context, query string, args ...any) (int64, error) {
	_, n, err := s.insert(ctx, query, args...)
	return n, err
}

// insert runs a statement that inserts rows, and returns the number of the last one and how many there are.
func (s *session) insert(ctx context.Context, query string, args ...any) (last, rows int64, err error) {
	stmt, err := s.statement(ctx, query)
	if err != nil {
		return 0, 0, err
	}
	result, err := stmt.ExecContext(ctx, args...)
	if err != nil {
		return 0, 0, err
	}
	if rows, err = result.RowsAffected(); err != nil {
		return 0, 0, err
	}
	last, err = result.LastInsertId()
	return last, rows, err
}

// scan runs a query and reads its first row, or returns sql.ErrNoRows.
func (s *session) scan(ctx context.Context, query string, args []any, dest ...any) error {
	stmt, err := s.statement(ctx, query)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(ctx, args...).Scan(dest...)
}

// abandon closes a connection whose transaction failed, so that the next transaction starts on a new one.
func (s *session) abandon() {
	s.disconnect(driver.ErrBadConn)
}

// disconnect closes the statements and returns the connection to its pool. With driver.ErrBadConn, database/sql closes the
// connection instead. The statements must be closed first: the driver panics if one is closed after its connection.
func (s *session) disconnect(reason error) {
	if s.conn == nil {
		return
	}
	for _, stmt := range s.prepared {
		_ = stmt.Close()
	}
	_ = s.conn.Raw(func(any) error { return reason })
	_ = s.conn.Close()
	s.conn, s.prepared = nil, nil
}
