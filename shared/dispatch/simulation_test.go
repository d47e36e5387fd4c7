package dispatch_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/dispatch"
	"webhooks/shared/endpoint"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

// simulation is one run of the engine, of which a seed decides everything: what clients do, how receivers respond, what fails, and
// the order of everything that happens at the same time. It runs in a bubble of synctest. Each effect first takes a step: it waits
// until all goroutines do, and is then the one that the seed picks.
type simulation struct {
	plan
	random   *rand.Rand // only for the goroutine that was let through
	began    time.Time
	recorder *deliverytest.Recorder
	store    store            // for clients
	backlog  dispatch.Store   // the same on one host, for its engine
	queues   *queues          // nil on one host
	close    func() error     // of the store
	plant    func(p *process) // plants a bug; nil for none
	trace    strings.Builder
	errors   []string

	subscribers map[string]*receiver // by URL
	known       []webhook.Ref        // deliveries that may exist
	accepted    []webhook.Event
	posts       int
	steps       int
	interfered  bool     // whether a webhook was deleted or a retry granted: then a lane may be in memory for something that is done
	network     *network // nil if POSTs go to the model of a receiver

	mu        sync.Mutex
	parked    []*step
	wake      chan struct{}
	offset    time.Duration // of the service's clock
	process   *process      // the engine on one host
	living    []*process    // that have neither ended nor crashed, if there are queues
	calm      bool
	busy      bool // an effect takes place
	ended     bool
	abandoned bool
}

// maxSteps ends a simulation in which something is repeated forever.
const maxSteps = 50_000

// store is what clients need from a store.
type store interface {
	webhook.DeliveryStore
	CreateWebhook(ctx context.Context, c webhook.Creation) (*webhook.EarlierCreation, error)
	DeleteWebhook(ctx context.Context, company, id string) error
	AddEventType(ctx context.Context, t webhook.EventType) error
}

// step is an effect that waits to be let through.
type step struct {
	name    string
	process *process // nil if it does not end with the engine
	alive   chan bool
}

// step waits until the seed picks this step. It reports whether the process that the step belongs to is still alive.
func (s *simulation) step(p *process, format string, args ...any) (alive bool) {
	s.mu.Lock()
	if p != nil && p.crashed || s.abandoned {
		s.mu.Unlock()
		return false
	}
	waiting := &step{fmt.Sprintf(format, args...), p, make(chan bool, 1)}
	s.parked = append(s.parked, waiting)
	s.mu.Unlock()
	s.rouse()
	return <-waiting.alive
}

// alone lets nothing else through until an effect is complete, even if that takes time.
func (s *simulation) alone(effect func()) {
	s.setBusy(true)
	effect()
	s.setBusy(false)
	s.rouse()
}

func (s *simulation) setBusy(busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = busy
}

func (s *simulation) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// loop lets one step through at a time. When there is none, time goes on.
func (s *simulation) loop() {
	for {
		synctest.Wait()
		s.mu.Lock()
		ended, waiting := s.ended, len(s.parked)
		if s.busy {
			waiting = 0
		}
		s.mu.Unlock()
		switch {
		case ended:
			return
		case s.steps == maxSteps:
			s.abandon()
			s.steps++
		case waiting == 0:
			<-s.wake
		case !s.calm && s.chance(s.crashes):
			s.disrupt()
		case !s.calm && s.chance(s.jumps):
			s.jump()
		default:
			s.letThrough()
		}
	}
}

func (s *simulation) letThrough() {
	s.mu.Lock()
	slices.SortStableFunc(s.parked, func(a, b *step) int { return cmp.Compare(a.name, b.name) })
	i := s.random.IntN(len(s.parked))
	picked := s.parked[i]
	s.parked = slices.Delete(s.parked, i, i+1)
	s.mu.Unlock()
	s.steps++
	s.note("%s", picked.name)
	picked.alive <- true
}

// abandon ends a simulation that does not come to an end.
func (s *simulation) abandon() {
	s.wrong("there are more than %d steps", maxSteps)
	for _, p := range append(slices.Clone(s.living), s.process) {
		if p != nil && !p.crashed {
			s.kill(p)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandoned = true
	for _, waiting := range s.parked {
		waiting.alive <- false
	}
}

// chance reports true with a probability of 1 in n, and never if n is 0.
func (s *simulation) chance(n int) bool { return n > 0 && s.random.IntN(n) == 0 }

// between returns a random time from low to high.
func (s *simulation) between(low, high time.Duration) time.Duration {
	return low + time.Duration(s.random.Int64N(int64(high-low)/int64(time.Millisecond)+1))*time.Millisecond
}

// note adds a line to the trace.
func (s *simulation) note(format string, args ...any) {
	fmt.Fprintf(&s.trace, "%12s ", time.Since(s.began).Round(time.Millisecond))
	fmt.Fprintf(&s.trace, format, args...)
	s.trace.WriteByte('\n')
}

func (s *simulation) wrong(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.errors = append(s.errors, fmt.Sprintf(format, args...))
}

// now is the service's clock.
func (s *simulation) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.offset).Round(0).UTC()
}

func (s *simulation) millis() time.Time { return s.now().Truncate(time.Millisecond) }

// jump sets the service's clock forward, or back a little: what the engine waits for after failures lasts longer then. (The real
// clock has a monotonic reading, which such waits use.)
func (s *simulation) jump() {
	if s.queues != nil {
		s.queues.skew()
		return
	}
	by := s.between(-time.Minute, 20*time.Minute)
	s.note("-- clock jumps by %v", by)
	s.recorder.Add(deliverytest.Jumped{By: by})
	s.mu.Lock()
	defer s.mu.Unlock()
	s.offset += by
}

// disrupt ends a process.
func (s *simulation) disrupt() {
	if s.queues != nil {
		s.queues.killOne()
	} else {
		s.restart()
	}
}

// process is an engine between two crashes, with what it is made of. On a host with queues, it is an invocation of a function.
type process struct {
	*simulation
	queueStore queueStore
	queue      webhook.Queue
	label      string                // begins the names of its steps
	skewed     time.Duration         // how much its clock differs
	runs       map[int64]webhook.Ref // of attempts

	store     dispatch.Store
	attempter interface {
		Attempt(ctx context.Context, w webhook.Work) (webhook.Outcome, error)
	}
	poster interface {
		Post(ctx context.Context, u endpoint.URL, header http.Header, body []byte) (endpoint.Response, error)
	}
	deaf bool // whether the store's changes wake it only sometimes; with queues, whether it deletes all messages

	engine  *dispatch.Engine
	stop    context.CancelFunc
	stopped chan struct{}
	dead    chan struct{}
	ending  bool // it was stopped, has ended or has crashed
	crashed bool // protected by the simulation's mutex
}

// now is the clock of the process.
func (p *process) now() time.Time { return p.simulation.now().Add(p.skewed) }

func (s *simulation) start() {
	p := &process{simulation: s, stopped: make(chan struct{}), dead: make(chan struct{})}
	p.store, p.attempter, p.poster = &gatedStore{p}, &attempts{p}, &modelPoster{p}
	if s.network != nil {
		p.poster = s.network.client(p)
	}
	if s.plant != nil {
		s.plant(p)
	}
	p.engine = dispatch.New(dispatch.Config{
		Store: p.store, Attempter: p.attempter, Now: s.now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		Retention: 30 * 24 * time.Hour, Slots: s.slots,
	})
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	s.mu.Lock()
	s.process = p
	s.mu.Unlock()
	go func() {
		defer close(p.stopped)
		p.engine.Run(ctx)
		if !p.crashed {
			p.recorder.Add(deliverytest.Stopped{})
		}
	}()
}

// restart ends the engine, and another one starts on the same store: after a crash, or after it has stopped in an orderly way.
func (s *simulation) restart() {
	p := s.process
	if p.ending {
		return
	}
	p.ending = true
	pause := s.between(0, 20*time.Second) * time.Duration(s.random.IntN(2))
	ended := p.stopped
	if s.chance(4) {
		s.note("-- stop, restart in %v", pause)
		p.stop()
	} else {
		s.note("-- crash, restart in %v", pause)
		s.crash(p)
		ended = p.dead
	}
	go func() {
		<-ended
		time.Sleep(pause)
		if s.step(nil, "start the engine") {
			s.start()
		}
	}()
}

// crash ends an engine.
func (s *simulation) crash(p *process) {
	s.kill(p)
	s.recorder.Add(deliverytest.Crashed{})
}

// kill ends a process: nothing that it does from now on has an effect.
func (s *simulation) kill(p *process) {
	s.mu.Lock()
	p.crashed = true
	parked := s.parked
	s.parked = nil
	for _, waiting := range parked {
		if waiting.process == p {
			waiting.alive <- false
		} else {
			s.parked = append(s.parked, waiting)
		}
	}
	s.mu.Unlock()
	close(p.dead)
	p.stop()
}

// changed is what the store does after a change.
func (s *simulation) changed() {
	if s.queues != nil {
		return
	}
	s.mu.Lock()
	p := s.process
	s.mu.Unlock()
	if !p.deaf || s.chance(2) {
		p.engine.Wake()
	}
}

// simulate runs a seed and returns the trace and what was wrong.
func simulate(t *testing.T, seed uint64, plant func(p *process)) (trace string, wrong []string) {
	var s *simulation
	synctest.Test(t, func(t *testing.T) {
		s = newSimulation(t, seed, plant)
		s.start()
		for _, a := range s.actions {
			go s.act(a)
		}
		go s.end()
		s.loop()
	})
	for _, v := range deliverytest.Check(s.recorder.History(), deliverytest.Options{Schedule: s.schedule, Patience: 3 * time.Minute}) {
		s.wrong("%v", v)
	}
	return s.trace.String(), s.errors
}

func newSimulation(t *testing.T, seed uint64, plant func(p *process)) *simulation {
	s := newWorld(seed, plant)
	memory := webhooktest.NewMemory()
	memory.FanOutLimit = s.fanOutLimit
	s.store, s.backlog = memory, memory
	if s.onDisk {
		disk, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "webhooks.db"), s.now)
		if err != nil {
			t.Fatal(err)
		}
		s.store, s.backlog, s.close = disk, disk, disk.Close
	}
	s.prepare(t)
	return s
}

// newWorld returns a simulation that has no store yet.
func newWorld(seed uint64, plant func(p *process)) *simulation {
	random := rand.New(rand.NewPCG(seed, 0))
	return &simulation{
		plan: newPlan(random), random: random, plant: plant, began: time.Now(), recorder: deliverytest.NewRecorder(time.Now),
		subscribers: make(map[string]*receiver), wake: make(chan struct{}, 1),
	}
}

func (s *simulation) prepare(t *testing.T) {
	for _, name := range eventTypes() {
		if err := s.store.AddEventType(t.Context(), webhook.EventType{Name: name, AddedAt: s.millis()}); err != nil {
			t.Fatal(err)
		}
	}
	if s.realReceivers {
		s.network = newNetwork(t, s)
	}
}
