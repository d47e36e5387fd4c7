package sqs

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// fixture is a set of queues on moto, behind a proxy that injects faults.
type fixture struct {
	*testing.T
	proxy  *dynamotest.Proxy
	client *sqs.Client
	prefix string
	urls   URLs
	queues *Queues
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{T: t, proxy: dynamotest.NewProxy(t, dynamotest.Service(t, "WEBHOOKS_TEST_MOTO_ENDPOINT")), prefix: rand.Text()[:10] + "-"}
	f.client = NewClient(Config{
		Endpoint: f.proxy.URL, Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("ASIADUMMY", "dummy", ""),
	})
	var err error
	if f.urls, err = Create(t.Context(), f.client, f.prefix); err != nil {
		t.Fatal(err)
	}
	f.queues = New(f.client, f.urls, f.urls.DeadDeliveries)
	f.proxy.Calls()
	return f
}

// received is what is needed of a message that arrived.
type received struct{ text, group, reason string }

// receive takes all messages that a queue has now.
func (f *fixture) receive(url string) (all []received) {
	f.Helper()
	for {
		out, err := f.client.ReceiveMessage(f.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &url, MaxNumberOfMessages: 10, MessageAttributeNames: []string{"reason"},
			MessageSystemAttributeNames: []types.MessageSystemAttributeName{"MessageGroupId"},
		})
		if err != nil {
			f.Fatal(err)
		}
		if len(out.Messages) == 0 {
			return all
		}
		for _, m := range out.Messages {
			r := received{text: *m.Body, group: m.Attributes["MessageGroupId"]}
			if reason := m.MessageAttributes["reason"].StringValue; reason != nil {
				r.reason = *reason
			}
			all = append(all, r)
		}
	}
}

// entry is an entry of a call of SendMessageBatch.
type entry struct {
	ID           string `json:"Id"`
	DelaySeconds int
}

// batches returns the entries of each call of SendMessageBatch since the last calls were read.
func (f *fixture) batches() (all [][]entry) {
	for _, c := range f.proxy.Calls() {
		var body struct{ Entries []entry }
		if c.Operation != "SendMessageBatch" {
			continue
		}
		if err := json.Unmarshal([]byte(c.Body), &body); err != nil {
			f.Fatal(err)
		}
		all = append(all, body.Entries)
	}
	return all
}

// attempt returns a message for a delivery.
func attempt(n int) webhook.Message {
	return webhook.Message{Kind: webhook.MessageDelivery, Ref: webhook.Ref{
		Company: "acme", WebhookID: "wh_1", EventID: fmt.Sprintf("evt_%d", n), AcceptedAt: time.UnixMilli(1_767_323_045_000).UTC(),
	}}
}

func (f *fixture) wantKind(err error, kind webhook.Kind, text string) {
	f.Helper()
	if err == nil || webhook.KindOf(err) != kind || !strings.Contains(err.Error(), text) {
		f.Errorf("got the error %v, want the kind %d and %q", err, kind, text)
	}
}

func TestSend(t *testing.T) {
	f := newFixture(t)
	slow, lane := attempt(100), webhook.Message{Kind: webhook.MessageLane, Ref: webhook.Ref{Company: "acme", WebhookID: "wh_2"}, Count: 1}
	slow.Slow = true
	fanOut := webhook.Message{Kind: webhook.MessageFanOut, Ref: webhook.Ref{Company: "acme", EventID: "evt_1"}, Count: 1}
	messages, want := []webhook.Message{slow, lane, fanOut}, []received{{text: lane.Text(), group: "wh_2"}}
	for n := range 95 {
		messages, want = append(messages, attempt(n)), append(want, received{text: attempt(n).Text(), group: "wh_1"})
	}
	if err := f.queues.Send(t.Context(), messages...); err != nil {
		t.Fatal(err)
	}
	for _, batch := range f.batches() {
		if len(batch) > 10 {
			t.Errorf("a batch of %d messages", len(batch))
		}
	}
	byText := func(a, b received) int { return strings.Compare(a.text, b.text) }
	slices.SortFunc(want, byText)
	for url, want := range map[string][]received{
		f.urls.Deliveries: want, f.urls.Slow: {{text: slow.Text(), group: "wh_1"}}, f.urls.FanOut: {{text: fanOut.Text(), group: "acme"}},
	} {
		if got := f.receive(url); !reflect.DeepEqual(slices.SortedFunc(slices.Values(got), byText), want) {
			t.Errorf("%s: got %d messages, want %d:\n%v", url, len(got), len(want), got)
		}
	}
	if err := f.queues.Send(t.Context()); err != nil || len(f.batches()) != 0 {
		t.Errorf("sending nothing: error %v", err)
	}
	f.wantKind(New(f.client, URLs{Deliveries: f.urls.Deliveries}, "").Send(t.Context(), attempt(1), slow), webhook.KindInternal, "no queue is configured")
	if got := f.receive(f.urls.Deliveries); len(got) > 0 {
		t.Errorf("messages were sent although the queue of another one is unknown: %v", got)
	}
}

func TestDelay(t *testing.T) {
	f := newFixture(t)
	for delay, want := range map[time.Duration]int{0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, webhook.MaxDelay: 900} {
		m := attempt(1)
		m.Delay = delay
		err := f.queues.Send(t.Context(), m)
		if got := f.batches(); err != nil || len(got) != 1 || got[0][0].DelaySeconds != want {
			t.Errorf("%v: sent %v, error %v, want %d s", delay, got, err, want)
		}
	}
	if got := f.receive(f.urls.Deliveries); len(got) != 1 {
		t.Errorf("got %d messages, want only the one without a delay", len(got))
	}
	m := attempt(1)
	m.Delay = webhook.MaxDelay + 1
	f.wantKind(f.queues.Send(t.Context(), m), webhook.KindInternal, "DelaySeconds")
}

func TestPartialFailures(t *testing.T) {
	f := newFixture(t)
	failed := func(senderFault bool) dynamotest.Fault {
		return dynamotest.Respond(fmt.Sprintf(`{"Failed":[{"Id":"1","Code":"Busy","Message":"m","SenderFault":%v}]}`, senderFault))
	}
	f.proxy.Next("SendMessageBatch", failed(false))
	err := f.queues.Send(t.Context(), attempt(0), attempt(1), attempt(2))
	if got := f.batches(); err != nil || len(got) != 2 || len(got[1]) != 1 || got[1][0].ID != "1" {
		t.Errorf("sent %v, error %v, want the second message again", got, err)
	}
	f.proxy.Next("SendMessageBatch", failed(true))
	f.wantKind(f.queues.Send(t.Context(), attempt(0), attempt(1)), webhook.KindInternal, "did not accept 1 of 2 messages: Busy: m")
	f.proxy.Every(func(dynamotest.Call) dynamotest.Fault { return failed(false) })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	f.wantKind(f.queues.Send(ctx, attempt(0), attempt(1)), webhook.KindUnavailable, "Busy")
}

func TestFaults(t *testing.T) {
	f := newFixture(t)
	for name, fault := range map[string]dynamotest.Fault{
		"throttled": dynamotest.Reject("RequestThrottled"), "server error": dynamotest.Status(503), "reset": dynamotest.Reset(),
		"lost response": dynamotest.LoseResponse(), "truncated response": dynamotest.TruncateResponse(),
	} {
		t.Run(name, func(t *testing.T) {
			f.proxy.Next("SendMessageBatch", fault)
			err := f.queues.Send(t.Context(), attempt(1))
			if calls := f.batches(); err != nil || len(calls) != 2 {
				t.Errorf("%d calls, error %v, want a second one to succeed", len(calls), err)
			}
			// What had an effect before its response was lost, is there twice.
			if got := f.receive(f.urls.Deliveries); len(got) == 0 || len(got) > 2 || got[0].text != attempt(1).Text() {
				t.Errorf("received %v", got)
			}
			f.proxy.Calls()
		})
	}
	f.proxy.Every(func(dynamotest.Call) dynamotest.Fault { return dynamotest.Hang() })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	f.wantKind(f.queues.Send(ctx, attempt(1)), webhook.KindUnavailable, "deadline exceeded")
	f.wantKind(f.queues.Reject(ctx, "text", "reason"), webhook.KindUnavailable, "deadline exceeded")
	f.proxy.Every(nil)
	f.proxy.Next("SendMessageBatch", dynamotest.Reject("AccessDenied"))
	f.wantKind(f.queues.Send(t.Context(), attempt(1)), webhook.KindInternal, "AccessDenied")
	missing := New(f.client, URLs{Deliveries: f.urls.Deliveries + "-missing"}, "")
	f.wantKind(missing.Send(t.Context(), attempt(1)), webhook.KindInternal, `deliveries-missing" does not exist in region "eu-west-1"`)
}

func TestReject(t *testing.T) {
	f := newFixture(t)
	long := strings.Repeat("é", 1<<19) // 1 MiB
	for _, text := range []string{"not JSON", long} {
		if err := f.queues.Reject(t.Context(), text, "the reason"); err != nil {
			t.Fatal(err)
		}
		got := f.receive(f.urls.DeadDeliveries)
		if len(got) != 1 || got[0].reason != "the reason" || !strings.HasPrefix(text, got[0].text) || len(text)-len(got[0].text) > 30 {
			t.Errorf("%d bytes: received %d messages", len(text), len(got))
		}
	}
	f.wantKind(New(f.client, f.urls, "").Reject(t.Context(), "text", "reason"), webhook.KindInternal, "no dead-letter queue")
}

func TestCreate(t *testing.T) {
	f := newFixture(t)
	attributes := func(url string) map[string]string {
		out, err := f.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{"All"}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Attributes
	}
	for _, row := range []struct{ url, name, dead string }{
		{f.urls.Deliveries, "deliveries", "dead-deliveries"}, {f.urls.Slow, "slow", "dead-deliveries"},
		{f.urls.FanOut, "fan-out", "dead-fan-out"}, {f.urls.Ingest, "ingest", "dead-ingest"},
		{f.urls.DeadDeliveries, "dead-deliveries", ""}, {f.urls.DeadFanOut, "dead-fan-out", ""}, {f.urls.DeadIngest, "dead-ingest", ""},
	} {
		want := map[string]string{"SqsManagedSseEnabled": "true", "MaximumMessageSize": "1048576", "MessageRetentionPeriod": "1209600"}
		if row.dead != "" {
			want["MessageRetentionPeriod"], want["VisibilityTimeout"] = "345600", "180"
		}
		got := attributes(row.url)
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s: %s is %q, want %q", row.name, name, got[name], value)
			}
		}
		var redrive struct{ DeadLetterTargetArn, MaxReceiveCount any }
		if row.dead != "" {
			_ = json.Unmarshal([]byte(got["RedrivePolicy"]), &redrive) // the zero value fails below
			if got := fmt.Sprint(redrive); !strings.HasSuffix(got, ":"+f.prefix+row.dead+" 500}") {
				t.Errorf("%s: redrive policy %s", row.name, got)
			}
		}
		if !strings.HasSuffix(row.url, "/"+f.prefix+row.name) {
			t.Errorf("%s has the URL %s", row.name, row.url)
		}
	}
	// Existing queues stay as they are.
	changed := map[string]string{"VisibilityTimeout": "200"}
	if _, err := f.client.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &f.urls.Slow, Attributes: changed}); err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]func(context.Context, *sqs.Client, string) (URLs, error){"Create": Create, "Lookup": Lookup} {
		if got, err := call(t.Context(), f.client, f.prefix); err != nil || got != f.urls || attributes(f.urls.Slow)["VisibilityTimeout"] != "200" {
			t.Errorf("%s: got %+v, error %v", name, got, err)
		}
	}
	_, err := Lookup(t.Context(), f.client, "missing-")
	f.wantKind(err, webhook.KindInternal, `"missing-dead-deliveries" does not exist`)
}

func TestFromEnvironment(t *testing.T) {
	settings := map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
	getenv := func(name string) string { return settings[name] }
	if _, err := FromEnvironment(getenv); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"WEBHOOKS_SQS_ENDPOINT", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		settings[name] = map[bool]string{true: "127.0.0.1:5000"}[name == "WEBHOOKS_SQS_ENDPOINT"]
		if _, err := FromEnvironment(getenv); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
