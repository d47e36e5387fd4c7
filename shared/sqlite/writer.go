package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"webhooks/shared/webhook"
)

const (
	// lockTimeout is how long SQLite waits for another process's lock before the writer tries again. SQLite polls after
	// 1 ms and then at increasing intervals. Every attempt starts at 1 ms again, so neither of two busy processes starves.
	lockTimeout = 20 * time.Millisecond
	// lockAttempts limits the wait to 10 seconds in total. It ends earlier if no caller waits any longer.
	lockAttempts = 500
	// maxBatch limits the changes per transaction, and therefore how long the first one waits.
	maxBatch = 256
)

// writer owns the goroutine that changes the file. While the goroutine commits, other changes queue up, and then it commits all
// of them together. They share one sync of the disk, which is by far the most expensive part of a write.
type writer struct {
	db      *sql.DB
	queue   chan *write // unbuffered: a change that was not received still belongs to the caller
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
	locked  atomic.Bool // whether the last attempt to begin a transaction found that another process has the lock
}

// write is a change that waits for the writer.
type write struct {
	ctx  context.Context                             // of the caller, which stops waiting when it ends
	run  func(ctx context.Context, s *session) error // may be called again after a rollback
	err  error                                       // set before done is closed
	done chan struct{}
}

// startWriter starts the goroutine, which runs until it is closed, even after ctx has ended.
func startWriter(ctx context.Context, path string) (*writer, error) {
	db, err := sql.Open(driverName, dataSource(path, lockTimeout))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	w := &writer{
		db:      db,
		queue:   make(chan *write),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go w.loop(context.WithoutCancel(ctx))
	return w, nil
}

// change runs a change in the writer's next transaction and returns after its commit. If ctx ends first, it returns
// immediately. The change may still happen, so the caller must not use the values that it sets.
func (w *writer) change(ctx context.Context, run func(ctx context.Context, s *session) error) error {
	if ctx.Err() != nil {
		return w.timeout(ctx)
	}
	op := &write{ctx: ctx, run: run, done: make(chan struct{})}
	select {
	case w.queue <- op:
	case <-ctx.Done():
		return w.timeout(ctx)
	case <-w.stop:
		return webhook.Unavailable(errClosed)
	}
	select {
	case <-op.done:
		return op.err
	case <-ctx.Done():
		return w.timeout(ctx)
	}
}

// timeout returns the error for a change whose context ended while it was waiting.
func (w *writer) timeout(ctx context.Context) error {
	if w.locked.Load() {
		return webhook.Unavailable(fmt.Errorf("%w: %w", errLocked, ctx.Err()))
	}
	return translate(ctx.Err())
}

// close waits until the writer has finished the changes it has received, and stops it.
func (w *writer) close() error {
	w.once.Do(func() { close(w.stop) })
	<-w.stopped
	return w.db.Close()
}

func (w *writer) loop(ctx context.Context) {
	defer close(w.stopped)
	s := &session{db: w.db}
	defer s.disconnect(nil)
	for {
		select {
		case first := <-w.queue:
			w.commit(ctx, s, w.gather(first))
		case <-w.stop:
			return
		}
	}
}

// gather receives the other changes that wait.
func (w *writer) gather(first *write) []*write {
	batch := []*write{first}
	for len(batch) < maxBatch {
		select {
		case next := <-w.queue:
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// commit runs a batch in one transaction and reports to all callers. If the whole transaction fails, as it does when the disk
// is full, the results of its changes are void, because they may have seen each other. Each change then runs again on its own,
// and only those that fail again report an error.
func (w *writer) commit(ctx context.Context, s *session, batch []*write) {
	err := w.transact(ctx, s, batch)
	if err != nil {
		s.abandon()
	}
	if err != nil && len(batch) > 1 && !isBusy(err) {
		for _, op := range batch {
			w.commit(ctx, s, []*write{op})
		}
		return
	}
	for _, op := range batch {
		if err != nil {
			op.err = err
		}
		op.err = translate(op.err)
		close(op.done)
	}
}

// transact runs a batch as one transaction. A change that fails is rolled back on its own.
func (w *writer) transact(ctx context.Context, s *session, batch []*write) error {
	if err := w.lock(ctx, s, batch); err != nil {
		return err
	}
	for _, op := range batch {
		if op.err = op.ctx.Err(); op.err != nil {
			continue
		}
		if err := s.attempt(ctx, op); err != nil {
			return err
		}
	}
	return s.exec(ctx, "COMMIT")
}

// lock begins a write transaction. While another process has the lock, it tries again as long as any caller of the batch is
// waiting.
func (w *writer) lock(ctx context.Context, s *session, batch []*write) error {
	for attempt := 1; ; attempt++ {
		err := s.exec(ctx, "BEGIN IMMEDIATE")
		w.locked.Store(isBusy(err))
		if !isBusy(err) || attempt == lockAttempts || !anyWaits(batch) {
			return err
		}
	}
}

func anyWaits(batch []*write) bool {
	for _, op := range batch {
		if op.ctx.Err() == nil {
			return true
		}
	}
	return false
}

// attempt runs one change and rolls it back if it fails. An error of attempt itself means that the whole transaction has
// failed.
func (s *session) attempt(ctx context.Context, op *write) error {
	if err := s.exec(ctx, "SAVEPOINT change"); err != nil {
		return err
	}
	if op.err = op.run(ctx, s); op.err != nil {
		if err := s.exec(ctx, "ROLLBACK TO change"); err != nil {
			return errors.Join(op.err, err)
		}
	}
	return s.exec(ctx, "RELEASE change")
}
