package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"webhooks/shared/dispatch"
	"webhooks/shared/webhook"
)

// lockPatience is how long another process may deliver before the log says so.
const lockPatience = time.Second

// localStore is a store from which one process at a time delivers.
type localStore interface {
	webhook.DeliveryStore
	webhook.Backlog
	// Changes calls changed when there may be new work, until ctx ends.
	Changes(ctx context.Context, changed func())
	// LockDelivery waits until no other process delivers.
	LockDelivery(ctx context.Context) (unlock func() error, err error)
	// BacklogSize returns the number of unfinished deliveries, and the earliest time at which one of them is due.
	BacklogSize(ctx context.Context) (pending int64, oldestDue time.Time, err error)
}

// localDeliverer delivers the events of a local store.
type localDeliverer struct {
	webhook.DeliveryStore
	*engine
	store localStore
	lanes *dispatch.Engine
}

func newLocalDeliverer(store localStore, e *engine) (deliverer, error) {
	slots, err := e.reserve(dispatch.DefaultSlots)
	if err != nil {
		return nil, err
	}
	lanes := dispatch.New(dispatch.Config{
		Store:     store,
		Attempter: e.attempter,
		Now:       e.now,
		Log:       e.log,
		Retention: time.Duration(e.Retention),
		Slots:     slots,
		Attempted: e.metrics.Attempted,
	})
	e.metrics.Lanes(lanes.Lanes)
	e.metrics.Backlog(store.BacklogSize, e.now, e.log)
	return &localDeliverer{DeliveryStore: e.metrics.Counted(store), engine: e, store: store, lanes: lanes}, nil
}

// run implements [deliverer]. It waits while another process delivers from the same store.
func (d *localDeliverer) run(ctx context.Context) error {
	waiting := time.AfterFunc(lockPatience, func() {
		d.log.Info("another process delivers the events of this database: this one takes over when that one stops")
	})
	unlock, err := d.store.LockDelivery(ctx)
	waiting.Stop()
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("cannot deliver: %w", storeError(err))
	}
	d.log.Info("delivering")
	var changes sync.WaitGroup
	changes.Go(func() { d.store.Changes(ctx, d.lanes.Wake) })
	d.lanes.Run(ctx)
	changes.Wait()
	d.client.Close()
	d.log.Info("stopped delivering")
	return unlock()
}
