package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

const (
	// lockTimeout is how long SQLite waits for another process's lock before the writer asks anew.
	// SQLite looks again after 1 ms, then ever more seldom; asking anew begins with 1 ms again,
	// and so of two busy processes neither is left behind.
	lockTimeout = 20 * time.Millisecond
	// lockAttempts is how often the writer asks: for 10 seconds, after which those who wait are
	// told, if their own deadlines have not ended the wait before.
	lockAttempts = 500
	// maxBatch bounds how much one transaction takes in, and so how long its first one waits.
	maxBatch = 256
)

// writer is the one goroutine that changes the file. While it commits, others queue up; then it
// takes in all of them and commits them together. So a sync of the disk, by far the most expensive
// part of a write, is shared by everything that waits for one.
type writer struct {
	db      *sql.DB
	queue   chan *write // unbuffered: what is not taken in is still the caller's
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
}

// write is a change that waits for the writer.
type write struct {
	ctx  context.Context                             // of the caller: once it has ended nobody waits
	run  func(ctx context.Context, s *session) error // may be called again after it was undone
	err  error                                       // set before done is closed
	done chan struct{}
}

// startWriter starts the goroutine, which goes on after ctx has ended, until it is closed.
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

// change runs a change in the writer's next transaction and returns after its commit. When ctx ends
// before, it returns at once, and the change may or may not happen. The change's values must not
// be touched by the caller any more.
func (w *writer) change(ctx context.Context, run func(ctx context.Context, s *session) error) error {
	if err := ctx.Err(); err != nil {
		return translate(err)
	}
	op := &write{ctx: ctx, run: run, done: make(chan struct{})}
	select {
	case w.queue <- op:
	case <-ctx.Done():
		return translate(ctx.Err())
	case <-w.stop:
		return webhook.Unavailable(errClosed)
	}
	select {
	case <-op.done:
		return op.err
	case <-ctx.Done():
		return translate(ctx.Err())
	}
}

// close lets the writer finish what it has taken in and ends it.
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

// gather takes in everything that waits.
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

// commit runs a batch in one transaction and answers everybody. Where the transaction is lost, as
// SQLite gives up a whole one when the disk is full, so is what the changes found, for they may have
// seen what never came to be: each is run again alone, and only those that fail then are told so.
func (w *writer) commit(ctx context.Context, s *session, batch []*write) {
	err := s.transact(ctx, batch)
	if err != nil {
		s.abandon()
	}
	if err != nil && len(batch) > 1 && !IsBusy(err) {
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

// transact runs a batch as one transaction. A change that fails is undone alone.
func (s *session) transact(ctx context.Context, batch []*write) error {
	if err := s.lock(ctx, batch); err != nil {
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

// lock begins a transaction that may write. While another process has the lock, it asks again for
// as long as anybody in the batch waits.
func (s *session) lock(ctx context.Context, batch []*write) error {
	for attempt := 1; ; attempt++ {
		err := s.exec(ctx, "BEGIN IMMEDIATE")
		if !IsBusy(err) || attempt == lockAttempts || !anybodyWaits(batch) {
			return err
		}
	}
}

func anybodyWaits(batch []*write) bool {
	for _, op := range batch {
		if op.ctx.Err() == nil {
			return true
		}
	}
	return false
}

// attempt runs one change and undoes it where it fails. An error of attempt itself means that the
// whole transaction is lost.
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
