package dispatch_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"webhooks/shared/delivery"
	"webhooks/shared/dispatch"
	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
	"webhooks/shared/webhook/webhooktest"
)

const (
	hostCompany = "acme"
	hostType    = "a.b"
)

// virtualHost is a host with queues under virtual time: queues in order of arrival, the invocations of an event source mapping for
// each, and a sweep every minute. Nothing fails except for receivers.
type virtualHost struct {
	t     *testing.T
	store *countingStore
	// respond returns the status of the receiver of a webhook, 0 if there is none, and after what time.
	respond func(webhookID string) (status int, after time.Duration)
	// attempted is called after each attempt.
	attempted func(w webhook.Work, o webhook.Outcome)

	consumer *dispatch.Consumer
	running  sync.WaitGroup
	ids      int

	mu       sync.Mutex
	messages map[string][]*hostMessage // by queue
	sent     int                       // messages
}

type hostMessage struct {
	text      string
	visibleAt time.Time
	receives  int
}

// countingStore counts the writes of a delivery that are not an attempt's, and the deliveries that are looked at.
type countingStore struct {
	*webhooktest.QueueMemory
	mu     sync.Mutex
	parks  map[string]int // by delivery
	looked int
	// damaged is an event that cannot be read.
	damaged string
}

// Look implements [webhook.QueueStore].
func (s *countingStore) Look(ctx context.Context, refs []webhook.Ref, now time.Time) ([]webhook.Look, error) {
	s.mu.Lock()
	s.looked += len(refs)
	s.mu.Unlock()
	if slices.ContainsFunc(refs, func(r webhook.Ref) bool { return r.EventID == s.damaged }) {
		return nil, &webhook.Error{Kind: webhook.KindInternal, Message: "Internal error"}
	}
	return s.QueueMemory.Look(ctx, refs, now)
}

// Park implements [webhook.QueueStore].
func (s *countingStore) Park(ctx context.Context, w webhook.Work, now time.Time) (bool, error) {
	s.mu.Lock()
	s.parks[w.DeliveryID()]++
	s.mu.Unlock()
	return s.QueueMemory.Park(ctx, w, now)
}

// startHost starts a host with a maximum number of concurrent invocations of each queue, which look for messages at an interval, and
// webhooks that subscribe to [hostType]. It runs until stop is called.
func startHost(t *testing.T, concurrency, webhooks int, pollInterval time.Duration) (h *virtualHost, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	h = &virtualHost{
		t: t, messages: make(map[string][]*hostMessage),
		store:     &countingStore{QueueMemory: webhooktest.NewQueueMemory(), parks: make(map[string]int)},
		attempted: func(webhook.Work, webhook.Outcome) {},
	}
	h.consumer = &dispatch.Consumer{
		Store: h.store, Queue: h, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Attempter: &delivery.Attempter{
			Client: hostClient{h}, Sealer: h, Schedule: delivery.DefaultSchedule(), Now: time.Now, Random: func() float64 { return 0.5 },
		},
		Attempted: func(w webhook.Work, o webhook.Outcome) { h.attempted(w, o) },
	}
	for i := range webhooks {
		w := webhook.Webhook{
			ID: webhook.NewID(fmt.Sprintf("%026d", i)), Company: hostCompany, URL: "https://" + hostOf(i), Events: []string{hostType}, Version: 1,
		}
		if _, err := h.store.CreateWebhook(ctx, webhook.Creation{Webhook: w}); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range queueNames() {
		for range concurrency {
			h.running.Go(func() { h.poll(ctx, name, pollInterval) })
		}
	}
	h.running.Go(func() { h.sweep(ctx) })
	return h, func() {
		cancel()
		h.running.Wait()
	}
}

func (h *virtualHost) sweep(ctx context.Context) {
	for {
		select {
		case <-time.After(dispatch.SweepInterval):
		case <-ctx.Done():
			return
		}
		if _, err := h.consumer.Sweep(ctx); err != nil && ctx.Err() == nil {
			h.t.Errorf("Sweep: %v", err)
		}
	}
}

func hostOf(webhook int) string { return fmt.Sprintf("r%d.example", webhook) }

// publish publishes events.
func (h *virtualHost) publish(n int) {
	h.t.Helper()
	for range n {
		h.ids++
		e := webhook.NewEvent{Event: webhook.Event{
			ID: webhook.NewEventID(fmt.Sprintf("%026d", h.ids)), Company: hostCompany, Type: hostType, Timestamp: time.Now().UTC(), AcceptedAt: time.Now().UTC(),
			Body: []byte("{}"),
		}, Sent: sha256.Sum256([]byte{byte(h.ids)})}
		if _, err := (dispatch.Publisher{PublisherStore: h.store, Queue: h}).AcceptEvents(h.t.Context(), []webhook.NewEvent{e}); err != nil {
			h.t.Fatal(err)
		}
	}
}

// Send implements [webhook.Queue].
func (h *virtualHost) Send(_ context.Context, messages ...webhook.Message) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sent += len(messages)
	for _, m := range messages {
		name := queueOf(m)
		visibleAt := time.Now().Add((m.Delay + time.Second - 1).Truncate(time.Second))
		h.messages[name] = append(h.messages[name], &hostMessage{text: m.Text(), visibleAt: visibleAt})
	}
	return nil
}

// sends returns the number of messages that were sent.
func (h *virtualHost) sends() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sent
}

// Reject implements [webhook.Queue].
func (h *virtualHost) Reject(_ context.Context, text, reason string) error {
	h.t.Errorf("rejected %s: %s", text, reason)
	return nil
}

// poll invokes a function with messages of a queue.
func (h *virtualHost) poll(ctx context.Context, name string, interval time.Duration) {
	for ctx.Err() == nil {
		batch := h.receive(name)
		if len(batch) == 0 {
			time.Sleep(interval)
			continue
		}
		texts := make([]string, len(batch))
		for i, m := range batch {
			texts[i] = m.text
		}
		invocation, cancel := context.WithTimeout(ctx, 30*time.Second)
		returned := h.consumer.Handle(invocation, texts)
		cancel()
		h.finish(name, batch, returned)
	}
}

func (h *virtualHost) receive(name string) (batch []*hostMessage) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	for _, m := range h.messages[name] {
		if len(batch) < maxBatch && !m.visibleAt.After(now) {
			m.visibleAt = now.Add(visibility)
			m.receives++
			batch = append(batch, m)
			if m.receives == maxReceives {
				h.t.Errorf("a message becomes a dead letter: %s", m.text)
			}
		}
	}
	return batch
}

func (h *virtualHost) finish(name string, batch []*hostMessage, returned []int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, m := range batch {
		if !slices.Contains(returned, i) {
			h.messages[name] = slices.DeleteFunc(h.messages[name], func(other *hostMessage) bool { return other == m })
		}
	}
}

// Open implements the attempter's interface.
func (h *virtualHost) Open(context.Context, string, string, []byte) (string, error) {
	return "whsec_AAAA", nil
}

// hostClient posts to the receivers of a host.
type hostClient struct{ *virtualHost }

// Post implements the attempter's interface.
func (c hostClient) Post(_ context.Context, u endpoint.URL, _ http.Header, _ []byte) (endpoint.Response, error) {
	status, after := c.respond(u.Host())
	time.Sleep(after)
	if status == 0 {
		return endpoint.Response{}, &endpoint.PostError{Class: webhook.ErrorTimeout}
	}
	return endpoint.Response{Status: status}, nil
}
