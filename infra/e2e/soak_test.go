package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"webhooks/shared/delivery/deliverytest"
	domain "webhooks/shared/webhook"
)

// soakRetries is so large that a delivery that fails by chance at every step does not occur.
const soakRetries = 20

// TestSoak kills webhookctl serve twenty times while events are published to receivers that fail at random, and checks the history
// of what publishers and receivers saw against the invariants of delivery. If WEBHOOKS_SOAK_EVENTS is set, it then publishes that
// many events without killing the service, and checks that its memory does not grow.
func TestSoak(t *testing.T) {
	const kills, events = 20, 300
	s := startSoak(t, "sqlite", 20, 200*time.Millisecond)
	for kill := range kills {
		s.publishUntilKilled(t, events*(kill+1)/kills, 450*time.Millisecond)
		s.awaitReceivers()
		s.recorder.Add(deliverytest.Crashed{})
	}
	s.serve(t)
	s.publishUntil(t, events, 0)
	s.waitUntilDelivered(t, 30*time.Second)
	s.readOutcomes(t)
	s.check(t, deliverytest.Options{Tolerance: time.Second})
	if text := os.Getenv("WEBHOOKS_SOAK_EVENTS"); text != "" {
		more, err := strconv.Atoi(text)
		if err != nil {
			t.Fatalf("WEBHOOKS_SOAK_EVENTS: %v", err)
		}
		s.checkMemory(t, more)
	}
}

// soak is what the publishers and receivers know.
type soak struct {
	service  *service
	api      *suite
	flags    []string
	respond  func(w http.ResponseWriter, hook webhook, event string) (status int) // how receivers respond; it may panic instead
	recorder *deliverytest.Recorder
	webhooks map[string]webhook // by the path of the URL
	receiver *httptest.Server
	open     atomic.Int64 // connections to the receivers

	mu         sync.Mutex
	published  int             // events, including the unanswered
	unanswered []int           // the numbers of events that may not have been accepted
	posts      int             // requests that have arrived
	delivered  map[string]bool // by webhook and event, those that a receiver has acknowledged
}

// connectionKey is the key, in the context of a request to a receiver, of the number of requests on its connection.
type connectionKey struct{}

// startSoak starts a service whose retries follow after a wait.
func startSoak(t *testing.T, store string, receivers int, wait time.Duration) *soak {
	t.Helper()
	s := newSoak(t)
	s.respond = respondAtRandom
	caFile := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, s.authority(), 0o600); err != nil {
		t.Fatal(err)
	}
	waits := strings.TrimSuffix(strings.Repeat(wait.String()+",", soakRetries), ",")
	s.flags = []string{"--ca-file", caFile, "--allow-network", "127.0.0.1/32", "--retry-schedule", waits}
	s.service = newService(t, buildWebhookctl(t), store)
	s.service.addTypes(t, "", referenceEvent)
	s.api = newSuite(t, target{host: serve, keys: keys{both: s.service.createKey(t, mainCompany, allPermissions)}, own: s.service})
	s.serve(t)
	for i := range receivers {
		s.createWebhook(t, fmt.Sprintf("/receivers/%d", i), referenceEvent)
	}
	s.service.kill()
	return s
}

// newSoak starts the receivers.
func newSoak(t *testing.T) *soak {
	t.Helper()
	s := &soak{recorder: deliverytest.NewRecorder(time.Now), webhooks: make(map[string]webhook), delivered: make(map[string]bool)}
	s.receiver = httptest.NewUnstartedServer(http.HandlerFunc(s.receive))
	s.receiver.Config.ErrorLog = log.New(io.Discard, "", 0) // handlers abort on purpose
	s.receiver.Config.ConnContext = func(ctx context.Context, _ net.Conn) context.Context {
		return context.WithValue(ctx, connectionKey{}, new(atomic.Int64))
	}
	s.receiver.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.open.Add(1)
		case http.StateClosed:
			s.open.Add(-1)
		}
	}
	s.receiver.StartTLS()
	t.Cleanup(s.receiver.Close)
	return s
}

// authority returns the certificate that the service must trust, in PEM.
func (s *soak) authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.receiver.Certificate().Raw})
}

// createWebhook creates a webhook for a type of event, with a receiver at a path.
func (s *soak) createWebhook(t *testing.T, path, eventType string) webhook {
	t.Helper()
	fields := s.api.valid().with("url", s.receiver.URL+path).with("events", []string{eventType})
	r, err := s.api.send(t.Context(), s.api.post(fields.body()))
	var w webhook
	if err == nil {
		err = json.Unmarshal(r.body, &w)
	}
	if err != nil || r.status != http.StatusCreated {
		t.Errorf("%s, %v", r, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.webhooks[path] = w
	s.recorder.Add(deliverytest.Created{Company: mainCompany, Webhook: w.ID, Types: w.Events})
	return w
}

func (s *soak) serve(t *testing.T) {
	t.Helper()
	s.service.serve(t, s.flags...)
	s.api.url = s.service.url
}

// receive is the handler of all receivers.
func (s *soak) receive(w http.ResponseWriter, r *http.Request) {
	body := make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return // the service was killed
	}
	s.mu.Lock()
	s.posts++
	post, hook := s.posts, s.webhooks[r.URL.Path]
	s.mu.Unlock()
	arrived := deliverytest.NewArrived(post, hook.ID, hook.Token, r.Header, body)
	arrived.Kept = r.Context().Value(connectionKey{}).(*atomic.Int64).Add(1) > 1
	s.recorder.Add(arrived)
	status := s.respond(w, hook, arrived.Event)
	s.recorder.Add(deliverytest.Responded{Post: post, Status: status})
	if status == http.StatusNoContent {
		s.mu.Lock()
		s.delivered[hook.ID+" "+arrived.Event] = true
		s.mu.Unlock()
	}
	w.WriteHeader(status)
}

// respondAtRandom aborts one request in 20, fails three, and takes some time for two.
func respondAtRandom(http.ResponseWriter, webhook, string) int {
	switch chance := rand.IntN(100); {
	case chance < 5:
		panic(http.ErrAbortHandler) // closes the connection
	case chance < 20:
		return http.StatusInternalServerError
	case chance < 30:
		time.Sleep(time.Duration(rand.IntN(50)) * time.Millisecond)
	}
	return http.StatusNoContent
}

// publishUntilKilled publishes events to a new process, which is killed after a random time.
func (s *soak) publishUntilKilled(t *testing.T, events int, limit time.Duration) {
	t.Helper()
	s.serve(t)
	exited := s.service.exited
	time.AfterFunc(limit/10+rand.N(limit*9/10), s.service.kill)
	s.publishUntil(t, events, 100*time.Millisecond)
	<-exited
}

// awaitReceivers waits until the receivers have handled everything that a killed service sent, and have noticed that its
// connections are closed.
func (s *soak) awaitReceivers() {
	for s.open.Load() > 0 {
		time.Sleep(time.Millisecond)
	}
}

// publishUntil publishes events with several publishers until there are a number of them, or the service is gone. An event
// without a response is published again the next time.
func (s *soak) publishUntil(t *testing.T, events int, pause time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for number, ok := s.take(events); ok; number, ok = s.take(events) {
				if !s.publish(t, number) {
					s.mu.Lock()
					s.unanswered = append(s.unanswered, number)
					s.mu.Unlock()
					return
				}
				time.Sleep(rand.N(pause + 1))
			}
		})
	}
	all.Wait()
}

// take returns the number of the next event to publish, if it is not greater than last.
func (s *soak) take(last int) (number int, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.unanswered); n > 0 {
		number = s.unanswered[n-1]
		s.unanswered = s.unanswered[:n-1]
		return number, true
	}
	if s.published >= last {
		return 0, false
	}
	s.published++
	return s.published, true
}

// eventKey returns the publisher's key of an event.
func eventKey(number int) string { return fmt.Sprintf("event-%d", number) }

// soakTimestamp is the timestamp of all events.
const soakTimestamp = "2026-03-01T12:00:00.000Z"

// newEvent records that an event will be accepted, and returns its ID, its data and what receivers get.
func (s *soak) newEvent(number int, eventType string, acceptedAt time.Time) (id, data string, body []byte) {
	id, data = domain.KeyedEventID(mainCompany, eventKey(number)), fmt.Sprintf(`{"number":%d}`, number)
	body = fmt.Appendf(nil, `{"type":%q,"timestamp":%q,"data":%s}`, eventType, soakTimestamp, data)
	s.recorder.Add(deliverytest.Accepted{Company: mainCompany, Event: id, Type: eventType, At: acceptedAt, Body: sha256.Sum256(body)})
	return id, data, body
}

// publish publishes an event and reports whether there was a response.
func (s *soak) publish(t *testing.T, number int) bool {
	id, data, _ := s.newEvent(number, referenceEvent, time.Now()) // it may arrive before the response
	got, err := s.postEvent(t, number, referenceEvent, data)
	for err == nil && got.status == http.StatusServiceUnavailable { // the machine is slow, and the key makes it safe to repeat
		got, err = s.postEvent(t, number, referenceEvent, data)
	}
	if err != nil {
		return false
	}
	got.want(t, http.StatusAccepted, fmt.Sprintf(`{"id":%q}`, id))
	return true
}

func (s *soak) postEvent(t *testing.T, number int, eventType, data string) (response, error) {
	r := s.api.request(http.MethodPost, "/events")
	r.body = fmt.Sprintf(`{"event":{"type":%q,"key":%q,"timestamp":%q,"data":%s}}`, eventType, eventKey(number), soakTimestamp, data)
	return s.api.send(t.Context(), r)
}

// waitUntilDelivered waits until the receivers have acknowledged every delivery.
func (s *soak) waitUntilDelivered(t *testing.T, patience time.Duration) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		s.mu.Lock()
		got, want := len(s.delivered), s.published*len(s.webhooks)
		s.mu.Unlock()
		if got == want {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d deliveries arrived", got, want)
		}
	}
	time.Sleep(time.Second) // until the last outcomes are stored
}

// readOutcomes records what the API shows of every delivery.
func (s *soak) readOutcomes(t *testing.T) {
	var all sync.WaitGroup
	for _, w := range s.webhooks {
		all.Go(func() {
			list := "/webhooks/" + w.ID + "/deliveries"
			for path := list + "?size=100"; path != ""; {
				var page struct {
					Elements []struct{ ID string }
					Next     string // empty if it is null
				}
				s.read(t, path, &page)
				for _, d := range page.Elements {
					s.readOutcome(t, w.ID, list+"/"+d.ID)
				}
				if path = ""; page.Next != "" {
					path = list + "?size=100&cursor=" + url.QueryEscape(page.Next)
				}
			}
		})
	}
	all.Wait()
}

func (s *soak) readOutcome(t *testing.T, webhookID, path string) {
	var d struct {
		EventID      string `json:"event_id"`
		Status       domain.Status
		AttemptCount int `json:"attempt_count"`
		Attempts     []struct {
			Number     int
			At         time.Time
			StatusCode int `json:"status_code"`
		}
	}
	s.read(t, path, &d)
	status := domain.StatusPending
	for i, a := range d.Attempts {
		if a.StatusCode == http.StatusNoContent {
			status = domain.StatusDelivered // and stays so if a retry is requested
		}
		if i == len(d.Attempts)-1 {
			status = d.Status
		}
		s.recorder.Add(deliverytest.Recorded{Outcome: domain.Outcome{
			Ref:     domain.Ref{Company: mainCompany, WebhookID: webhookID, EventID: d.EventID},
			Attempt: domain.Attempt{Number: a.Number, At: a.At, StatusCode: a.StatusCode}, Status: status,
		}})
	}
	if d.AttemptCount < len(d.Attempts) || d.AttemptCount <= domain.MaxAttempts && d.AttemptCount > len(d.Attempts) {
		t.Errorf("%s shows %d attempts, and counts %d", path, len(d.Attempts), d.AttemptCount)
	}
	s.recorder.Add(deliverytest.Shown{Webhook: webhookID, Event: d.EventID, Status: d.Status})
}

// read gets a resource.
func (s *soak) read(t *testing.T, path string, into any) {
	r, err := s.api.send(t.Context(), s.api.get(path))
	if err == nil {
		err = json.Unmarshal(r.body, into)
	}
	if err != nil || r.status != http.StatusOK {
		t.Errorf("%s, %v", r, err)
	}
}

// history returns the history and checks the invariants of delivery.
func (s *soak) history(t *testing.T, o deliverytest.Options) []deliverytest.Entry {
	t.Helper()
	history := s.recorder.History()
	for i, v := range deliverytest.Check(history, o) {
		if t.Error(v); i == 20 {
			t.Fatal("and more")
		}
	}
	return history
}

// check checks the history.
func (s *soak) check(t *testing.T, o deliverytest.Options) {
	history := s.history(t, o)
	type key struct{ webhook, event string }
	var posts, repeated, crashes int
	last := make(map[int]key)         // by number of the request
	acknowledged := make(map[key]int) // the number of crashes before
	for _, e := range history {
		switch f := e.Fact.(type) {
		case deliverytest.Crashed:
			crashes++
		case deliverytest.Arrived:
			k := key{f.Webhook, f.Event}
			posts, last[f.Post] = posts+1, k
			if before, ok := acknowledged[k]; ok {
				if repeated++; before == crashes && o.Repeats == 0 {
					t.Errorf("%v arrives again after it was acknowledged, without a crash in between", k)
				}
			}
		case deliverytest.Responded:
			if f.Status == http.StatusNoContent {
				acknowledged[last[f.Post]] = crashes
			}
		}
	}
	t.Logf("%d deliveries in %d requests and %d crashes; %d requests were repeated after an acknowledgement that was lost",
		len(acknowledged), posts, crashes, repeated)
}

// checkMemory publishes more events in ten steps and checks that the service needs no more memory at the end than after a few.
func (s *soak) checkMemory(t *testing.T, events int) {
	const steps, warm = 10, 3
	var resident [steps]int
	first := s.published
	for step := range steps {
		s.publishUntil(t, first+events*(step+1)/steps, 0)
		s.waitUntilDelivered(t, 10*time.Minute)
		resident[step] = s.service.residentMemory(t)
		t.Logf("%d MB resident after %d events", resident[step], s.published)
	}
	if last := resident[steps-1]; last > resident[warm-1]*5/4+10 {
		t.Errorf("%d MB are resident after all events, and %d MB were after %d of %d steps", last, resident[warm-1], warm, steps)
	}
}

// residentMemory returns how much memory the service occupies, in MB. It needs Linux.
func (p *process) residentMemory(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if match == nil {
		t.Fatal("the process has no resident memory")
	}
	kilobytes, err := strconv.Atoi(string(match[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kilobytes / 1024
}
