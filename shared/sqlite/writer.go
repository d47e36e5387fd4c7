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
	// maxBatch limits the size of the changes per transaction, and therefore how long the first one waits.
	maxBatch = 256
	// maxWait is how long a change of changeSoon waits for others that share its commit.
	maxWait = 5 * time.Millisecond
	// crowdWait is how long the other changes wait while several callers change something at the same time. A commit costs more
	// CPU time than the changes in it.
	crowdWait = time.Millisecond
)

// writer owns the goroutine that changes the file. While the goroutine commits, other changes queue up, and then it commits all
// of them together. They share one sync of the disk, which is by far the most expensive part of a write.
type writer struct {
	db      *sql.DB
	queue   chan *write   // unbuffered: a change that was not received still belongs to the caller
	patient chan *write   // likewise, for changes that may wait for others
	news    chan struct{} // has a value if there was a commit with news
	stop    chan struct{}
	stopped chan struct{}
	once    sync.Once
	locked  atomic.Bool // whether the last attempt to begin a transaction found that another process has the lock
}

// write is a change that waits for the writer.
type write struct {
	ctx     context.Context                             // of the caller, which stops waiting when it ends
	size    int                                         // about how many rows or pages it changes
	patient bool                                        // it may wait for others
	run     func(ctx context.Context, s *session) error // may be called again after a rollback
	err     error                                       // set before done is closed
	done    chan struct{}
}

// startWriter starts the goroutine, which runs until it is closed, even after ctx has ended.
func startWriter(ctx context.Context, path string) (*writer, error) {
	// Savepoints keep the pages that change in memory, not in a temporary file.
	db, err := sql.Open(driverName, dataSource(path, lockTimeout, "temp_store(MEMORY)"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	w := &writer{
		db:      db,
		queue:   make(chan *write),
		patient: make(chan *write),
		news:    make(chan struct{}, 1),
		stop:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	go w.loop(context.WithoutCancel(ctx))
	return w, nil
}

// change runs a change in the writer's next transaction and returns after its commit. If ctx ends first, it returns
// immediately. The change may still happen, so the caller must not use the values that it sets.
func (w *writer) change(ctx context.Context, run func(ctx context.Context, s *session) error) error {
	return w.submit(w.queue, &write{ctx: ctx, size: 1, run: run})
}

// changeMany is change for one that changes about size rows or pages.
func (w *writer) changeMany(ctx context.Context, size int, run func(ctx context.Context, s *session) error) error {
	return w.submit(w.queue, &write{ctx: ctx, size: size, run: run})
}

// changeSoon is change for one of many small changes. It may wait up to maxWait for others, in order to share their commit.
func (w *writer) changeSoon(ctx context.Context, run func(ctx context.Context, s *session) error) error {
	return w.submit(w.patient, &write{ctx: ctx, size: 1, patient: true, run: run})
}

// submit hands a change to the writer and waits until it is committed.
func (w *writer) submit(queue chan<- *write, op *write) error {
	ctx := op.ctx
	if ctx.Err() != nil {
		return w.timeout(ctx)
	}
	op.done = make(chan struct{})
	select {
	case queue <- op:
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
	deadline := time.NewTimer(maxWait)
	defer deadline.Stop()
	var batch []*write
	urgent := false  // whether a change of the batch waits for crowdWait, not maxWait
	crowded := false // whether several changes that were not patient shared the last commit
	for running := true; running; {
		due := len(batch)+1 >= maxBatch
		select {
		case op := <-w.queue:
			batch = append(batch, op)
			if due = due || !crowded; !due && !urgent {
				urgent = true
				deadline.Reset(crowdWait)
			}
		case op := <-w.patient:
			if batch = append(batch, op); len(batch) == 1 {
				deadline.Reset(maxWait)
			}
		case <-deadline.C:
			due = true
		case <-w.stop:
			running, due = false, true
		}
		if due && len(batch) > 0 {
			batch = w.gather(batch)
			w.commit(ctx, s, batch)
			batch, urgent, crowded = nil, false, isCrowd(batch)
		}
	}
}

// isCrowd reports whether several changes of a batch were not patient.
func isCrowd(batch []*write) bool {
	n := 0
	for _, op := range batch {
		if !op.patient {
			n++
		}
	}
	return n > 1
}

// gather adds the other changes that wait to a batch.
func (w *writer) gather(batch []*write) []*write {
	size := 0
	for _, op := range batch {
		size += op.size
	}
	for size < maxBatch {
		var next *write
		select { // at random, so that neither kind keeps the other one waiting
		case next = <-w.queue:
		case next = <-w.patient:
		default:
			return batch
		}
		batch, size = append(batch, next), size+next.size
	}
	return batch
}

// commit runs a batch in one transaction and reports to all callers. If the whole transaction fails, as it does when the disk
// is full, the results of its changes are void, because they may have seen each other. Each change then runs again on its own,
// and only those that fail again report an error.
func (w *writer) commit(ctx context.Context, s *session, batch []*write) {
	err := w.transact(ctx, s, batch, s.run)
	if errors.Is(err, errOneFailed) {
		err = w.transact(ctx, s, batch, s.runWithSavepoint)
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

// errOneFailed is the error of a transaction that was rolled back because one of its changes failed.
var errOneFailed = errors.New("a change failed")

// transact runs a batch as one transaction, each change with a function. If that returns an error, nothing happens.
func (w *writer) transact(ctx context.Context, s *session, batch []*write, run func(ctx context.Context, op *write) error) error {
	if err := w.lock(ctx, s, batch); err != nil {
		s.abandon()
		return err
	}
	s.room, s.news = maxFanOut, false
	for _, op := range batch {
		if op.err = op.ctx.Err(); op.err != nil {
			continue
		}
		if err := run(ctx, op); err != nil {
			return errors.Join(err, s.rollBack(ctx))
		}
	}
	if err := s.exec(ctx, "COMMIT"); err != nil {
		s.abandon()
		return err
	}
	if s.news {
		select {
		case w.news <- struct{}{}:
		default: // there is some already
		}
	}
	return nil
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

// run runs a change. Savepoints are expensive, so it uses none: if the change fails, the whole transaction has to be rolled back.
func (s *session) run(ctx context.Context, op *write) error {
	if op.run(ctx, s) != nil {
		return errOneFailed
	}
	return nil
}

// runWithSavepoint runs a change and rolls it back if it fails. An error means that the whole transaction has failed.
func (s *session) runWithSavepoint(ctx context.Context, op *write) error {
	if err := s.exec(ctx, "SAVEPOINT change"); err != nil {
		return err
	}
	room := s.room
	if op.err = op.run(ctx, s); op.err != nil {
		s.room = room
		if err := s.exec(ctx, "ROLLBACK TO change"); err != nil {
			return errors.Join(op.err, err)
		}
	}
	return s.exec(ctx, "RELEASE change")
}

// rollBack undoes the transaction. If that fails, the connection is not used again.
func (s *session) rollBack(ctx context.Context) error {
	err := s.exec(ctx, "ROLLBACK")
	if err != nil {
		s.abandon()
	}
	return err
}
