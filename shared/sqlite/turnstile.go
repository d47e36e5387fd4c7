package sqlite

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"webhooks/shared/webhook"
)

const (
	// maxPublished is the total size of the changes with which one company publishes events that wait in the writer's queue.
	maxPublished = maxBatch
	// maxListed is how many lists of one company are read at the same time.
	maxListed = 4
)

// turnstile prevents one company from filling a queue for all of them: calls with a total size of up to limit can be in the queue, and
// the others wait in front of it.
type turnstile struct {
	limit int

	mu        sync.Mutex
	companies map[string]*waiting // those with calls in the queue or in front of it
}

type waiting struct {
	room  *semaphore.Weighted
	count int // of calls
}

func newTurnstile(limit int) *turnstile {
	return &turnstile{limit: limit, companies: make(map[string]*waiting)}
}

// enter waits until there is room for a call of a company, or returns the error of a context that ends before. The call must leave
// afterwards.
func (t *turnstile) enter(ctx context.Context, company string, size int) (leave func(), err error) {
	n := int64(min(size, t.limit))
	w := t.join(company)
	if err := w.room.Acquire(ctx, n); err != nil {
		t.part(company, w)
		return nil, err
	}
	return func() {
		w.room.Release(n)
		t.part(company, w)
	}, nil
}

func (t *turnstile) join(company string) *waiting {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := t.companies[company]
	if w == nil {
		w = &waiting{room: semaphore.NewWeighted(int64(t.limit))}
		t.companies[company] = w
	}
	w.count++
	return w
}

func (t *turnstile) part(company string, w *waiting) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if w.count--; w.count == 0 {
		delete(t.companies, company)
	}
}

// publisher returns the company of events, or an empty string if they belong to several: then the platform publishes them.
func publisher(events []webhook.NewEvent) string {
	company := ""
	for i, e := range events {
		if i > 0 && e.Company != company {
			return ""
		}
		company = e.Company
	}
	return company
}
