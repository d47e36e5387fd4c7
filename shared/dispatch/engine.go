// Package dispatch delivers the events in a store on one host: it decides which delivery is attempted when.
//
// Each webhook has a lane. Companies with due deliveries take turns, and so do the lanes of a company. A company uses no more slots
// than it leaves free, and a lane only a small part of the slots that its company may still use, so receivers that hang cannot use up
// the engine. Waiting deliveries stay in the store. Only the lanes that have something to do, the numbers of a few due deliveries of
// each, and the running attempts are in memory.
//
// One goroutine, the loop, owns this state. It reads the store, starts a goroutine for each attempt, and applies its result.
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

// DefaultSlots is the default number of attempts that run at the same time.
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
	// Log receives the failures of the store and of this service. No line contains anything that a customer or receiver sent.
	Log *slog.Logger
	// Retention is how long events are kept. It is longer than [webhook.MaxAge].
	Retention time.Duration
	// Slots is the maximum number of attempts at the same time; zero means [DefaultSlots].
	Slots int
	// Attempted, if it is not nil, is called after the outcome of an attempt has been stored, by multiple goroutines.
	Attempted func(w webhook.Work, o webhook.Outcome)
}

// Engine delivers events while [Engine.Run] runs. [New] creates one.
type Engine struct {
	Config
	wake             chan struct{} // has an element if the loop must take a turn
	working, failing atomic.Int64  // numbers of lanes, see Lanes

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

// Wake tells the engine that the store may have new deliveries or grants. It does not block. It is safe for concurrent use by
// multiple goroutines.
func (e *Engine) Wake() {
	e.mu.Lock()
	e.changed = true
	e.mu.Unlock()
	e.rouse()
}

// Lanes returns the number of lanes that have unfinished deliveries, and how many of them are failing.
func (e *Engine) Lanes() (withWork, failing int) { return int(e.working.Load()), int(e.failing.Load()) }

// Run delivers until ctx ends, and then returns as soon as the running attempts have ended and their outcomes are stored, which
// takes at most about 16 seconds. If the store fails, it keeps trying, but only for a few seconds after ctx has ended. It can be
// called once.
func (e *Engine) Run(ctx context.Context) {
	defer context.AfterFunc(ctx, e.rouse)()
	l := newLoop(e)
	for ctx.Err() == nil {
		l.turn(ctx)
		<-e.wake
	}
	l.stop(context.WithoutCancel(ctx))
}

func (e *Engine) rouse() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// do runs a task in a goroutine. The loop then calls the function that it returns. The task continues when ctx ends: Run waits for it.
func (l *loop) do(ctx context.Context, task func(ctx context.Context) (apply func(l *loop))) {
	ctx = context.WithoutCancel(ctx)
	run := func() {
		apply := task(ctx)
		l.mu.Lock()
		l.results = append(l.results, apply)
		l.mu.Unlock()
		l.rouse()
	}
	select {
	case l.tasks <- run: // a goroutine waits for it; none does after the loop has stopped
	default:
		tasks := l.tasks
		l.goroutines.Go(func() { l.work(tasks, run) })
	}
}

// work runs a task and then others, unless enough goroutines wait for some. A new goroutine for each attempt would have to grow its
// stack every time.
func (l *loop) work(tasks <-chan func(), run func()) {
	for run != nil {
		run()
		if tasks == nil {
			return
		}
		select {
		case l.spare <- struct{}{}:
			run = <-tasks
			<-l.spare
		default:
			return
		}
	}
}

// news returns and clears what has happened since the loop's last turn.
func (e *Engine) news() (results []func(l *loop), changed bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	results, changed = e.results, e.changed
	e.results, e.changed = nil, false
	return results, changed
}
