package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"webhooks/shared/dispatch"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/sqs"
	"webhooks/shared/webhook"
)

// TestTablesAndQueues starts the service with some of the tables and queues that it needs, and then with all of them.
func TestTablesAndQueues(t *testing.T) {
	p := onDynamoDB(t)
	prefix := p.flags[len(p.flags)-1]
	withoutQueues := p
	withoutQueues.flags = append([]string{"--table-prefix", prefix}, p.flags[:4]...)
	serve := newTool(t, p.dir, p.args("serve", "--addr", "127.0.0.1:0")...)
	mustFail(t, serve, fmt.Sprintf(`table "%ssubscriptions" does not exist in region "us-east-1": check both, or run "webhookctl tables create": …`, prefix))

	tables := fmt.Sprintf("The DynamoDB tables %[1]ssubscriptions and %[1]sdeliveries are ready.\n", prefix)
	const noQueues = "There are no queues, which serve needs: --dynamodb-endpoint is local, and --sqs-endpoint is not set.\n"
	checkOutput(t, newTool(t, p.dir, withoutQueues.args("tables", "create")...), tables+noQueues, "")
	serve = newTool(t, p.dir, p.args("serve", "--addr", "127.0.0.1:0", "--token-key-file", newKeyFile(t))...)
	mustFail(t, serve, fmt.Sprintf(`queue "%sdead-deliveries" does not exist in region "us-east-1": check both, or run "webhookctl tables create": …`, prefix))

	queues := fmt.Sprintf("The SQS queues %[1]sdeliveries, %[1]sslow, %[1]sfan-out and %[1]singest and their dead-letter queues are ready.\n", prefix)
	for range 2 {
		checkOutput(t, newTool(t, p.dir, p.args("tables", "create")...), tables+queues, "")
	}
	s := startServer(t, p)
	status, _, metrics := s.request(t, "GET", "/metrics", "", "")
	for _, want := range []string{`webhooks_queue_messages{queue="dead-ingest",state="visible"} 0`, `webhooks_queue_messages{queue="slow",state="in_flight"} 0`, "webhooks_sweep_overdue_seconds 0"} {
		if status != 200 || !strings.Contains(metrics, "\n"+want+"\n") {
			t.Errorf("/metrics returned %d\n%s\nwithout %s", status, metrics, want)
		}
	}
	s.checkDeadLetters(t, dynamotest.Service(t, motoEndpoint), prefix)
	s.stop(t)
	if log := s.stderr.String(); !strings.Contains(log, `"msg":"stopped delivering"`) {
		t.Errorf("it logged\n%s", log)
	}
}

// checkDeadLetters sends messages to each queue that can never be handled, and waits until they are in the right dead-letter queues.
func (s *service) checkDeadLetters(t *testing.T, endpoint, prefix string) {
	t.Helper()
	client := sqs.NewClient(sqs.Config{Endpoint: endpoint, Region: localRegion, Credentials: credentials.NewStaticCredentialsProvider("local", "local", "")})
	urls, err := sqs.Lookup(t.Context(), client, prefix)
	must(t, err)
	for url, n := range map[string]int{urls.Deliveries: 1, urls.Slow: 1, urls.FanOut: 3, urls.Ingest: 4} {
		for range n {
			must(t, sqs.New(client, sqs.URLs{}, url).Reject(t.Context(), "not JSON", "a test"))
		}
	}
	want := []sqs.Size{
		{Queue: "dead-deliveries", Visible: 2}, {Queue: "dead-fan-out", Visible: 3}, {Queue: "dead-ingest", Visible: 4},
		{Queue: "deliveries"}, {Queue: "slow"}, {Queue: "fan-out"}, {Queue: "ingest"},
	}
	s.waitFor(t, "the dead letters", func() bool {
		got, err := sqs.Sizes(t.Context(), client, urls)
		must(t, err)
		return slices.Equal(got, want)
	})
}

// TestSweeps checks that the first sweep is within a minute, that others follow every minute, and that an error does not end them.
func TestSweeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		var sweeps []time.Time
		store := sweptStore{failing: func() bool { return len(sweeps) == 2 }}
		d := &queueDeliverer{
			engine:  &engine{console: &console{now: time.Now, log: newLogger(&log, "json")}},
			sweeper: &dispatch.Consumer{Store: store, Now: time.Now},
			swept:   func(time.Duration) { sweeps = append(sweeps, time.Now()) },
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		began := time.Now()
		d.sweepRegularly(ctx)
		if len(sweeps) != 10 || sweeps[0].Sub(began) > time.Minute || sweeps[9].Sub(sweeps[0]) != 9*time.Minute {
			t.Errorf("it swept at %v", sweeps)
		}
		if strings.Count(log.String(), `"level":"ERROR"`) != 1 || !strings.Contains(log.String(), "the table is gone") {
			t.Errorf("it logged\n%s", &log)
		}
	})
}

// sweptStore is a store in which nothing waits.
type sweptStore struct {
	webhook.QueueStore
	failing func() bool
}

// Waiting implements [webhook.QueueStore].
func (s sweptStore) Waiting(context.Context, int, time.Time, int) ([]webhook.Waiting, error) {
	if s.failing() {
		return nil, errors.New("the table is gone")
	}
	return nil, nil
}
