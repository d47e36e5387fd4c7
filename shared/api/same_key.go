package api

import (
	"context"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

// How a request with an idempotency key divides its time, in tenths of what it has left. Of the ten
// seconds of [DefaultTimeout], four may go into waiting for another request with its key, five are the
// longest that a TLS check takes, and one is for reading whether that other request succeeded after all.
const (
	tenthsOfTurn  = 4
	tenthsOfCheck = 9 // of what is left then: waiting for a slot, and the check
)

// turns lets the first of the requests with one idempotency key go ahead, while the others in this
// process wait: its answer will be theirs. Without it, they would all connect to the receiver, which may
// accept one of them and refuse the next.
type turns struct {
	mu    sync.Mutex
	first map[turn]chan struct{} // closed when that request has ended
}

type turn struct {
	company string
	key     webhook.IdempotencyKey
}

func newTurns() *turns { return &turns{first: make(map[turn]chan struct{})} }

// enter returns when the request should go ahead: at once, or where another one with the key is on its
// way, when that has ended or has taken too long. All that wait go ahead together, since the failure of
// one says nothing of the others. The request calls leave when it has ended.
func (t *turns) enter(ctx context.Context, company string, key *webhook.IdempotencyKey) (leave func()) {
	if key == nil {
		return func() {}
	}
	mine := turn{company: company, key: *key}
	t.mu.Lock()
	ended, waits := t.first[mine]
	if !waits {
		ended = make(chan struct{})
		t.first[mine] = ended
	}
	t.mu.Unlock()
	if !waits {
		return func() { t.leave(mine, ended) }
	}
	limited, cancel := spend(ctx, tenthsOfTurn)
	defer cancel()
	select {
	case <-ended:
	case <-limited.Done():
	}
	return func() {}
}

func (t *turns) leave(mine turn, ended chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.first, mine)
	close(ended)
}

// spend gives a context that ends after some tenths of the time that ctx has left.
func spend(ctx context.Context, tenths time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)*tenths/10)
}

// checkTLS checks the host's certificate, which may take long. Where another request with the same key
// has had its webhook stored meanwhile, it gives that creation: instead of a check, after waiting to
// make one, and instead of a refusal.
func (e *creating) checkTLS(ctx context.Context, a attempt) (*webhook.EarlierCreation, error) {
	if a.key == nil {
		_, err := e.checkInSlot(ctx, a)
		return nil, err
	}
	limited, cancel := spend(ctx, tenthsOfCheck)
	defer cancel()
	earlier, refusal := e.checkInSlot(limited, a)
	if refusal == nil {
		return earlier, nil
	}
	earlier, err := e.earlier(ctx, a)
	if err != nil || earlier != nil {
		return earlier, err
	}
	return nil, refusal
}

// checkInSlot makes the check when it has a slot, unless there is an earlier creation by then.
func (e *creating) checkInSlot(ctx context.Context, a attempt) (*webhook.EarlierCreation, error) {
	release, waited, err := e.slots.acquire(ctx, a.company)
	if err != nil {
		return nil, err
	}
	defer release()
	if waited {
		earlier, err := e.earlier(ctx, a)
		if err != nil || earlier != nil {
			return earlier, err
		}
	}
	return nil, e.TLS.CheckTLS(ctx, a.target)
}

// earlier reads whether there is a creation under the key by now; there is none without a key.
func (e *creating) earlier(ctx context.Context, a attempt) (*webhook.EarlierCreation, error) {
	if a.key == nil {
		return nil, nil
	}
	state, err := e.Store.PrepareCreation(ctx, webhook.CreationQuery{Company: a.company, Key: a.key, Now: e.Now()})
	return state.Earlier, err
}
