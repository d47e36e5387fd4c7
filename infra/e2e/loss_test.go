package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/sqs"
	domain "webhooks/shared/webhook"
)

const (
	fanOutEvent  = "RecurringPayments.charge.failed"
	circuitEvent = "RecurringPayments.charge.refunded"
	// fanOutWebhooks need two pages besides the webhooks that are stored with the event.
	fanOutWebhooks = 620
	// stubborn is which events fail at one receiver until a retry is requested. After two attempts, they wait for five minutes.
	stubborn = 25
)

// TestLoss publishes events to receivers that fail at random, through the functions as they are deployed, while everything between
// the functions, DynamoDB and SQS fails, too. Then it checks the history of what publishers and receivers saw against the
// invariants of delivery, and sends every message again. WEBHOOKS_LOSS_EVENTS is the number of events.
func TestLoss(t *testing.T) {
	events := 40
	if text := os.Getenv("WEBHOOKS_LOSS_EVENTS"); text != "" {
		var err error
		if events, err = strconv.Atoi(text); err != nil {
			t.Fatalf("WEBHOOKS_LOSS_EVENTS: %v", err)
		}
	}
	l := startLoss(t)
	stop := l.pump(t)
	var all sync.WaitGroup
	publishing, published := context.WithCancel(t.Context())
	all.Go(func() { l.grantSome(publishing, t) })
	l.failLane(t)
	l.publishAll(t, events)
	published()
	all.Wait()
	l.waitForAll(t)
	l.chaos.end()
	l.grantStubborn(t)
	l.waitForAll(t)
	l.waitForQueues(t)
	stop()
	delete(l.webhooks, "/receivers/0") // it does not exist any more
	l.readOutcomes(t)
	l.check(t)
	l.checkDead(t)
	l.checkFaults(t)
	l.replay(t)
	l.checkLog(t)
}

// loss is what the publishers and receivers know.
type loss struct {
	*soak
	*deployment
	circuit, deleted webhook

	failures  map[string]int  // responses by delivery, that were not 2xx
	expected  map[string]bool // deliveries that must arrive
	waiting   map[string]bool // those that fail until a retry is requested
	granted   map[string]int  // retries by delivery, each of which had a 202
	promised  map[string]int  // the greatest number of an attempt by delivery that a retry requested
	isDeleted bool            // whether the webhook has been deleted
	afterward int             // requests to it since, and how many of them may have begun before
	allowed   int
	texts     []string // of messages that the test has sent

	requests, attempts, explained int // what check has counted
}

func startLoss(t *testing.T) *loss {
	t.Helper()
	l := &loss{
		soak: newSoak(t), failures: make(map[string]int), expected: make(map[string]bool), waiting: make(map[string]bool),
		granted: make(map[string]int), promised: make(map[string]int),
	}
	l.soak.respond = l.respond
	l.deployment = deploy(t, map[string]string{
		"WEBHOOKS_CA_PEM": string(l.authority()), "WEBHOOKS_TLS_CHECK": "off", "WEBHOOKS_QUOTA": "1000",
	}, referenceEvent, fanOutEvent, circuitEvent)
	l.soak.api = newSuite(t, target{url: l.deployment.api, receiver: l.receiver.URL, host: gateway, keys: keys{both: l.key}})
	var creating sync.WaitGroup
	paths := make(chan string)
	for range 6 {
		creating.Go(func() {
			for path := range paths {
				l.createWebhook(t, path, fanOutEvent)
			}
		})
	}
	for i := range fanOutWebhooks {
		paths <- fmt.Sprintf("/fan-out/%d", i)
	}
	close(paths)
	for i := range 20 {
		l.createWebhook(t, fmt.Sprintf("/receivers/%d", i), referenceEvent)
	}
	l.deleted, l.circuit = l.webhooks["/receivers/0"], l.createWebhook(t, "/circuit", circuitEvent)
	creating.Wait()
	time.Sleep(time.Second) // the tolerance of the history: whether the webhooks or the events came first
	return l
}

// respond fails one attempt of some deliveries, and every attempt of a few.
func (l *loss) respond(w http.ResponseWriter, hook webhook, event string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.isDeleted && hook.ID == l.deleted.ID {
		l.afterward++
	}
	d := deliveryKey(hook.ID, event)
	l.failures[d]++ // unless it succeeds
	chance := rand.IntN(1000)
	switch {
	case l.waiting[d]:
		return http.StatusBadGateway
	case l.failures[d] == 1 && hook.ID != l.circuit.ID && chance < 30:
		panic(http.ErrAbortHandler) // closes the connection
	case l.failures[d] == 1 && hook.ID != l.circuit.ID && chance < 100:
		return http.StatusInternalServerError
	case l.failures[d] == 1 && hook.ID == l.webhooks["/receivers/1"].ID && l.chaos.due("lane paused", 9, 0):
		w.Header().Set("Retry-After", "1")
		return http.StatusServiceUnavailable
	case chance > 995:
		l.mu.Unlock()
		time.Sleep(visibility + time.Second)
		l.mu.Lock()
	}
	l.failures[d] = 10
	return http.StatusNoContent
}

// publishAll publishes events for the twenty webhooks, one of which it deletes in the middle, and one event for the many webhooks.
func (l *loss) publishAll(t *testing.T, events int) {
	const publishers, unfinished = 4, 500
	numbers := make(chan int)
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for number := range numbers {
				for l.unfinished() > unfinished {
					time.Sleep(20 * time.Millisecond)
				}
				l.publishUntilAccepted(t, number, referenceEvent)
			}
		})
	}
	all.Go(func() {
		l.publishUntilAccepted(t, fanOutNumber, fanOutEvent)
		for number := range 30 {
			l.publishUntilAccepted(t, circuitNumber+number, circuitEvent)
		}
	})
	for number := range events {
		if number == events/2 {
			l.deleteOne(t)
		}
		numbers <- number
	}
	close(numbers)
	all.Wait()
}

// The numbers of the events that are not for the twenty webhooks.
const fanOutNumber, circuitNumber, earlierNumber = 1_000_000, 2_000_000, 3_000_000

// publishUntilAccepted publishes an event, one in ten through the bus.
func (l *loss) publishUntilAccepted(t *testing.T, number int, eventType string) {
	id, data, _ := l.newEvent(number, eventType, time.Now())
	l.mu.Lock()
	for path, w := range l.webhooks {
		if w.Events[0] == eventType && (!l.isDeleted || w.ID != l.deleted.ID) {
			l.expected[deliveryKey(w.ID, id)] = true
			l.waiting[deliveryKey(w.ID, id)] = path == "/receivers/2" && number%stubborn == 0
		}
	}
	l.mu.Unlock()
	if number%10 == 9 {
		l.send(t, l.queues.urls().Ingest, fmt.Sprintf(`{"id":"unused","detail-type":%q,"time":%q,"detail":{"company":%q,"key":%q,"data":%s}}`,
			eventType, soakTimestamp, mainCompany, eventKey(number), data))
		return
	}
	for t.Context().Err() == nil {
		got, err := l.postEvent(t, number, eventType, data)
		if err == nil && got.status < http.StatusInternalServerError {
			got.want(t, http.StatusAccepted, fmt.Sprintf(`{"id":%q}`, id))
			return
		}
	}
}

func (l *loss) send(t *testing.T, queue, text string) {
	if _, err := l.sqs.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: &queue, MessageBody: &text}); err != nil {
		t.Error(err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.texts = append(l.texts, text)
}

// deleteOne deletes a webhook. What is being handled then may have begun before.
func (l *loss) deleteOne(t *testing.T) {
	r, err := l.soak.api.send(t.Context(), l.soak.api.delete("/webhooks/"+l.deleted.ID))
	if err != nil || r.status != http.StatusOK {
		t.Errorf("%s, %v", r, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isDeleted, l.allowed = true, l.handlers["deliver-webhook"].runningTo(l.deleted.ID)
	l.recorder.Add(deliverytest.Deleted{Webhook: l.deleted.ID})
	maps.DeleteFunc(l.expected, func(d string, _ bool) bool { return strings.HasPrefix(d, l.deleted.ID) })
}

// failLane makes the lane of the circuit's webhook fail, with deliveries that wait for it: as another process would have done within
// the last minute.
func (l *loss) failLane(t *testing.T) {
	w, _, err := l.store.Lane(t.Context(), mainCompany, l.circuit.ID)
	now := time.Now().UTC().Truncate(time.Millisecond)
	var messages []domain.Message
	for i, ago := range []time.Duration{60, 52, 44, 36, 25} {
		at := now.Add(-ago * time.Second)
		id, _, body := l.newEvent(earlierNumber+i, circuitEvent, at)
		e := domain.Event{Company: mainCompany, ID: id, Type: circuitEvent, Key: eventKey(earlierNumber + i), Timestamp: at, AcceptedAt: at, Body: body}
		if err == nil {
			_, err = l.store.AcceptEvents(t.Context(), []domain.NewEvent{{Event: e}})
		}
		o := domain.Outcome{
			Ref:       domain.Ref{Company: mainCompany, WebhookID: w.ID, EventID: id, AcceptedAt: at},
			EventType: circuitEvent, Attempt: domain.Attempt{Number: 1, At: at, Error: domain.ErrorConnect}, Status: domain.StatusPending,
			Step: 1, Due: at.Add(5 * time.Second), Lane: domain.LaneFailed, WebhookVersion: w.Version,
		}
		if err == nil {
			_, err = l.store.Record(t.Context(), o)
		}
		o.Made++
		messages = append(messages, domain.Message{Kind: domain.MessageDelivery, Ref: o.Ref, Slow: true})
		l.mu.Lock()
		l.expected[deliveryKey(w.ID, id)] = true
		l.mu.Unlock()
	}
	if err == nil {
		err = sqs.New(l.sqs, l.queues.urls(), "").Send(t.Context(), messages...)
	}
	_, lane, laneErr := l.store.Lane(t.Context(), mainCompany, l.circuit.ID)
	if err != nil || laneErr != nil || !lane.IsFailing() || l.circuit.ID != w.ID {
		t.Fatalf("the lane is not failing: %+v, %v, %v", lane, err, laneErr)
	}
}

// unfinished returns how many deliveries must still arrive.
func (l *loss) unfinished() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for d := range l.expected {
		if !l.delivered[d] && !l.waiting[d] {
			n++
		}
	}
	return n
}

// waitForAll waits until the receivers have acknowledged every delivery. Lanes for which deliveries wait are looked at again within a
// minute: if they do wait for a time, it comes earlier here.
func (l *loss) waitForAll(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); l.unfinished() > 0; time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatalf("%d of %d deliveries have not arrived", l.unfinished(), len(l.expected))
		}
		l.hurry(t)
	}
}

// hurry makes the time come for which lanes wait.
func (l *loss) hurry(t *testing.T) {
	for shard := range domain.WaitingShards {
		now := time.Now().UTC().Truncate(time.Millisecond)
		entries, err := l.store.Waiting(t.Context(), shard, now.Add(3*time.Minute), 100)
		if err != nil {
			t.Error(err)
		}
		for _, e := range entries {
			if e.DeliveryID != "" || e.At.Before(now.Add(3*time.Second)) {
				continue
			}
			look, err := l.store.LookLane(t.Context(), e.Company, e.WebhookID, "", 1)
			if err == nil && len(look.Waiting) > 0 {
				_, err = l.store.MoveLane(t.Context(), look, domain.LaneMove{At: now, Probe: look.Lane.IsFailing()})
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
}

// waitForQueues waits until nothing is left that can be handled soon.
func (l *loss) waitForQueues(t *testing.T) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		n := 0
		for _, queue := range []string{"deliveries", "slow", "fan-out", "ingest"} {
			n += l.queues.handleable(queue)
		}
		if n == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d messages are left in the queues", n)
		}
	}
}

// deliveryResource is a delivery in responses.
type deliveryResource struct {
	ID           string
	EventID      string `json:"event_id"`
	Status       domain.Status
	AttemptCount int `json:"attempt_count"`
}

// deliveries returns the latest deliveries of a webhook with a status, or with any.
func (l *loss) deliveries(t *testing.T, w webhook, status string) []deliveryResource {
	var page struct{ Elements []deliveryResource }
	l.read(t, "/webhooks/"+w.ID+"/deliveries?size=100&status="+status, &page)
	return page.Elements
}

// grantSome requests retries of deliveries, whatever their status is, until ctx ends.
func (l *loss) grantSome(ctx context.Context, t *testing.T) {
	for ctx.Err() == nil {
		w := l.webhooks[fmt.Sprintf("/receivers/%d", 3+rand.IntN(10))]
		if deliveries := l.deliveries(t, w, []string{"pending", "delivered"}[rand.IntN(2)]); len(deliveries) > 0 {
			l.grant(t, w, deliveries[rand.IntN(len(deliveries))])
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// grantStubborn requests retries of half of the deliveries that have failed twice.
func (l *loss) grantStubborn(t *testing.T) {
	hook := l.webhooks["/receivers/2"]
	pending := l.deliveries(t, hook, "pending")
	isEarly := func(d deliveryResource) bool { return d.AttemptCount < 2 }
	for end := time.Now().Add(30 * time.Second); len(pending) < 2 || slices.ContainsFunc(pending, isEarly); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("these deliveries are pending, want at least two that have failed twice: %+v", pending)
		}
		pending = l.deliveries(t, hook, "pending")
	}
	for i, d := range pending {
		if i%2 == 0 {
			l.mu.Lock()
			l.waiting[deliveryKey(hook.ID, d.EventID)] = false
			l.mu.Unlock()
			l.grant(t, hook, d)
		}
	}
}

// grant requests a retry until there is a response. Every request may be granted.
func (l *loss) grant(t *testing.T, w webhook, d deliveryResource) {
	key, r := deliveryKey(w.ID, d.EventID), l.soak.api.request(http.MethodPost, "/webhooks/"+w.ID+"/deliveries/"+d.ID+"/retry")
	for t.Context().Err() == nil {
		l.mu.Lock()
		l.granted[key]++
		l.mu.Unlock()
		got, err := l.soak.api.send(t.Context(), r)
		if err != nil || got.status >= http.StatusInternalServerError {
			continue
		}
		var now deliveryResource
		if err := json.Unmarshal(got.body, &now); err != nil || got.status != http.StatusAccepted {
			t.Errorf("%s, %v", got, err)
		}
		l.mu.Lock()
		l.promised[key] = max(l.promised[key], now.AttemptCount+1)
		l.mu.Unlock()
		return
	}
}
