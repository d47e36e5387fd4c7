package dispatch

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/delivery"
	"webhooks/shared/endpoint"
	"webhooks/shared/sqlite"
	"webhooks/shared/webhook"
)

// What TestIsolation delivers: to all of its webhooks several events, one after the other, and before that a backlog to those whose
// receivers hang. With fewer slots than usual, a few receivers could take all of them.
const (
	isolationHooks   = 100
	isolationEvents  = 10
	isolationPause   = 70 * time.Millisecond
	isolationBacklog = 20
	isolationSlots   = 256
	typeForAll       = "for.all"
	typeForHanging   = "for.hanging"
	// isolationPatience is less than a receiver may hang.
	isolationPatience = 10 * time.Second
)

// TestIsolation checks that receivers that hang do not delay the deliveries to others: their median rises by less than 50 ms, and
// their 99th percentile does not double, apart from what a busy machine adds. Everything is real, and takes real time. Because
// other programs can delay everything, it is enough if one of three tries is right.
func TestIsolation(t *testing.T) {
	const noise, tries = 150 * time.Millisecond, 3
	reference := deliverBeside(t, 0, false)
	for _, tt := range []struct {
		name    string
		hanging int
		failing bool // whether the circuits have opened
	}{
		{"one", 1, false},
		{"one with an open circuit", 1, true},
		{"a third", 32, false},
		{"a third with open circuits", 32, true},
		{"half", 50, false},
		{"half with open circuits", 50, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got latency
			for range tries {
				got = deliverBeside(t, tt.hanging, tt.failing)
				if got.median <= reference.median+50*time.Millisecond && got.p99 <= 2*reference.p99+noise {
					return
				}
				reference = deliverBeside(t, 0, false)
			}
			t.Errorf("the others have a median of %v and a 99th percentile of %v; %v and %v if no receiver hangs",
				got.median, got.p99, reference.median, reference.p99)
		})
	}
}

// latency is the time from accepting an event to its arrival.
type latency struct{ median, p99 time.Duration }

// deliverBeside delivers events to webhooks some of which hang, and returns the latency of the others.
func deliverBeside(t *testing.T, hanging int, failing bool) latency {
	s := &isolation{hanging: hanging, released: make(chan struct{})}
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(s.receive))
	receiver.Config.ErrorLog = log.New(io.Discard, "", 0) // the engine stops in the middle of handshakes
	receiver.StartTLS()
	defer receiver.Close()
	path := filepath.Join(t.TempDir(), "webhooks.db")
	store, err := sqlite.Open(t.Context(), path, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s.subscribe(t, store, receiver.URL)
	if failing {
		s.openCircuits(t, path)
	}
	defer s.run(t, store, receiver.Certificate())()
	s.arrived.Add(isolationHooks - hanging)
	s.accept(t, store, typeForAll) // opens connections
	if !s.allArrive() {
		return latency{isolationPatience, isolationPatience}
	}
	if hanging > 0 {
		s.accept(t, store, slices.Repeat([]string{typeForHanging}, isolationBacklog)...)
		time.Sleep(5 * isolationPause) // all attempts that may hang have begun
	}
	s.latencies = nil
	s.arrived.Add(isolationEvents * (isolationHooks - hanging))
	for range isolationEvents {
		time.Sleep(isolationPause)
		s.accept(t, store, typeForAll)
	}
	if !s.allArrive() {
		return latency{isolationPatience, isolationPatience}
	}
	slices.Sort(s.latencies)
	n := len(s.latencies)
	got := latency{s.latencies[n/2], s.latencies[n*99/100]}
	t.Logf("%d of %d receivers hang, circuits open: %v: the median of the others is %v, p99 %v",
		hanging, isolationHooks, failing, got.median.Round(time.Millisecond), got.p99.Round(time.Millisecond))
	return got
}

// isolation is what the receivers know.
type isolation struct {
	hanging   int            // the webhooks with lower numbers hang
	released  chan struct{}  // closed when they need not any longer
	arrived   sync.WaitGroup // the deliveries to the others
	mu        sync.Mutex
	latencies []time.Duration
}

// allArrive waits until the deliveries to the others have arrived, and reports whether they did in time.
func (s *isolation) allArrive() bool {
	arrived := make(chan struct{})
	go func() {
		s.arrived.Wait()
		close(arrived)
	}()
	select {
	case <-arrived:
		return true
	case <-time.After(isolationPatience):
		return false
	}
}

// receive is the handler of all receivers. The path is the number of the webhook.
func (s *isolation) receive(_ http.ResponseWriter, r *http.Request) {
	number, err := strconv.Atoi(r.URL.Path[1:])
	body, bodyErr := io.ReadAll(r.Body)
	if err != nil || bodyErr != nil {
		return
	}
	if number < s.hanging {
		<-s.released
		return
	}
	sent, err := strconv.ParseInt(string(body), 10, 64)
	if err != nil {
		return
	}
	s.mu.Lock()
	s.latencies = append(s.latencies, time.Since(time.Unix(0, sent)))
	s.mu.Unlock()
	s.arrived.Done()
}

func (s *isolation) subscribe(t *testing.T, store *sqlite.Store, receiver string) {
	t.Helper()
	for number := range isolationHooks {
		w := webhook.Webhook{
			ID: webhook.NewID(ulid.Make().String()), Company: "acme", URL: fmt.Sprintf("%s/%d", receiver, number),
			Events: []string{typeForAll}, SealedToken: []byte{0}, Version: 1, CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
		}
		if number < s.hanging {
			w.Events = append(w.Events, typeForHanging)
		}
		if _, err := store.CreateWebhook(t.Context(), webhook.Creation{Quota: isolationHooks, Webhook: w}); err != nil {
			t.Fatal(err)
		}
	}
}

// openCircuits makes the lanes of the receivers that hang failing, which would take 30 seconds.
func (s *isolation) openCircuits(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	now := time.Now().UnixMilli()
	if _, err := db.ExecContext(t.Context(),
		"UPDATE webhooks SET failures = ?1, first_failure = ?2, failing_since = ?2, probe_at = ?3 WHERE number <= ?4",
		webhook.FailuresToOpen, now-webhook.FailingSpan.Milliseconds(), now, s.hanging); err != nil {
		t.Fatal(err)
	}
}

// run starts an engine and returns a function that stops it, and releases the receivers that hang.
func (s *isolation) run(t *testing.T, store *sqlite.Store, certificate *x509.Certificate) (stop func()) {
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	loopback := endpoint.Policy{AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	client := endpoint.NewClient(&endpoint.Dialer{Policy: loopback}, roots, time.Now)
	engine := New(Config{
		Store: store, Now: time.Now, Log: slog.New(slog.DiscardHandler), Retention: 30 * 24 * time.Hour, Slots: isolationSlots,
		Attempter: &delivery.Attempter{
			Client: client, Sealer: noSecret{}, Schedule: delivery.DefaultSchedule(), Now: time.Now, Random: rand.Float64,
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { engine.Run(ctx) })
	all.Go(func() { store.Changes(ctx, engine.Wake) })
	return func() {
		cancel()
		close(s.released)
		all.Wait()
		client.Close()
	}
}

// noSecret opens every token as the same.
type noSecret struct{}

func (noSecret) Open(context.Context, string, string, []byte) (string, error) {
	return "whsec_AAAA", nil
}

// accept accepts events of some types. Their body is the time.
func (s *isolation) accept(t *testing.T, store *sqlite.Store, types ...string) {
	t.Helper()
	events := make([]webhook.NewEvent, len(types))
	for i, eventType := range types {
		now := time.Now()
		body := strconv.AppendInt(nil, now.UnixNano(), 10)
		events[i] = webhook.NewEvent{Sent: sha256.Sum256(body), Event: webhook.Event{
			ID: webhook.NewEventID(ulid.Make().String()), Company: "acme", Type: eventType,
			Timestamp: now.UTC(), AcceptedAt: now.UTC().Truncate(time.Millisecond), Body: body,
		}}
	}
	if _, err := store.AcceptEvents(t.Context(), events); err != nil {
		t.Fatal(err)
	}
}
