package api

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"webhooks/shared/webhook"
)

const (
	// maxInFlight is the maximum number of requests of one company at a time, until their responses have been received.
	maxInFlight = 64
	// maxLargeInFlight is how many of them can have a body of more than maxSmallBody, because large bodies take memory.
	maxLargeInFlight = 16
	// burstSeconds is how many seconds' worth of requests a company can send at once.
	burstSeconds = 2
	// maxIdleCompanies is the number of companies to remember that have no request in flight.
	maxIdleCompanies = 10_000
	// maxRefusedLines is the maximum number of lines per second about requests without a valid key or beyond the limits.
	maxRefusedLines = 10
)

// Limits bounds how much of a process one company can use, or all platform keys together, and how many lines rejected requests
// write to its log. It is safe for concurrent use by multiple goroutines. A nil *Limits has no limits.
type Limits struct {
	perSecond int // 0 means no limit

	mu        sync.Mutex
	companies map[string]*usage

	second   time.Time // the second that the following are about
	lines    int
	unlogged int
}

// usage is what one company uses.
type usage struct {
	inFlight int
	large    int // of those in flight
	bucket   *rate.Limiter
	latest   time.Time // of its requests
}

// NewLimits returns limits for each company: 64 requests at a time, of which up to 16 with large bodies, and the given number of
// requests per second, with bursts of twice as many. Zero means no limit per second.
func NewLimits(perSecond int) *Limits {
	return &Limits{perSecond: perSecond, companies: make(map[string]*usage)}
}

// enter counts a request of a company, or of the platform if it is empty, or returns an error of kind webhook.KindTooMany. The
// request, which can have a large body, must leave afterwards.
func (l *Limits) enter(company string, large bool, now time.Time) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.usage(company)
	subject := "company"
	if company == "" {
		subject = "platform"
	}
	if u.inFlight >= maxInFlight {
		return tooMany(time.Second, "The %s already has %d requests in progress. Wait for their responses.", subject, maxInFlight)
	}
	if large && u.large >= maxLargeInFlight {
		return tooMany(time.Second, "The %s already has %d requests with large bodies in progress. Wait for their responses.", subject, maxLargeInFlight)
	}
	if now.After(u.latest) { // the bucket would refill if time went back
		u.latest = now
	}
	if wait := reserve(u.bucket, u.latest); l.perSecond > 0 && wait > 0 {
		return tooMany(wait, "The %s has sent more than %d requests per second.", subject, l.perSecond)
	}
	u.inFlight++
	if large {
		u.large++
	}
	return nil
}

// reserve takes a token from a bucket, or returns how long it takes until there is one.
func reserve(bucket *rate.Limiter, now time.Time) time.Duration {
	r := bucket.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

func (l *Limits) usage(company string) *usage {
	if u, ok := l.companies[company]; ok {
		return u
	}
	if len(l.companies) >= maxIdleCompanies {
		for name, u := range l.companies {
			if u.inFlight == 0 {
				delete(l.companies, name)
			}
		}
	}
	u := &usage{bucket: rate.NewLimiter(rate.Limit(l.perSecond), burstSeconds*l.perSecond)}
	l.companies[company] = u
	return u
}

func (l *Limits) leave(company string, large bool) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.companies[company]
	u.inFlight--
	if large {
		u.large--
	}
}

// logs reports whether to log a request without a valid key or beyond the limits. Once a second, it logs how many
// requests were left out.
func (l *Limits) logs(log *slog.Logger, now time.Time) bool {
	if l == nil {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if second := now.Truncate(time.Second); !second.Equal(l.second) {
		l.second, l.lines = second, 0
	}
	l.lines++
	if l.lines <= maxRefusedLines {
		return true
	}
	if l.unlogged++; l.unlogged == 1 {
		time.AfterFunc(time.Second, func() { log.Info("refused requests were not logged", "count", l.takeUnlogged()) })
	}
	return false
}

func (l *Limits) takeUnlogged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	count := l.unlogged
	l.unlogged = 0
	return count
}

func tooMany(wait time.Duration, format string, args ...any) error {
	e := webhook.Errorf(webhook.KindTooMany, format, args...)
	e.RetryAfter = wait
	return e
}
