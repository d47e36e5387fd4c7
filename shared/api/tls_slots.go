package api

import (
	"context"
	"fmt"
	"sync"

	"webhooks/shared/webhook"
)

// How many TLS checks run at once, of one company and in all. A check may take five seconds of
// waiting for a stranger's server: without a bound, one customer could have this process make
// connections to a victim by the thousand, or keep it from anybody else's.
const (
	maxChecksOfCompany = 8
	maxChecks          = 64
)

// checkSlots hands out the right to make a TLS check. Who finds none waits for one.
type checkSlots struct {
	all chan struct{}

	mu        sync.Mutex
	companies map[string]*companySlots
}

type companySlots struct {
	slots chan struct{}
	users int // holding a slot or waiting; the last one takes the entry away
}

func newCheckSlots() *checkSlots {
	return &checkSlots{all: make(chan struct{}, maxChecks), companies: make(map[string]*companySlots)}
}

// acquire waits for a slot until ctx ends, which is webhook.KindUnavailable, and tells whether it had
// to wait at all. A company waits for one of its own first, so that it never holds more than its share
// of what all have.
func (s *checkSlots) acquire(ctx context.Context, company string) (release func(), waited bool, err error) {
	own := s.enter(company)
	waitedForOwn, err := take(ctx, own.slots)
	if err != nil {
		s.leave(company)
		return nil, true, err
	}
	waitedForAll, err := take(ctx, s.all)
	if err != nil {
		<-own.slots
		s.leave(company)
		return nil, true, err
	}
	return func() {
		<-s.all
		<-own.slots
		s.leave(company)
	}, waitedForOwn || waitedForAll, nil
}

func (s *checkSlots) enter(company string) *companySlots {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, ok := s.companies[company]
	if !ok {
		own = &companySlots{slots: make(chan struct{}, maxChecksOfCompany)}
		s.companies[company] = own
	}
	own.users++
	return own
}

func (s *checkSlots) leave(company string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.companies[company]
	if own.users--; own.users == 0 {
		delete(s.companies, company)
	}
}

func take(ctx context.Context, slots chan struct{}) (waited bool, err error) {
	select {
	case slots <- struct{}{}:
		return false, nil
	default:
	}
	select {
	case slots <- struct{}{}:
		return true, nil
	case <-ctx.Done():
		return true, webhook.Unavailable(fmt.Errorf("waiting to check TLS: %w", ctx.Err()))
	}
}
