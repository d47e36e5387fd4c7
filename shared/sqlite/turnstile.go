package sqlite

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"

	"webhooks/shared/webhook"
)

// turnstile prevents the events of one company from filling the writer's queue: changes with a total size of up to maxBatch can be in
// the queue, and the others wait in front of it. The zero value is ready to use.
type turnstile struct {
	mu        sync.Mutex
	companies map[string]*waiting // those with events in the queue or in front of it
}

type waiting struct {
	room  *semaphore.Weighted
	count int // of changes
}

// enter waits until there is room for a change of a company, or returns the error of a context that ends before. The change must leave
// afterwards.
func (t *turnstile) enter(ctx context.Context, company string, size int) (leave func(), err error) {
	n := int64(min(size, maxBatch))
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
		w = &waiting{room: semaphore.NewWeighted(maxBatch)}
		if t.companies == nil {
			t.companies = make(map[string]*waiting)
		}
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
