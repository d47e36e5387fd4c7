package dispatch_test

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"os"
	"slices"
	"testing"
	"time"

	"webhooks/shared/dispatch"
	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

// simulator runs a seed with a planted bug, and returns the trace and what was wrong.
type simulator func(t *testing.T, seed uint64, plant func(p *process)) (trace string, wrong []string)

// mutant is a planted bug: it changes the parts of a new engine.
type mutant struct {
	name  string
	plant func(p *process)
}

// TestMutants checks that the simulation finds planted bugs, and prints how many seeds that takes: the median of three first seeds,
// or of STARTS.
func TestMutants(t *testing.T) { findMutants(t, mutants(), nil, 3, simulate) }

// findMutants finds each mutant from a number of first seeds on, or from STARTS. If there is a function for its name, only the seeds for
// which it returns true can find the mutant; the others are counted, but not simulated.
func findMutants(t *testing.T, mutants []mutant, canFind map[string]func(seed uint64) bool, starts uint64, simulate simulator) {
	const limit = 2000
	if text := os.Getenv("STARTS"); text != "" {
		starts = number(t, text)
	}
	isFound := func(t *testing.T, m mutant, seed uint64) bool {
		if can := canFind[m.name]; can != nil && !can(seed) {
			return false
		}
		_, wrong := simulate(t, seed, m.plant)
		return len(wrong) > 0
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			var tries []int
			for start := range starts {
				seed := 1_000_000 * (start + 1)
				n := 1
				for ; !isFound(t, m, seed+uint64(n)); n++ {
					if n == limit {
						t.Fatalf("not found with seeds %d to %d", seed+1, seed+limit)
					}
				}
				tries = append(tries, n)
			}
			slices.Sort(tries)
			t.Logf("%s: found after %d seeds (median of %v)", m.name, tries[starts/2], tries)
		})
	}
}

func mutants() []mutant {
	return []mutant{
		{"the outcome is recorded before the POST", func(p *process) {
			p.wrapAttempt(func(ctx context.Context, w webhook.Work, next attempt) (webhook.Outcome, error) {
				early := webhook.Outcome{Ref: w.Ref, Status: webhook.StatusDelivered, Attempt: webhook.Attempt{Number: w.Made + 1, StatusCode: 200}}
				if _, err := p.store.Record(ctx, early); err != nil {
					return early, err
				}
				return next(ctx, w)
			})
		}},
		{"an outcome is dropped if the store fails", func(p *process) {
			p.wrapRecord(func(ctx context.Context, o webhook.Outcome, next record) (bool, error) {
				applied, err := next(ctx, o)
				return applied || err != nil, nil
			})
		}},
		{"an event is sent again if the store fails", func(p *process) {
			p.wrapAttempt(func(ctx context.Context, w webhook.Work, next attempt) (webhook.Outcome, error) {
				o, err := next(ctx, w)
				if err == nil {
					if _, failed := p.store.Record(ctx, o); failed != nil {
						return next(ctx, w)
					}
				}
				return o, err
			})
		}},
		{"an outcome is acknowledged before it is stored", func(p *process) {
			p.wrapRecord(func(ctx context.Context, o webhook.Outcome, next record) (bool, error) {
				time.AfterFunc(3*time.Second, func() { _, _ = next(ctx, o) })
				return true, nil
			})
		}},
		{"attempt numbers begin at 2", func(p *process) {
			p.wrapOutcome(func(_ webhook.Work, o *webhook.Outcome) { o.Attempt.Number++ })
		}},
		{"a step of the schedule is skipped", func(p *process) {
			p.wrapOutcome(func(_ webhook.Work, o *webhook.Outcome) {
				if o.Step == 2 && !o.Due.IsZero() {
					o.Due = p.millis()
				}
			})
		}},
		{"due times are ignored", func(p *process) { p.store = timeless{p.store} }},
		{"Retry-After is ignored", func(p *process) {
			p.wrapPost(func(ctx context.Context, u endpoint.URL, header http.Header, body []byte, next post) (endpoint.Response, error) {
				response, err := next(ctx, u, header, body)
				response.Header.Del("Retry-After")
				return response, err
			})
		}},
		{"a pause does not bind other deliveries", func(p *process) {
			p.wrapOutcome(func(_ webhook.Work, o *webhook.Outcome) { o.PausedUntil = time.Time{} })
		}},
		{"a failing lane is attempted as a healthy one", func(p *process) {
			p.wrapWork(func(w *webhook.Work) { w.Lane.FailingSince, w.Lane.ProbeAt = time.Time{}, time.Time{} })
		}},
		{"the time of the next probe is ignored", func(p *process) {
			p.wrapWork(func(w *webhook.Work) { w.Lane.ProbeAt = time.Time{} })
		}},
		{"a lane never recovers", func(p *process) {
			p.wrapOutcome(func(_ webhook.Work, o *webhook.Outcome) {
				if o.Lane == webhook.LaneSucceeded {
					o.Lane = webhook.LaneUnchanged
				}
			})
		}},
		{"probes use up steps", func(p *process) {
			p.wrapOutcome(func(_ webhook.Work, o *webhook.Outcome) {
				if o.Lane == webhook.LaneProbeFailed {
					o.Step++
				}
			})
		}},
		{"410 does not disable the webhook", func(p *process) {
			p.wrapOutcome(func(_ webhook.Work, o *webhook.Outcome) {
				if o.Lane == webhook.LaneDisabled {
					o.Lane = webhook.LaneFailed
				}
			})
		}},
		{"work is cached, also of deleted and disabled webhooks", func(p *process) {
			p.store = caching{p.store, make(map[int64]webhook.Work)}
		}},
		{"the timestamp and signature of the first attempt are sent again", func(p *process) {
			first := make(map[string]http.Header)
			p.wrapPost(func(ctx context.Context, u endpoint.URL, header http.Header, body []byte, next post) (endpoint.Response, error) {
				delivery := u.String() + header.Get("Webhook-Id")
				if first[delivery] == nil {
					first[delivery] = header
				}
				return next(ctx, u, first[delivery], body)
			})
		}},
		{"the body is built again for a retry", func(p *process) {
			p.wrapWork(func(w *webhook.Work) {
				if w.Made > 0 {
					w.Event.Body = bytes.Replace(w.Event.Body, []byte(":"), []byte(": "), 1)
				}
			})
		}},
		{"the token of another webhook signs a retry", func(p *process) {
			var last []byte
			p.wrapWork(func(w *webhook.Work) {
				if last != nil && w.Made > 0 {
					w.Webhook.SealedToken = last
				}
				last = w.Webhook.SealedToken
			})
		}},
		{"a retry goes to the URL of another webhook", func(p *process) {
			last := ""
			p.wrapWork(func(w *webhook.Work) {
				if w.Made > 0 {
					w.Webhook.URL = cmp.Or(last, w.Webhook.URL)
				}
				last = w.Webhook.URL
			})
		}},
		{"a grant is not used up", func(p *process) {
			granted := make(map[int64]bool)
			p.wrapWork(func(w *webhook.Work) { granted[w.Number] = w.Granted })
			p.wrapRecord(func(ctx context.Context, o webhook.Outcome, next record) (bool, error) {
				applied, err := next(ctx, o)
				if applied && granted[o.Number] {
					_, _ = p.simulation.store.RetryDelivery(ctx, o.Company, o.WebhookID, o.DeliveryID(), p.now())
				}
				return applied, err
			})
		}},
		{"fan-out is not continued", func(p *process) { p.store = halfFannedOut{p.store} }},
		{"a new engine does not look for old work", func(p *process) { p.store = forgetful{p.store} }},
		{"every other change of the store does not wake the engine", func(p *process) { p.deaf = true }},
	}
}

type (
	attempt func(ctx context.Context, w webhook.Work) (webhook.Outcome, error)
	record  func(ctx context.Context, o webhook.Outcome) (bool, error)
	post    func(ctx context.Context, u endpoint.URL, header http.Header, body []byte) (endpoint.Response, error)
)

// Attempt calls a.
func (a attempt) Attempt(ctx context.Context, w webhook.Work) (webhook.Outcome, error) {
	return a(ctx, w)
}

// Post calls p.
func (p post) Post(ctx context.Context, u endpoint.URL, header http.Header, body []byte) (endpoint.Response, error) {
	return p(ctx, u, header, body)
}

func (p *process) wrapAttempt(wrap func(ctx context.Context, w webhook.Work, next attempt) (webhook.Outcome, error)) {
	next := p.attempter.Attempt
	p.attempter = attempt(func(ctx context.Context, w webhook.Work) (webhook.Outcome, error) { return wrap(ctx, w, next) })
}

func (p *process) wrapOutcome(change func(w webhook.Work, o *webhook.Outcome)) {
	p.wrapAttempt(func(ctx context.Context, w webhook.Work, next attempt) (webhook.Outcome, error) {
		o, err := next(ctx, w)
		change(w, &o)
		return o, err
	})
}

func (p *process) wrapPost(wrap func(ctx context.Context, u endpoint.URL, header http.Header, body []byte, next post) (endpoint.Response, error)) {
	next := p.poster.Post
	p.poster = post(func(ctx context.Context, u endpoint.URL, header http.Header, body []byte) (endpoint.Response, error) {
		return wrap(ctx, u, header, body, next)
	})
}

func (p *process) wrapWork(change func(w *webhook.Work)) { p.store = changedWork{p.store, change} }

func (p *process) wrapRecord(wrap func(ctx context.Context, o webhook.Outcome, next record) (bool, error)) {
	p.store = wrappedRecord{p.store, wrap}
}

type changedWork struct {
	dispatch.Store
	change func(w *webhook.Work)
}

// Work implements the engine's interface.
func (s changedWork) Work(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Work, error) {
	works, err := s.Store.Work(ctx, refs, now)
	for i := range works {
		s.change(&works[i])
	}
	return works, err
}

type wrappedRecord struct {
	dispatch.Store
	wrap func(ctx context.Context, o webhook.Outcome, next record) (bool, error)
}

// Record implements the engine's interface.
func (s wrappedRecord) Record(ctx context.Context, o webhook.Outcome) (bool, error) {
	return s.wrap(ctx, o, s.Store.Record)
}

// timeless is a store in which everything is due.
type timeless struct{ dispatch.Store }

// Due implements [webhook.Backlog].
func (s timeless) Due(ctx context.Context, lane int64, limit int, now time.Time) ([]webhook.Pending, error) {
	due, err := s.Store.Due(ctx, lane, limit, now)
	for i := range due {
		due[i].Due = time.Time{}
	}
	return due, err
}

// Work implements the engine's interface.
func (s timeless) Work(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Work, error) {
	return changedWork{s.Store, func(w *webhook.Work) { w.Due = time.Time{} }}.Work(ctx, refs, now)
}

// caching is a store that reads work once.
type caching struct {
	dispatch.Store
	works map[int64]webhook.Work
}

// Work implements the engine's interface.
func (s caching) Work(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Work, error) {
	works, err := s.Store.Work(ctx, refs, now)
	for _, w := range works {
		s.works[w.Number] = w
	}
	for _, r := range refs {
		isRead := func(w webhook.Work) bool { return w.Number == r.Number }
		if cached, ok := s.works[r.Number]; ok && !slices.ContainsFunc(works, isRead) {
			works = append(works, cached)
		}
	}
	return works, err
}

// halfFannedOut is a store that reports that there was nothing to fan out.
type halfFannedOut struct{ dispatch.Store }

// FanOut implements [webhook.Backlog].
func (s halfFannedOut) FanOut(ctx context.Context) (bool, error) {
	_, err := s.Store.FanOut(ctx)
	return false, err
}

// forgetful is a store that knows no lanes.
type forgetful struct{ dispatch.Store }

// Lanes implements [webhook.Backlog].
func (s forgetful) Lanes(context.Context, int64, int) ([]webhook.Pending, error) { return nil, nil }
