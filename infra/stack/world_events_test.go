package stack

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/oklog/ulid/v2"

	"webhooks/shared/webhook"
)

// subscribeMany makes more webhooks subscribe to the type many than an event and a page of its fan-out have.
func (w *world) subscribeMany(t *testing.T, client *dynamodb.Client, table string) error {
	t.Helper()
	var edges []types.WriteRequest
	for range 100 + 500 + 1 {
		edges = append(edges, types.WriteRequest{PutRequest: &types.PutRequest{Item: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: "C#acme#E#many"}, "sk": &types.AttributeValueMemberS{Value: "W#" + webhook.NewID(ulid.Make().String())},
		}}})
	}
	for batch := range slices.Chunk(edges, 25) {
		in := &dynamodb.BatchWriteItemInput{RequestItems: map[string][]types.WriteRequest{table: batch}}
		if _, err := client.BatchWriteItem(t.Context(), in); err != nil {
			return err
		}
	}
	return nil
}

// receiver is an HTTPS server on loopback that responds with a chosen status.
type receiver struct {
	url, certificate string
	status, requests atomic.Int64
}

func startReceiver(t *testing.T) *receiver {
	t.Helper()
	r := new(receiver)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		r.requests.Add(1)
		if r.status.Load() == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "50")
		}
		w.WriteHeader(int(r.status.Load()))
	}))
	t.Cleanup(server.Close)
	r.url = server.URL
	r.certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	return r
}

// queues is what SQS is for functions that only send: it keeps the messages that are not delayed.
type queues struct {
	mu       sync.Mutex
	messages map[string][]string // by the queue's URL
}

func (q *queues) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	type entry struct {
		ID, MessageBody string
		DelaySeconds    int
	}
	type result struct {
		ID               string `json:"Id,omitempty"`
		MessageID        string `json:"MessageId"`
		MD5OfMessageBody string
	}
	var request struct {
		QueueURL string
		Entries  []entry
		entry    // of SendMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&request); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	single := len(request.Entries) == 0
	if single {
		request.Entries = []entry{request.entry}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var results []result
	for _, e := range request.Entries {
		if e.DelaySeconds == 0 {
			q.messages[request.QueueURL] = append(q.messages[request.QueueURL], e.MessageBody)
		}
		results = append(results, result{e.ID, "1", fmt.Sprintf("%x", md5.Sum([]byte(e.MessageBody)))})
	}
	var response any = map[string]any{"Successful": results, "Failed": []any{}}
	if single {
		response = results[0]
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	_ = json.NewEncoder(w).Encode(response)
}

// take removes the messages of a queue and returns them.
func (q *queues) take(queue string) []string {
	q.mu.Lock()
	defer q.mu.Unlock()
	texts := q.messages[queue]
	delete(q.messages, queue)
	return texts
}

// handle invokes a function with messages, which it must finish.
func (w *world) handle(t *testing.T, function string, texts ...string) {
	t.Helper()
	var records []map[string]string
	for i, text := range texts {
		records = append(records, map[string]string{"eventSource": "aws:sqs", "messageId": fmt.Sprint(i), "body": text})
	}
	if len(texts) == 0 {
		t.Fatalf("there are no messages for %s", function)
	}
	event, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	out, err := w.functions[function].Invoke(t.Context(), event)
	if err != nil || !bytes.Equal(out, []byte(`{"batchItemFailures":[]}`)) {
		t.Fatalf("%s returned %s, error %v, for %q", function, out, err, texts)
	}
}

// attempt makes an attempt of the delivery in the queue, as if it came from the queue for slow lanes, and returns the delivery.
func (w *world) attempt(t *testing.T, status int) webhook.Ref {
	t.Helper()
	w.receiver.status.Store(int64(status))
	texts := w.queues.take("DeliveriesQueue")
	if len(texts) != 1 {
		t.Fatalf("the messages are %q", texts)
	}
	m, err := webhook.ParseMessage(texts[0])
	if err != nil {
		t.Fatal(err)
	}
	m.Slow = true
	w.handle(t, "deliver-webhook", m.Text())
	return m.Ref
}

// publishEverywhere publishes events in every way that makes a difference to the store: over HTTP, and through the bus.
func (w *world) publishEverywhere(t *testing.T) {
	t.Helper()
	publish := func(event string) string {
		return w.call(t, http.StatusAccepted, "POST", "/events", `{"event":{"data":{},`+event+`}}`, "")
	}
	if first, again := publish(`"type":"aacme","key":"1"`), publish(`"type":"aacme","key":"1"`); again != first {
		t.Errorf("a repeated event is %s after %s", again, first)
	}
	publish(`"type":"unused"`)
	w.call(t, http.StatusAccepted, "POST", "/events", `{"events":[{"type":"aacme","data":{}},{"type":"aacme","data":{}}]}`, "")
	many := publish(`"type":"many"`)
	w.call(t, http.StatusOK, "GET", many, "", "")
	ingested := func(eventType, id string) string {
		return fmt.Sprintf(`{"id":%q,"detail-type":%q,"time":"2026-01-02T03:04:05Z","detail":{"company":"acme","data":{}}}`, id, eventType)
	}
	w.handle(t, "ingest-event", ingested("aacme", "2"), ingested("unused", "3"), ingested("many", "4"), "{}")
	w.handle(t, "ingest-event", ingested("aacme", "2"))
	w.handle(t, "fan-out-event", append(w.queues.take("FanOutQueue"), "{}")...)
	w.queues.take("DeliveriesQueue")
}

// deliverEverything delivers events to a new webhook in every way that makes a difference to the stores, and deletes it.
func (w *world) deliverEverything(t *testing.T) {
	t.Helper()
	location := w.call(t, http.StatusCreated, "POST", "/webhooks", fmt.Sprintf(`{"webhook":{"name":"n","url":%q,"events":["b"]}}`, w.receiver.url), "")
	publish := func() { w.call(t, http.StatusAccepted, "POST", "/events", `{"event":{"type":"b","data":{}}}`, "") }
	read := func(path string) { w.call(t, http.StatusOK, "GET", path, "", "") }
	publish()
	delivered := w.attempt(t, http.StatusNoContent)
	read("/events/" + delivered.EventID)
	read(location + "/deliveries")
	read(location + "/deliveries/" + delivered.DeliveryID())
	read(location + "/status")
	w.call(t, http.StatusAccepted, "POST", location+"/deliveries/"+delivered.DeliveryID()+"/retry", "", "")
	w.attempt(t, http.StatusNoContent)
	publish()
	failed := w.attempt(t, http.StatusInternalServerError)
	ahead := webhook.Message{Kind: webhook.MessageDelivery, Ref: failed}
	ahead.Made = 2
	w.handle(t, "deliver-webhook", ahead.Text(), "{}")
	publish()
	w.attempt(t, http.StatusServiceUnavailable)
	publish()
	w.attempt(t, http.StatusServiceUnavailable) // waits for its lane, and the lane for a time
	if got := w.receiver.requests.Load(); got != 4 {
		t.Errorf("%d attempts were made, want 4", got)
	}
	w.makeDue(t, failed)
	if _, err := w.functions["requeue-due-deliveries"].Invoke(t.Context(), []byte("{}")); err != nil {
		t.Error(err)
	}
	lane := webhook.Message{Kind: webhook.MessageLane, Ref: webhook.Ref{Company: delivered.Company, WebhookID: delivered.WebhookID}, Count: 1}
	w.handle(t, "deliver-webhook", lane.Text())
	w.call(t, http.StatusOK, "DELETE", location, "", "")
	w.handle(t, "deliver-webhook", lane.Text())
}

// makeDue makes a delivery that has failed once look as if that was long ago and the next attempt is due.
func (w *world) makeDue(t *testing.T, r webhook.Ref) {
	t.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	r.Made = 1
	applied, err := w.deliveries.Record(t.Context(), webhook.Outcome{
		Ref: r, EventType: "b", Status: webhook.StatusPending, Step: 2, Due: now,
		Attempt: webhook.Attempt{Number: 2, At: now.Add(-time.Hour), URL: w.receiver.url, Error: webhook.ErrorConnect},
	})
	if err != nil || !applied {
		t.Fatalf("the outcome was applied: %v, error %v", applied, err)
	}
}
