package e2e

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"webhooks/shared/sqs"
)

const (
	// visibility is how long a message that was received is not received again. It is short, so that a message comes back soon after a
	// crash.
	visibility = 2 * time.Second
	// shortVisibility ends while the message is being handled.
	shortVisibility = 10 * time.Millisecond
)

// queues stands in for Amazon SQS, on the wire, and does what SQS may do: messages come more than once, late and in any order. moto
// cannot be used here, because it loses messages: one that is sent while others are deleted may disappear.
type queues struct {
	url   string
	chaos *chaos

	mu       sync.Mutex
	messages map[string][]*message // by queue
	sent     int
}

type message struct {
	id, body  string
	number    int // in the order of sending
	visibleAt time.Time
	receives  int
}

func startQueues(t *testing.T, c *chaos) *queues {
	t.Helper()
	q := &queues{chaos: c, messages: make(map[string][]*message)}
	server := httptest.NewServer(q)
	t.Cleanup(server.Close)
	q.url = server.URL
	return q
}

func (q *queues) urls() sqs.URLs {
	url := func(name string) string { return q.url + "/123456789012/" + name }
	return sqs.URLs{
		Deliveries: url("deliveries"), Slow: url("slow"), FanOut: url("fan-out"), Ingest: url("ingest"),
		DeadDeliveries: url("dead-deliveries"), DeadFanOut: url("dead-fan-out"), DeadIngest: url("dead-ingest"),
	}
}

// entry is an entry of a batch in a request, or the request itself if it is for one message.
type entry struct {
	ID            string `json:"Id"`
	MessageBody   string
	DelaySeconds  int
	ReceiptHandle string
}

// ServeHTTP implements the operations that are used.
func (q *queues) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var request struct {
		QueueURL            string `json:"QueueUrl"`
		MaxNumberOfMessages int
		WaitTimeSeconds     int
		Entries             []entry
		entry
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	name := path.Base(request.QueueURL)
	_, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	var response any
	switch operation {
	case "SendMessage":
		response = q.send(name, request.entry)
	case "SendMessageBatch":
		var done []map[string]string
		for _, e := range request.Entries {
			done = append(done, q.send(name, e))
		}
		response = map[string]any{"Successful": done}
	case "ReceiveMessage":
		var received []any
		for end := time.Now().Add(time.Duration(request.WaitTimeSeconds) * time.Second); len(received) == 0 && time.Now().Before(end); {
			if received = q.receive(name, request.MaxNumberOfMessages); len(received) == 0 {
				time.Sleep(20 * time.Millisecond)
			}
		}
		response = map[string]any{"Messages": received}
	case "DeleteMessageBatch":
		var done []map[string]string
		for _, e := range request.Entries {
			q.delete(name, e.ReceiptHandle)
			done = append(done, map[string]string{"Id": e.ID})
		}
		response = map[string]any{"Successful": done}
	default:
		http.Error(w, operation, http.StatusNotImplemented)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_ = json.NewEncoder(w).Encode(response) // the client may have been killed
}

func hash(body string) string {
	sum := md5.Sum([]byte(body))
	return hex.EncodeToString(sum[:])
}

func (q *queues) send(queue string, e entry) map[string]string {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.sent++
	m := &message{id: fmt.Sprint("message-", q.sent), body: e.MessageBody, number: q.sent}
	m.visibleAt = time.Now().Add(time.Duration(e.DelaySeconds) * time.Second)
	if q.chaos.due("message late", 37, 0) {
		m.visibleAt = m.visibleAt.Add(rand.N(2 * time.Second))
	}
	q.messages[queue] = append(q.messages[queue], m)
	if q.chaos.due("message duplicated", 41, 0) {
		second := *m
		second.visibleAt = m.visibleAt.Add(rand.N(2 * time.Second))
		q.messages[queue] = append(q.messages[queue], &second)
	}
	return map[string]string{"Id": e.ID, "MessageId": m.id, "MD5OfMessageBody": hash(m.body)}
}

// receive receives some of the visible messages of a queue, from any position on.
func (q *queues) receive(queue string, limit int) []any {
	q.mu.Lock()
	defer q.mu.Unlock()
	var received []any
	now, newest := time.Now(), 0
	messages := q.messages[queue]
	for i, first := 0, rand.IntN(len(messages)+1); i < len(messages) && len(received) < limit; i++ {
		m := messages[(first+i)%len(messages)]
		if m.visibleAt.After(now) {
			continue
		}
		if m.number < newest {
			q.chaos.happens("message out of order")
		}
		newest = max(newest, m.number)
		m.visibleAt = now.Add(visibility)
		if q.chaos.due("message visible again while it is handled", 47, 0) {
			m.visibleAt = now.Add(shortVisibility)
		}
		m.receives++
		received = append(received, map[string]any{
			"MessageId": m.id, "Body": m.body, "MD5OfBody": hash(m.body), "ReceiptHandle": fmt.Sprintf("%s of %p", m.id, m),
			"Attributes": map[string]string{"ApproximateReceiveCount": strconv.Itoa(m.receives)},
		})
	}
	return received
}

func (q *queues) delete(queue, handle string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.chaos.due("deletion lost", 43, 0) {
		return
	}
	for i, m := range q.messages[queue] {
		if handle == fmt.Sprintf("%s of %p", m.id, m) {
			last := len(q.messages[queue]) - 1
			q.messages[queue][i] = q.messages[queue][last]
			q.messages[queue] = q.messages[queue][:last]
			return
		}
	}
}

// handleable returns how many messages of a queue are visible, being handled, or about to become visible.
func (q *queues) handleable(queue string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, m := range q.messages[queue] {
		if m.visibleAt.Before(time.Now().Add(10 * time.Second)) {
			n++
		}
	}
	return n
}
