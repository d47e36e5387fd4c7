package api

import (
	"context"
	"fmt"
	"sync"

	"webhooks/shared/webhook"
)

// The maximum number of concurrent TLS checks, per company and in total. A check can wait five
// seconds for a server of the customer's choosing. Without a limit, one customer could make this
// process open thousands of connections to a victim, or keep it busy for everyone else.
const (
	maxChecksPerCompany = 8
	maxChecks           = 64
)

// tlsSlots limits concurrent TLS checks. Its zero value is not ready for use; see [newTLSSlots].
type tlsSlots struct {
	all chan struct{}

	mu        sync.Mutex
	companies map[string]*companySlots
}

type companySlots struct {
	slots chan struct{}
	users int // holding a slot or waiting for one; the last one removes the entry
}

func newTLSSlots() *tlsSlots {
	return &tlsSlots{all: make(chan struct{}, maxChecks), companies: make(map[string]*companySlots)}
}

// acquire waits for a slot; the caller must release it. If ctx ends first, the error is of
// [webhook.KindUnavailable]. A company waits for one of its own slots before it takes one of the
// shared ones, so it never holds more than its share.
func (s *tlsSlots) acquire(ctx context.Context, company string) (release func(), err error) {
	own := s.enter(company)
	if err := take(ctx, own.slots); err != nil {
		s.leave(company)
		return nil, err
	}
	if err := take(ctx, s.all); err != nil {
		<-own.slots
		s.leave(company)
		return nil, err
	}
	return func() {
		<-s.all
		<-own.slots
		s.leave(company)
	}, nil
}

func (s *tlsSlots) enter(company string) *companySlots {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, ok := s.companies[company]
	if !ok {
		own = &companySlots{slots: make(chan struct{}, maxChecksPerCompany)}
		s.companies[company] = own
	}
	own.users++
	return own
}

func (s *tlsSlots) leave(company string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.companies[company]
	if own.users--; own.users == 0 {
		delete(s.companies, company)
	}
}

// take puts a token into slots. A free slot is taken even if ctx has ended.
func take(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return webhook.Unavailable(fmt.Errorf("waiting to check TLS: %w", ctx.Err()))
	}
}
