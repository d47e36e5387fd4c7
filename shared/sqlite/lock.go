package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"webhooks/shared/webhook"
)

// lockPause is how long [LockDelivery] waits before it tries again.
const lockPause = 250 * time.Millisecond

// LockDelivery calls the function [LockDelivery] with the file of this store.
func (s *Store) LockDelivery(ctx context.Context) (unlock func() error, err error) {
	return LockDelivery(ctx, s.path)
}

// LockDelivery waits until no other process holds the lock for delivering from the database at path, which must exist, and acquires
// it. If ctx ends first, it returns the context's error, of kind [webhook.KindUnavailable]. unlock releases the lock, and so does the
// end of the process. The lock is on a file next to the database, which is never removed.
func LockDelivery(ctx context.Context, path string) (unlock func() error, err error) {
	path, err = filepath.EvalSymlinks(path) // the same for all links to the database
	if err != nil {
		return nil, webhook.Unavailable(fmt.Errorf("finding the database file: %w", err))
	}
	file, err := os.OpenFile(path+"-delivery", os.O_RDWR|os.O_CREATE, fileMode)
	if err != nil {
		return nil, webhook.Unavailable(fmt.Errorf("opening the lock file of deliveries: %w", err))
	}
	pause := time.NewTicker(lockPause)
	defer pause.Stop()
	for {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return file.Close, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, webhook.Unavailable(errors.Join(fmt.Errorf("locking the deliveries: %w", err), file.Close()))
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return nil, webhook.Unavailable(errors.Join(ctx.Err(), file.Close()))
		}
	}
}
