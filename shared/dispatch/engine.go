// Package dispatch delivers what a store on one host has to deliver: it decides which delivery is attempted when.
//
// Each webhook has a lane. Companies with due deliveries take turns, and so do the lanes of each company. A company begins an attempt
// only while it uses fewer slots than are free, and a lane only while it uses few compared to what its company may still use, so that
// receivers that hang cannot use up the engine. What waits stays in the store. In
// memory are only the lanes that have something to do, the numbers of a few due deliveries of each, and the running attempts.
//
// One goroutine, the loop, owns all of that. It reads the store, starts a goroutine for each attempt, and gets its result back.
// It sleeps until an attempt has ended, the store has changed, or the next lane is due.
package dispatch

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"webhooks/shared/webhook"
)

// DefaultSlots is how many attempts run at the same time if [Config] does not say.
const DefaultSlots = 1024

// Store is what the engine needs from a store on one host.
type Store interface {
	webhook.Backlog
	Work(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Work, error)
	Record(ctx context.Context, o webhook.Outcome) (applied bool, err error)
}

type attempter interface {
	Attempt(ctx context.Context, w webhook.Work) (webhook.Outcome, error)
}

// Config has the parts of an engine.
type Config struct {
	// Store has the deliveries. Nothing else may deliver from it at the same time.
	Store Store
	// Attempter makes the attempts: a *delivery.Attempter.
	Attempter attempter
	// Now is the clock.
	Now func() time.Time
	// Log gets the failures of the store and of this service. No line contains anything that a customer or receiver sent.
	Log *slog.Logger
	// Retention is how long events are kept. It is longer than [webhook.MaxAge].
	Retention time.Duration
	// Slots is how many attempts run at the same time; zero means [DefaultSlots].
	Slots int
	// Attempted is called after the outcome of an attempt was stored, if it is not nil. Several goroutines call it.
	Attempted func(w webhook.Work, o webhook.Outcome)
}

// Engine delivers while it runs. [New] creates one.
type Engine struct {
	Config
	wake           chan struct{} // has an element if the loop must take a turn
	working, stuck atomic.Int64  // numbers of lanes, see Lanes

	mu      sync.Mutex
	changed bool            // since the loop's last turn
	results []func(l *loop) // of goroutines, for the loop to apply
}

// New returns an engine that does nothing until [Engine.Run].
func New(c Config) *Engine {
	if c.Slots == 0 {
		c.Slots = DefaultSlots
	}
	return &Engine{Config: c, wake: make(chan struct{}, 1), changed: true}
}

// Wake says that the store may have new deliveries or grants. It does not block. It is safe for concurrent use by multiple
// goroutines.
func (e *Engine) Wake() {
	e.mu.Lock()
	e.changed = true
	e.mu.Unlock()
	e.rouse()
}

// Lanes returns the number of lanes that have unfinished deliveries, and how many of them are failing.
func (e *Engine) Lanes() (withWork, failing int) { return int(e.working.Load()), int(e.stuck.Load()) }

// Run delivers until ctx ends, and then returns as soon as the running attempts have ended and their outcomes are stored, which
// takes at most about 16 seconds. If the store fails, it keeps trying. It can be called once.
func (e *Engine) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, e.rouse)()
	l := newLoop(e)
	for ctx.Err() == nil {
		l.turn(ctx)
		<-e.wake
	}
	l.timer.Stop()
	l.goroutines.Wait()
}

func (e *Engine) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// do runs a task in a goroutine, and lets the loop apply its result. The task continues when ctx ends: Run waits for it.
func (l *loop) do(ctx context.Context, task func(ctx context.Context) (apply func(l *loop))) {
	ctx = context.WithoutCancel(ctx)
	l.goroutines.Go(func() {
		apply := task(ctx)
		l.mu.Lock()
		l.results = append(l.results, apply)
		l.mu.Unlock()
		l.rouse()
	})
}

// news returns and clears what has happened since the last turn.
func (e *Engine) news() (results []func(l *loop), changed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	results, changed = e.results, e.changed
	e.results, e.changed = nil, false
	return results, changed
}
