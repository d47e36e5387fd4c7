package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"

	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/sqs"
)

// TestSoakQueues is [TestSoak] with two processes that deliver from DynamoDB. One is killed and started again, several times. The other
// is stopped in the end, while there is work, and the first one continues.
func TestSoakQueues(t *testing.T) {
	const kills, events = 3, 80
	queues := need(t, os.Getenv("WEBHOOKS_TEST_MOTO_ENDPOINT"), "WEBHOOKS_TEST_MOTO_ENDPOINT (make test sets it)")
	t.Setenv("WEBHOOKS_TEST_MOTO_ENDPOINT", orderly(t, queues))
	// The message of a retry is sent before the outcome is stored. If the machine is so slow that the message arrives first, it is
	// sent again after a minute.
	s := startSoak(t, "dynamodb", 3, 2*time.Second)
	s.shortenVisibility(t)
	s.serve(t)
	other := s.service.process
	for kill := range kills {
		s.publishUntilKilled(t, events*(kill+1)/(kills+1), 2*time.Second)
		s.recorder.Add(deliverytest.Crashed{})
	}
	s.serve(t)
	s.publishUntil(t, events, 0)
	for _, p := range []*process{other, s.service.process} {
		p.waitForAttempts(t)
	}
	_ = other.command.Process.Signal(syscall.SIGTERM)
	s.waitUntilDelivered(t, 90*time.Second)
	s.readOutcomes(t)
	s.check(t, deliverytest.Options{Tolerance: time.Second, Repeats: 1})
	if <-other.exited; other.err != nil {
		t.Errorf("after SIGTERM, webhookctl serve exited with %v", other.err)
	}
}

// orderly starts a proxy for moto that makes one request at a time, because moto loses messages if requests change a queue at the same
// time. It also waits for messages itself, because moto would still receive some for a process that was killed.
func orderly(t *testing.T, moto string) (endpoint string) {
	t.Helper()
	target, err := url.Parse(moto)
	if err != nil {
		t.Fatal(err)
	}
	o := &orderlyProxy{target: &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) }}, sent: make(map[string]int)}
	proxy := httptest.NewServer(o)
	t.Cleanup(proxy.Close)
	return proxy.URL
}

type orderlyProxy struct {
	target *httputil.ReverseProxy
	turn   sync.Mutex // held during a request

	mu   sync.Mutex
	sent map[string]int // how often messages were sent to a queue, by its URL
}

// ServeHTTP handles one request.
func (o *orderlyProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	var call struct {
		QueueURL        string `json:"QueueUrl"`
		WaitTimeSeconds int
	}
	_ = json.Unmarshal(body, &call)
	body = bytes.Replace(body, []byte(`"WaitTimeSeconds":`), []byte(`"WaitTimeSeconds":0,"Waits":`), 1)
	response, sent := o.forward(r, body, call.QueueURL)
	end, look := time.Now().Add(time.Duration(call.WaitTimeSeconds)*time.Second), time.Now()
	for !bytes.Contains(response.Body.Bytes(), []byte(`"Messages"`)) && time.Now().Before(end) {
		if r.Context().Err() != nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
		if o.sentTo(call.QueueURL) != sent || time.Since(look) > time.Second { // or a message is visible again
			response, sent = o.forward(r, body, call.QueueURL)
			look = time.Now()
		}
	}
	maps.Copy(w.Header(), response.Header())
	w.WriteHeader(response.Code)
	_, _ = w.Write(response.Body.Bytes())
}

// forward makes a request about a queue, and returns the response and how often messages had been sent to the queue then.
func (o *orderlyProxy) forward(r *http.Request, body []byte, queue string) (response *httptest.ResponseRecorder, sent int) {
	request := r.Clone(context.WithoutCancel(r.Context()))
	request.Body, request.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	response = httptest.NewRecorder()
	o.turn.Lock()
	defer o.turn.Unlock()
	sent = o.sentTo(queue)
	o.target.ServeHTTP(response, request)
	if strings.Contains(r.Header.Get("X-Amz-Target"), "SendMessage") {
		o.mu.Lock()
		o.sent[queue]++
		o.mu.Unlock()
	}
	return response, sent
}

func (o *orderlyProxy) sentTo(queue string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent[queue]
}

// waitForAttempts waits until a process has delivered something.
func (p *process) waitForAttempts(t *testing.T) {
	t.Helper()
	succeeded := regexp.MustCompile(`\nwebhooks_attempts_total{error="none",outcome="succeeded"} [1-9]`)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		response, err := http.Get(p.url + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		metrics, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err == nil && succeeded.Match(metrics) {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s has delivered nothing:\n%s", p.url, metrics)
		}
	}
}

// shortenVisibility lets the queues return the messages of a killed process after seconds instead of minutes.
func (s *soak) shortenVisibility(t *testing.T) {
	t.Helper()
	settings := make(map[string]string)
	for _, setting := range s.service.environment {
		name, value, _ := strings.Cut(setting, "=")
		settings[name] = value
	}
	client := sqs.NewClient(sqs.Config{
		Endpoint: settings["WEBHOOKS_SQS_ENDPOINT"], Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
	queues, err := sqs.Lookup(t.Context(), client, settings["WEBHOOKS_TABLE_PREFIX"])
	if err != nil {
		t.Fatal(err)
	}
	for _, url := range []string{queues.Deliveries, queues.Slow} {
		change := &awssqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{"VisibilityTimeout": "8"}}
		if _, err := client.SetQueueAttributes(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
}
