package api

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

// The maximum number of concurrent TLS checks. A check can wait five seconds for a server of the customer's choosing.
// Without a limit, one customer could make this process open thousands of connections to a victim, or keep it busy for
// everyone else. So the first check of each company has slots that no company's further checks can take.
const (
	maxFirstChecks       = 192
	maxFurtherChecks     = 64
	maxFurtherPerCompany = 7
	maxWaitingPerCompany = 16
)

// maxWait is how long to wait for a slot. A check that began later might not end within the time of its request.
const maxWait = 4 * time.Second

// suspicion is how long a company has one check at a time after one of its checks failed, or its client left during one.
const suspicion = time.Minute

// tlsSlots limits concurrent TLS checks.
type tlsSlots struct {
	now            func() time.Time
	first, further chan struct{}

	mu        sync.Mutex
	companies map[string]*companySlots
}

type companySlots struct {
	first, further chan struct{}
	users          int // holding a slot or waiting for one
	failed         time.Time
}

func newTLSSlots(now func() time.Time) *tlsSlots {
	return &tlsSlots{
		now:       now,
		first:     make(chan struct{}, maxFirstChecks),
		further:   make(chan struct{}, maxFurtherChecks),
		companies: make(map[string]*companySlots),
	}
}

// check runs check in a slot, for which it waits. If the company's own slots stay taken, or too many of its checks are
// waiting, the error is of kind webhook.KindTooMany. If the shared slots stay taken, it is of kind
// webhook.KindUnavailable. A company waits for one of its own slots before it takes one of the shared ones, so it never
// holds more than its share.
func (s *tlsSlots) check(ctx context.Context, company string, check func() error) error {
	own, suspect, err := s.enter(company)
	if err != nil {
		return err
	}
	defer s.leave(company, own)

	waiting, cancel := context.WithTimeout(ctx, maxWait)
	defer cancel()
	slots, shared, further := own.first, s.first, own.further
	var better chan struct{} // the company's first slot, while this check waits with a further one
	if suspect {
		further = nil
	}
	select {
	case own.first <- struct{}{}: // preferred
	default:
		select {
		case own.first <- struct{}{}:
		case further <- struct{}{}:
			slots, shared, better = further, s.further, own.first
		case <-waiting.Done():
			return tooMany(maxWait, "The company's webhooks are still waiting for TLS checks. Create fewer at the same time.")
		}
	}
	defer func() { <-slots }()
	for ready := false; !ready; {
		select {
		case shared <- struct{}{}:
			ready = true
		case better <- struct{}{}:
			<-slots
			slots, shared, better = own.first, s.first, nil
		case <-waiting.Done():
			return webhook.Unavailable(fmt.Errorf("waiting to check TLS: %w", waiting.Err()))
		}
	}
	defer func() { <-shared }()

	err = check()
	if webhook.KindOf(err) == webhook.KindInvalid || errors.Is(ctx.Err(), context.Canceled) { // a client could leave before its check fails
		s.suspect(own)
	}
	return err
}

// enter returns a company's slots, and whether one of its checks failed lately.
func (s *tlsSlots) enter(company string) (own *companySlots, suspect bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own, ok := s.companies[company]
	if !ok {
		s.forget()
		own = &companySlots{first: make(chan struct{}, 1), further: make(chan struct{}, maxFurtherPerCompany)}
		s.companies[company] = own
	}
	running := 1 + maxFurtherPerCompany
	if suspect = s.now().Sub(own.failed) < suspicion; suspect {
		running = 1
	}
	if own.users >= running+maxWaitingPerCompany {
		return nil, false, tooMany(time.Second, "The company already has %d webhooks waiting for a TLS check.", maxWaitingPerCompany)
	}
	own.users++
	return own, suspect, nil
}

// suspect remembers that a check failed.
func (s *tlsSlots) suspect(own *companySlots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own.failed = s.now()
}

// leave forgets a company without checks, unless one failed lately.
func (s *tlsSlots) leave(company string, own *companySlots) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if own.users--; own.users == 0 && own.failed.IsZero() {
		delete(s.companies, company)
	}
}

// forget removes companies whose checks failed long ago, once there are many.
func (s *tlsSlots) forget() {
	if len(s.companies) < maxIdleCompanies {
		return
	}
	for company, own := range s.companies {
		if own.users == 0 && s.now().Sub(own.failed) >= suspicion {
			delete(s.companies, company)
		}
	}
}
