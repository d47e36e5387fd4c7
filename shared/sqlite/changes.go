package sqlite

import (
	"context"
	"database/sql"
	"time"
)

const (
	// changesPause is how often [Store.Changes] looks for commits of other processes, and quietPause how often after it has looked
	// quietLooks times without finding one: waking up ten times a second would be most of what an idle process does.
	changesPause = 100 * time.Millisecond
	quietPause   = time.Second
	quietLooks   = 100

	// dataVersion changes with every commit of another connection.
	dataVersion = `PRAGMA data_version`
)

// Changes calls changed when there may be new work: immediately after this Store has committed events or grants, and within about
// 100 ms after any other commit by any process, or a second if there was none for ten seconds. It returns when ctx ends. changed must
// not block. Only one call of Changes may be active at a time.
func (s *Store) Changes(ctx context.Context, changed func()) {
	watch := watcher{db: s.reads.db}
	defer watch.disconnect()
	pause := time.NewTicker(changesPause)
	defer pause.Stop()
	quiet := 0
	for {
		select {
		case <-s.writes.news:
			changed()
		case <-pause.C:
			quiet++
			if watch.changed(ctx) {
				changed()
				quiet = 0
				pause.Reset(changesPause)
			} else if quiet == quietLooks {
				pause.Reset(quietPause)
			}
		case <-ctx.Done():
			return
		}
	}
}

// watcher notices commits by other connections than its own.
type watcher struct {
	db      *sql.DB
	conn    *sql.Conn // nil: not connected
	query   *sql.Stmt
	version int64
}

// changed reports whether there may have been a commit since the last call.
func (w *watcher) changed(ctx context.Context) bool {
	before := w.version
	err := w.connect(ctx)
	if err == nil {
		// The driver starts a goroutine to watch a context that can end.
		err = w.query.QueryRowContext(context.WithoutCancel(ctx)).Scan(&w.version)
	}
	if err != nil {
		w.disconnect()
	}
	return err != nil || w.version != before
}

func (w *watcher) connect(ctx context.Context) error {
	if w.conn != nil {
		return nil
	}
	conn, err := w.db.Conn(ctx)
	if err != nil {
		return err
	}
	w.conn, w.version = conn, 0
	w.query, err = conn.PrepareContext(ctx, dataVersion)
	return err
}

func (w *watcher) disconnect() {
	if w.query != nil {
		_ = w.query.Close()
	}
	if w.conn != nil {
		_ = w.conn.Close()
	}
	w.conn, w.query = nil, nil
}
