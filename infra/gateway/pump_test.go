package gateway

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	awssqs "github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/sqs"
)

// record is a message as an event has it.
type record struct {
	MessageID, Body, EventSource, EventSourceARN string
	Attributes                                   map[string]string
}

func (r record) receives() string { return r.Attributes["ApproximateReceiveCount"] }

// TestPump runs queue functions that do what messages say on moto's SQS.
func TestPump(t *testing.T) {
	url := dynamotest.Service(t, "WEBHOOKS_TEST_MOTO_ENDPOINT")
	client := sqs.NewClient(sqs.Config{Endpoint: url, Region: region, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	queues, err := sqs.Create(t.Context(), client, "pump-"+rand.Text()[:10]+"-")
	for _, url := range []string{queues.Deliveries, queues.Slow, queues.Ingest} {
		soon := map[string]string{string(types.QueueAttributeNameVisibilityTimeout): "1"}
		_, setErr := client.SetQueueAttributes(t.Context(), &awssqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: soon})
		err = errors.Join(err, setErr)
	}
	if err != nil {
		t.Fatal(err)
	}
	handled := make(chan record, 100)
	var running, most atomic.Int32
	function := invoker(func(_ context.Context, payload []byte) ([]byte, error) {
		now := running.Add(1)
		defer running.Add(-1)
		most.Store(max(most.Load(), now))
		var event struct{ Records []record }
		if err := json.Unmarshal(payload, &event); err != nil {
			t.Error(err)
		}
		out := `{"batchItemFailures":[`
		for _, r := range event.Records {
			handled <- r
			switch first := r.receives() == "1"; {
			case r.Body == "invocation fails" && first:
				return nil, errors.New("failed")
			case r.Body == "unknown ID" && first:
				return []byte(`{"batchItemFailures":[{"itemIdentifier":""}]}`), nil
			case r.Body == "returns" && first:
				out += fmt.Sprintf(`{"itemIdentifier":%q}`, r.MessageID)
			case r.Body == "slow":
				time.Sleep(20 * time.Millisecond)
			}
		}
		return []byte(out + "]}"), nil
	})
	sweeps := make(chan []byte, 100)
	sweeper := invoker(func(_ context.Context, payload []byte) ([]byte, error) {
		sweeps <- payload
		return nil, nil
	})
	send := func(url string, bodies ...string) {
		for _, body := range bodies {
			if _, err := client.SendMessage(t.Context(), &awssqs.SendMessageInput{QueueUrl: &url, MessageBody: &body}); err != nil {
				t.Fatal(err)
			}
		}
	}
	pump := Pump{
		SQS: client, Queues: queues, Concurrency: 2, Every: 100 * time.Millisecond, Log: slog.New(slog.DiscardHandler),
		Functions: map[string]Invoker{"deliver-webhook": function, "ingest-event": function, scheduled: sweeper},
	}
	send(queues.Slow, slices.Repeat([]string{"slow"}, 40)...)
	ctx, stop := context.WithCancel(t.Context())
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		pump.Run(ctx)
	}()
	for range 40 {
		<-handled
	}
	if most.Load() != 2 {
		t.Errorf("%d invocations ran at a time, want 2", most.Load())
	}
	for _, row := range []struct{ queue, body, receives string }{
		{queues.Deliveries, "finished", "1"}, {queues.Deliveries, "returns", "2"}, {queues.Slow, "invocation fails", "2"}, {queues.Ingest, "unknown ID", "2"},
	} {
		send(row.queue, row.body)
		var last record
		for last.receives() != row.receives {
			last = <-handled
		}
		if arn := queueARN(row.queue); last.Body != row.body || last.EventSource != "aws:sqs" || last.EventSourceARN != arn {
			t.Errorf("got %+v, want %q from %s", last, row.body, arn)
		}
	}
	var event struct{ Source string }
	if err := json.Unmarshal(<-sweeps, &event); err != nil || event.Source != "aws.scheduler" {
		t.Errorf("the schedule's event has source %q, error %v", event.Source, err)
	}
	stop()
	<-stopped
	for _, url := range []string{queues.Deliveries, queues.Slow, queues.Ingest} {
		got, err := client.GetQueueAttributes(t.Context(), &awssqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
		if err != nil || got.Attributes["ApproximateNumberOfMessages"] != "0" || got.Attributes["ApproximateNumberOfMessagesNotVisible"] != "0" {
			t.Errorf("%s has %v, %v: want no messages", queueARN(url), got.Attributes, err)
		}
	}
}

func TestRemote(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/2015-03-31/functions/GetWebhookFunction/invocations":
			_, _ = fmt.Fprint(w, `{"statusCode":200}`)
		case "/2015-03-31/functions/IngestEventFunction/invocations":
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			_, _ = fmt.Fprint(w, `{"errorType":"E","errorMessage":"failed"}`)
		default:
			http.Error(w, "unknown function", http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	for name, want := range map[string]string{"get-webhook": "", "ingest-event": "E: failed", "other": "invoking OtherFunction: status 404: unknown function\n"} {
		out, err := Remote{server.URL, LogicalID(name)}.Invoke(t.Context(), nil)
		if got := fmt.Sprint(err); want == "" && string(out) != `{"statusCode":200}` || want != "" && got != want {
			t.Errorf("%s: got %s, error %v, want %q", name, out, err, want)
		}
	}
}
