package dispatch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"webhooks/shared/delivery"
	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

const acme, eventType = "acme", "charge.paid"

// fixture is an engine on the model of a store. Its attempts are real, except for the POST.
type fixture struct {
	*testing.T
	store  *faultyStore
	engine *Engine
	log    bytes.Buffer
	stop   func() // stops the engine and waits for it
	events int
	// company publishes and subscribes, and body is what it publishes.
	company string
	body    []byte

	mu       sync.Mutex
	receiver func(webhookID string) (status int, wait time.Duration) // nil: 200 at once
	posts    []post
	spread   *rand.Rand // of the schedule; nil for none
	fault    error      // of opening tokens
}

// post is a POST that has begun.
type post struct {
	webhookID, eventID string
	at                 time.Duration // since the test began
}

// faultyStore is the model with failures of two methods.
type faultyStore struct {
	*webhooktest.Memory
	fail    atomic.Value // of failure
	records atomic.Int64
}

// failure is the errors of two methods, or nil.
type failure struct{ record, work error }

func (s *faultyStore) failure() failure {
	f, _ := s.fail.Load().(failure)
	return f
}

func (s *faultyStore) Record(ctx context.Context, o webhook.Outcome) (bool, error) {
	if err := s.failure().record; err != nil {
		return false, err
	}
	s.records.Add(1)
	return s.Memory.Record(ctx, o)
}

func (s *faultyStore) Work(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Work, error) {
	if err := s.failure().work; err != nil {
		return nil, err
	}
	return s.Memory.Work(ctx, refs, now)
}

// run runs a test with a started engine and virtual time.
func run(t *testing.T, test func(f *fixture)) {
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{T: t, store: &faultyStore{Memory: webhooktest.NewMemory()}, company: acme, body: []byte("{}")}
		f.must(f.store.AddEventType(t.Context(), webhook.EventType{Name: eventType}))
		f.start()
		defer func() { f.stop() }()
		test(f)
	})
}

// start starts an engine.
func (f *fixture) start() {
	began := time.Now()
	f.engine = New(Config{
		Store: f.store,
		Attempter: &delivery.Attempter{
			Client: poster(func(header, id string) (endpoint.Response, error) { return f.receive(began, header, id) }),
			Sealer: f, Schedule: delivery.DefaultSchedule(), Now: time.Now, Random: f.random,
		},
		Now: time.Now, Log: slog.New(slog.NewTextHandler(&f.log, nil)), Retention: 30 * 24 * time.Hour,
	})
	f.store.Changed = f.engine.Wake
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		f.engine.Run(ctx)
	}()
	f.stop = func() {
		cancel()
		<-ended
	}
}

// poster is the receiver of all webhooks, for whose URL and event ID it is called.
type poster func(url, eventID string) (endpoint.Response, error)

func (p poster) Post(_ context.Context, u endpoint.URL, header http.Header, _ []byte) (endpoint.Response, error) {
	return p(u.ASCII(), header.Get("Webhook-Id"))
}

// Open implements the opening of tokens.
func (f *fixture) Open(context.Context, string, string, []byte) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return "whsec_c2VjcmV0", f.fault
}

func (f *fixture) receive(began time.Time, url, eventID string) (endpoint.Response, error) {
	id := strings.TrimPrefix(strings.TrimPrefix(url, "https://example.com/"), acme)
	f.mu.Lock()
	f.posts = append(f.posts, post{id, eventID, time.Since(began)})
	receiver := f.receiver
	f.mu.Unlock()
	if receiver == nil {
		return endpoint.Response{Status: 200}, nil
	}
	status, wait := receiver(id)
	time.Sleep(wait)
	r := endpoint.Response{Status: status}
	if status == 429 {
		r.Header = map[string][]string{"Retry-After": {"3600"}}
	}
	return r, nil
}

// random is the source of the schedule's spread.
func (f *fixture) random() float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spread == nil {
		return 0.5
	}
	return f.spread.Float64()
}

func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// subscribe stores webhooks "1", "2", … of the company.
func (f *fixture) subscribe(n int) []webhook.Webhook {
	webhooks := make([]webhook.Webhook, n)
	for i := range webhooks {
		id := webhook.NewID(fmt.Sprintf("%026d", i+1))
		webhooks[i] = webhook.Webhook{ID: id, Company: f.company, URL: "https://example.com/" + f.company + id, Events: []string{eventType}, Version: 1}
		_, err := f.store.CreateWebhook(f.Context(), webhook.Creation{Webhook: webhooks[i]})
		f.must(err)
	}
	return webhooks
}

// publish accepts n events.
func (f *fixture) publish(n int) {
	for range n {
		f.events++
		e := webhook.Event{
			ID: webhook.NewEventID(fmt.Sprintf("%026d", f.events)), Company: f.company, Type: eventType,
			AcceptedAt: time.Now().UTC(), Body: f.body,
		}
		_, err := f.store.AcceptEvents(f.Context(), []webhook.NewEvent{{Event: e}})
		f.must(err)
	}
}

func (f *fixture) setReceiver(r func(webhookID string) (int, time.Duration)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.receiver = r
}

// received waits for a time and returns the POSTs that began since the last call.
func (f *fixture) received(wait time.Duration) []post {
	time.Sleep(wait)
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	posts := f.posts
	f.posts = nil
	return posts
}

// want checks how many POSTs begin during a time.
func (f *fixture) want(n int, wait time.Duration) []post {
	f.Helper()
	posts := f.received(wait)
	if len(posts) != n {
		f.Fatalf("got %d POSTs in %v, want %d: %v\n%s", len(posts), wait, n, posts, f.log.String())
	}
	return posts
}

// deliveries returns the deliveries of a webhook, oldest first.
func (f *fixture) deliveries(webhookID string) []webhook.Delivery {
	page, err := f.store.Deliveries(f.Context(), webhook.DeliveryQuery{Company: f.company, WebhookID: webhookID, Limit: 100, Now: time.Now()})
	f.must(err)
	slices.Reverse(page.Deliveries)
	return page.Deliveries
}

func respond(status int) func(string) (int, time.Duration) {
	return func(string) (int, time.Duration) { return status, 0 }
}

func TestDeliver(t *testing.T) {
	run(t, func(f *fixture) {
		webhooks := f.subscribe(3)
		f.publish(2)
		f.want(6, 0)
		f.stop()
		f.publish(150) // more than a queue holds
		f.start()
		f.want(450, 0)
		for _, d := range f.deliveries(webhooks[0].ID) {
			if d.Status != webhook.StatusDelivered || d.Made != 1 {
				t.Errorf("%s is %s after %d attempts", d.DeliveryID(), d.Status, d.Made)
			}
		}
		if work, failing := f.engine.Lanes(); work != 0 || failing != 0 {
			t.Errorf("%d lanes have work and %d fail, want none", work, failing)
		}
	})
}

func TestSchedule(t *testing.T) {
	run(t, func(f *fixture) {
		id := f.subscribe(1)[0].ID
		f.setReceiver(respond(500))
		f.publish(1)
		want := time.Duration(0)
		for i, p := range f.want(5, 3*time.Hour)[:5] {
			if want += delivery.DefaultSchedule()[i]; p.at != want {
				t.Errorf("attempt %d at %v, want %v", i+1, p.at, want)
			}
		}
		f.received(81 * time.Hour) // after five failures, the lane is failing, and its only delivery is the probe
		f.want(0, 10*time.Hour)
		if d := f.deliveries(id)[0]; d.Status != webhook.StatusFailed || len(d.Attempts) != webhook.MaxAttempts {
			t.Errorf("the delivery is %s and has %d attempts, want failed and %d", d.Status, len(d.Attempts), webhook.MaxAttempts)
		}
	})
}

// The retries of deliveries that failed at the same time do not come at the same time.
func TestRetriesSpreadOut(t *testing.T) {
	run(t, func(f *fixture) {
		f.subscribe(500)
		f.spread = rand.New(rand.NewPCG(1, 2))
		f.setReceiver(respond(500))
		f.publish(1)
		f.want(500, 0)
		byTime := map[time.Duration]int{}
		for _, p := range f.want(500, 6*time.Second) {
			byTime[p.at.Truncate(100*time.Millisecond)]++
		}
		for at, n := range byTime {
			if n > 100 || at < 4500*time.Millisecond || at > 5500*time.Millisecond {
				t.Errorf("%d retries after %v, want at most 100 in each tenth of a second from 4.5 to 5.5 s", n, at)
			}
		}
	})
}

// A receiver that hangs does not delay the deliveries of others, however many deliveries wait for it.
func TestHangingReceivers(t *testing.T) {
	for _, hanging := range []int{1, 32, 50} {
		run(t, func(f *fixture) {
			webhooks := f.subscribe(100)
			hangs := map[string]bool{}
			for _, w := range webhooks[:hanging] {
				hangs[w.ID] = true
			}
			f.setReceiver(func(id string) (int, time.Duration) {
				if hangs[id] {
					return 500, 15 * time.Second
				}
				return 200, 5 * time.Millisecond
			})
			f.publish(80)
			latest := time.Duration(0)
			for _, p := range f.received(10 * time.Second) {
				if !hangs[p.webhookID] {
					latest = max(latest, p.at)
				}
			}
			if latest > 500*time.Millisecond {
				t.Errorf("%d hang: the last POST to another began after %v", hanging, latest)
			}
		})
	}
}

// A company whose receivers all hang, but never fail, leaves slots to others, and takes no more turns than they do.
func TestHangingCompany(t *testing.T) {
	for _, tt := range []struct {
		name     string
		webhooks int
		body     int
	}{
		{"more webhooks than slots", 1100, 10},
		{"few webhooks and large events", 6, maxBody - 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, func(f *fixture) {
				f.subscribe(tt.webhooks)
				f.setReceiver(func(id string) (int, time.Duration) {
					if strings.HasPrefix(id, "other") {
						return 200, 5 * time.Millisecond
					}
					return 200, 14 * time.Second
				})
				f.body = make([]byte, tt.body)
				f.publish(40)
				f.received(time.Second)
				f.company = "other"
				f.subscribe(1)
				for range 100 {
					f.publish(1)
					others := slices.DeleteFunc(f.received(time.Second), func(p post) bool { return !strings.HasPrefix(p.webhookID, "other") })
					if len(others) != 1 {
						t.Fatalf("got %d POSTs to another company within a second, want 1", len(others))
					}
				}
			})
		})
	}
}

func TestFailingLane(t *testing.T) {
	run(t, func(f *fixture) {
		id := f.subscribe(1)[0].ID
		f.setReceiver(respond(500))
		for range 5 {
			f.publish(1)
			time.Sleep(10 * time.Second)
		}
		f.received(0)
		f.publish(100)
		var gaps []time.Duration
		posts := f.want(5, 20*time.Minute)
		for i, p := range posts[1:] {
			if p.eventID != posts[0].eventID {
				t.Error("the probes are not all with the oldest delivery")
			}
			gaps = append(gaps, p.at-posts[i].at)
		}
		if want := []time.Duration{time.Minute, 2 * time.Minute, 5 * time.Minute, 10 * time.Minute}; !slices.Equal(gaps, want) {
			t.Errorf("times between probes %v, want %v", gaps, want)
		}
		if work, failing := f.engine.Lanes(); work != 1 || failing != 1 {
			t.Errorf("%d lanes have work and %d fail, want 1 and 1", work, failing)
		}

		f.setReceiver(func(string) (int, time.Duration) { return 200, time.Second })
		byTime := map[time.Duration]int{}
		posts = f.received(30 * time.Minute)
		for _, p := range posts {
			byTime[p.at-posts[0].at]++
		}
		for second, want := range []int{1, 1, 2, 4, 8, 16, 30} {
			if got := byTime[time.Duration(second)*time.Second]; got != want {
				t.Errorf("%d POSTs began %d s after the recovery, want %d", got, second, want)
			}
		}
		for _, d := range f.deliveries(id) {
			if d.Status != webhook.StatusDelivered {
				t.Errorf("%s is %s", d.DeliveryID(), d.Status)
			}
		}
	})
}

func TestPauseAndGrant(t *testing.T) {
	run(t, func(f *fixture) {
		id := f.subscribe(1)[0].ID
		f.setReceiver(respond(429))
		f.publish(1)
		f.want(1, 0)
		f.publish(1)
		f.setReceiver(nil)
		f.want(0, 59*time.Minute)
		_, err := f.store.RetryDelivery(f.Context(), acme, id, f.deliveries(id)[0].DeliveryID(), time.Now())
		f.must(err)
		f.want(1, 0)
		f.want(1, time.Minute)
		if d := f.deliveries(id); d[0].Made != 2 || d[1].Made != 1 {
			t.Errorf("%d and %d attempts, want 2 and 1", d[0].Made, d[1].Made)
		}
	})
}

// Many retries of one webhook's deliveries are made one after another.
func TestManyGrants(t *testing.T) {
	run(t, func(f *fixture) {
		id := f.subscribe(1)[0].ID
		f.setReceiver(func(string) (int, time.Duration) { return 200, 10 * time.Second })
		for range 100 {
			f.publish(1)
			time.Sleep(time.Millisecond)
		}
		f.received(0)
		for _, d := range slices.Backward(f.deliveries(id)) {
			_, err := f.store.RetryDelivery(f.Context(), acme, id, d.DeliveryID(), time.Now())
			f.must(err)
			synctest.Wait()
		}
		f.want(1, 0)
		f.received(5 * time.Minute)
		for _, d := range f.deliveries(id) {
			if d.Status != webhook.StatusDelivered {
				t.Errorf("%s is %s", d.DeliveryID(), d.Status)
			}
		}
	})
}

// Retries of many webhooks, however long they take, do not delay those of other companies.
func TestGrantsOfManyWebhooks(t *testing.T) {
	run(t, func(f *fixture) {
		retry := func(w webhook.Webhook) {
			d := f.deliveries(w.ID)[0]
			_, err := f.store.RetryDelivery(f.Context(), w.Company, w.ID, d.DeliveryID(), time.Now())
			f.must(err)
		}
		webhooks := f.subscribe(grantsPerRead)
		f.publish(1)
		f.want(grantsPerRead, 0)
		f.company = "other"
		other := f.subscribe(1)[0]
		f.publish(1)
		f.want(1, 0)
		f.setReceiver(func(id string) (int, time.Duration) { return 200, 14 * time.Second })
		f.company = acme
		for _, w := range webhooks {
			retry(w)
		}
		f.received(time.Second)
		f.company = "other"
		retry(other)
		f.want(1, time.Second)
	})
}

func TestGoneAndDeleted(t *testing.T) {
	run(t, func(f *fixture) {
		webhooks := f.subscribe(2)
		f.setReceiver(func(id string) (int, time.Duration) {
			if id == webhooks[0].ID {
				return 410, time.Second
			}
			return 500, time.Second
		})
		f.publish(100)
		f.received(time.Second)
		f.must(f.store.DeleteWebhook(f.Context(), acme, webhooks[1].ID))
		f.want(0, 84*time.Hour)
		for _, d := range f.deliveries(webhooks[0].ID)[1:] {
			if d.Status != webhook.StatusHeld && d.Status != webhook.StatusFailed {
				t.Errorf("%s is %s, want held or failed", d.DeliveryID(), d.Status)
			}
		}
	})
}

func TestStoreFails(t *testing.T) {
	run(t, func(f *fixture) {
		id := f.subscribe(1)[0].ID
		f.store.fail.Store(failure{record: errors.New("the disk is full")})
		f.publish(1)
		f.want(1, 0)
		f.publish(50)
		f.want(0, time.Hour) // an outcome that cannot be stored stops the lane
		f.store.fail.Store(failure{})
		f.want(50, 10*time.Second)
		f.store.fail.Store(failure{work: errors.New("the file is gone")})
		f.publish(1)
		f.want(0, time.Hour)
		f.store.fail.Store(failure{})
		f.want(1, 10*time.Second)
		for _, d := range f.deliveries(id) {
			if d.Status != webhook.StatusDelivered || d.Made != 1 {
				t.Errorf("%s is %s after %d attempts", d.DeliveryID(), d.Status, d.Made)
			}
		}
		if log := f.log.String(); !strings.Contains(log, "the disk is full") || !strings.Contains(log, "the file is gone") || strings.Count(log, "\n") > 1000 {
			t.Errorf("the log has %d lines", strings.Count(log, "\n"))
		}
	})
}

// A fault of this service counts as no attempt, and other lanes do not wait.
func TestOwnFault(t *testing.T) {
	run(t, func(f *fixture) {
		id := f.subscribe(1)[0].ID
		f.fault = errors.New("the key file cannot be read")
		f.publish(3)
		_, err := f.store.RetryDelivery(f.Context(), acme, id, f.deliveries(id)[0].DeliveryID(), time.Now())
		f.must(err)
		f.want(0, time.Hour)
		f.mu.Lock()
		f.fault = nil
		f.mu.Unlock()
		f.want(3, 10*time.Second)
		for _, d := range f.deliveries(id) {
			if d.Status != webhook.StatusDelivered || d.Made != 1 {
				t.Errorf("%s is %s after %d attempts", d.DeliveryID(), d.Status, d.Made)
			}
		}
	})
}

// A retry that cannot be made because of a fault of this service is not tried again whenever something else happens.
func TestOwnFaultOfGrant(t *testing.T) {
	run(t, func(f *fixture) {
		id := f.subscribe(1)[0].ID
		f.publish(1)
		f.want(1, 0)
		f.mu.Lock()
		f.fault = errors.New("the key file cannot be read")
		f.mu.Unlock()
		_, err := f.store.RetryDelivery(f.Context(), acme, id, f.deliveries(id)[0].DeliveryID(), time.Now())
		f.must(err)
		for range 1000 {
			f.engine.Wake()
			time.Sleep(time.Millisecond)
		}
		if log := f.log.String(); strings.Count(log, "\n") > 4 {
			t.Errorf("the log has %d lines", strings.Count(log, "\n"))
		}
		f.mu.Lock()
		f.fault = nil
		f.mu.Unlock()
		f.want(1, 10*time.Second)
		if work, _ := f.engine.Lanes(); work != 0 {
			t.Errorf("%d lanes have work", work)
		}
	})
}

// Stopping waits for the running attempts and stores their outcomes, and begins no others.
func TestStop(t *testing.T) {
	run(t, func(f *fixture) {
		f.subscribe(1)
		f.setReceiver(func(string) (int, time.Duration) { return 200, 15 * time.Second })
		f.publish(100)
		running := len(f.want(30, 0))
		began := time.Now()
		f.stop()
		if took := time.Since(began); took != 15*time.Second || f.store.records.Load() != int64(running) {
			t.Errorf("stopped after %v with %d outcomes, want 15 s and %d", took, f.store.records.Load(), running)
		}
		f.setReceiver(nil)
		f.start()
		f.want(100-running, 0)
	})
}

// inLoop runs a function in the engine's loop.
func (f *fixture) inLoop(apply func(l *loop)) {
	f.engine.mu.Lock()
	f.engine.results = append(f.engine.results, apply)
	f.engine.mu.Unlock()
	f.engine.Wake()
	synctest.Wait()
}

// Most of what waits is only in the store, and every lane has its turn although the queues are full.
func TestMemory(t *testing.T) {
	run(t, func(f *fixture) {
		const lanes, events, others = 50, 70, maxQueued - 500
		f.subscribe(lanes)
		f.setReceiver(func(string) (int, time.Duration) { return 200, time.Minute })
		f.inLoop(func(l *loop) { l.queued += others })
		f.publish(events)
		if n := len(f.received(time.Second)); n < DefaultSlots/3 || n > DefaultSlots/2 {
			t.Errorf("%d attempts are running, want at most half of %d, and at least a third", n, DefaultSlots)
		}
		f.inLoop(func(l *loop) {
			inHand := 0
			for _, n := range l.lanes {
				inHand += len(n.inHand)
			}
			if l.queued > maxQueued+lanes || inHand > l.queued-others+DefaultSlots {
				t.Errorf("%d deliveries are queued and %d in hand, want at most %d, and the running ones", l.queued, inHand, maxQueued+lanes)
			}
		})
		f.received(time.Hour)
		if n := f.store.records.Load(); n != lanes*events {
			t.Errorf("%d outcomes, want %d", n, lanes*events)
		}
	})
}
