package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	emulator "webhooks/infra/gateway" // gateway is a host
	"webhooks/shared/dynamo/dynamotest"
	domain "webhooks/shared/webhook"
)

// chaos injects faults and counts them.
type chaos struct {
	mu       sync.Mutex
	calm     bool           // whether there are no more faults
	calls    map[string]int // that a fault may have affected
	happened map[string]int
}

// due reports whether a fault is to be injected now: into the first call that it may affect, and into one of so many from then on,
// but not more than limit times, if that is not 0.
func (c *chaos) due(fault string, every, limit int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calm || limit > 0 && c.happened[fault] >= limit {
		return false
	}
	c.calls[fault]++
	if c.calls[fault]%every != every/2 {
		return false
	}
	c.happened[fault]++
	return true
}

// happens counts a fault that nobody had to inject.
func (c *chaos) happens(fault string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.happened[fault]++
}

func (c *chaos) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calm = true
}

// fault is one between a function and a service.
type fault struct {
	name         string
	operations   []string // calls that it may affect
	every, limit int      // see due
	inject       func(call dynamotest.Call) dynamotest.Fault
}

// always returns a fault that is the same for every call.
func always(f dynamotest.Fault) func(dynamotest.Call) dynamotest.Fault {
	return func(dynamotest.Call) dynamotest.Fault { return f }
}

// faultsOf returns the faults between a function, whose running processes the second parameter returns, and DynamoDB and SQS.
func faultsOf(function string, running func() []*os.Process) (database, queues []fault) {
	var frozen atomic.Pointer[os.Process]
	kill := func() {
		for _, p := range running() {
			if p != frozen.Load() {
				_ = p.Kill() // it may have exited
			}
		}
	}
	freeze := func() {
		for _, p := range running() {
			if frozen.CompareAndSwap(nil, p) {
				_ = p.Signal(syscall.SIGSTOP)
			}
		}
	}
	reads, writes, sends := []string{"BatchGetItem", "Query"}, []string{"UpdateItem", "PutItem", "TransactWriteItems"}, []string{"SendMessageBatch"}
	lost, throttled := always(dynamotest.LoseResponse()), always(dynamotest.Reject("ThrottlingException"))
	killedBefore := always(dynamotest.First(kill, dynamotest.Reset()))
	killedAfter := always(dynamotest.LoseResponse().Then(kill))
	lateWrite := always(dynamotest.First(func() { time.Sleep(visibility + time.Second/2) }, dynamotest.Pass()))
	database = []fault{
		{"throttled by DynamoDB", slices.Concat(reads, writes), 79, 0, throttled},
		{"response lost after a write", writes, 47, 0, lost},
		{"unprocessed keys", reads[:1], 23, 0, always(dynamotest.Unprocessed())},
	}
	queues = []fault{
		{"throttled by SQS", sends, 37, 0, always(dynamotest.Reject("RequestThrottled"))},
		{"response lost after sending", sends, 17, 0, lost},
		{"messages not accepted", sends, 29, 0, notAccepted},
	}
	switch function {
	case "publish-event", "ingest-event", "retry-delivery":
		every := 23
		if function == "ingest-event" { // which gets few events
			every = 4
		}
		database = append(database, fault{function + " killed before the message", writes, every, 0, killedAfter})
		queues = append(queues, fault{function + " killed after the message", sends, every, 0, killedAfter})
	case "fan-out-event":
		database = append(database, fault{"fan-out-event killed before the first message", writes, 1, 1, killedAfter})
		queues = append(queues, fault{"fan-out-event killed between messages", sends, 31, 3, killedBefore})
	case "deliver-webhook":
		database = append(database,
			fault{"process frozen until it timed out", writes, 150, 1, always(dynamotest.First(freeze, dynamotest.Pass()))},
			fault{"outcome late", writes, 211, 0, lateWrite},
			fault{"killed between the POST and the write", writes, 397, 0, killedBefore},
			fault{"killed between the write and the deletion", writes, 797, 0, killedAfter},
		)
		queues = append(queues, fault{"killed before the message for the retry", sends, 131, 0, killedBefore})
	}
	return database, queues
}

// notAccepted responds that SQS has not accepted any of the messages, for a reason that will pass.
func notAccepted(call dynamotest.Call) dynamotest.Fault {
	type failed struct {
		ID          string `json:"Id"`
		Code        string
		SenderFault bool
	}
	var sent struct{ Entries []struct{ ID string } }
	_ = json.Unmarshal([]byte(call.Body), &sent) // the SDK has encoded it
	var response struct{ Failed []failed }
	for _, e := range sent.Entries {
		response.Failed = append(response.Failed, failed{e.ID, "InternalError", false})
	}
	body, _ := json.Marshal(response) // strings can always be encoded
	return dynamotest.Respond(string(body))
}

// between starts a proxy in front of a service that injects faults.
func (c *chaos) between(t *testing.T, service string, faults []fault) *dynamotest.Proxy {
	p := dynamotest.NewProxy(t, service)
	p.Every(func(call dynamotest.Call) dynamotest.Fault {
		for _, f := range faults {
			if slices.Contains(f.operations, call.Operation) && c.due(f.name, f.every, f.limit) {
				return f.inject(call)
			}
		}
		return dynamotest.Pass()
	})
	return p
}

// handler is a function that handles messages, and what the tests know about its invocations. It loses results.
type handler struct {
	*emulator.Function
	chaos *chaos

	mu      sync.Mutex
	running map[string]int // invocations, by delivery and by the ID of a message
	repeats map[string]int // how many attempts of a delivery may be repeated
}

var errResultLost = errors.New("the result was lost")

// Invoke implements [emulator.Invoker].
func (h *handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	var event struct {
		Records []struct{ MessageID, Body string }
	}
	if err := json.Unmarshal(payload, &event); err != nil || len(event.Records) == 0 {
		return h.Function.Invoke(ctx, payload) // not messages
	}
	deliveries := make(map[string]string) // by the ID of the message
	for _, r := range event.Records {
		if m, err := domain.ParseMessage(r.Body); err == nil && m.Kind != domain.MessageFanOut {
			deliveries[r.MessageID] = deliveryKey(m.WebhookID, m.EventID) // for a message about a lane: without an event
		}
	}
	h.begin(deliveries)
	out, err := h.Function.Invoke(ctx, payload)
	h.finish(deliveries, out, err)
	switch {
	case errors.Is(err, emulator.ErrTimedOut):
		h.chaos.happens("invocation timed out")
	case errors.Is(err, emulator.ErrExited):
		h.chaos.happens("process killed")
	case err == nil && h.chaos.due("result lost", 31, 0):
		err = errResultLost
	}
	return out, err
}

func deliveryKey(webhookID, eventID string) string { return webhookID + " " + eventID }

func (h *handler) begin(deliveries map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for message, d := range deliveries {
		if h.running[message] > 0 {
			h.chaos.happens("message received again while it was handled")
		}
		if h.running[d] > 0 {
			h.repeats[d]++
		}
		h.running[message]++
		h.running[d]++
	}
}

// finish counts what will be repeated: everything if the invocation failed, or else what is returned to the queue.
func (h *handler) finish(deliveries map[string]string, out []byte, err error) {
	var response struct {
		BatchItemFailures []struct{ ItemIdentifier string }
	}
	_ = json.Unmarshal(out, &response) // the Pump reports errors
	h.mu.Lock()
	defer h.mu.Unlock()
	for message, d := range deliveries {
		h.running[message]--
		h.running[d]--
		if err != nil {
			h.repeats[d]++
		}
	}
	for _, f := range response.BatchItemFailures {
		h.repeats[deliveries[f.ItemIdentifier]]++
	}
}

// runningTo returns how many messages about a webhook are being handled.
func (h *handler) runningTo(webhookID string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for key, count := range h.running {
		var id, event string
		if _, _ = fmt.Sscan(key, &id, &event); id == webhookID {
			n += count
		}
	}
	return n
}
