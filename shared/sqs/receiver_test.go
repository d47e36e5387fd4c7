package sqs

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/webhook"
)

// run starts a receiver. wait stops it and waits until it has.
func (f *fixture) run(handle func(ctx context.Context, texts []string) []int) (log *strings.Builder, wait func()) {
	log = new(strings.Builder)
	ctx, cancel := context.WithCancel(f.Context())
	r := Receiver{Client: f.client, URL: f.urls.Deliveries, Concurrency: 2, Handle: handle, Log: slog.New(slog.NewTextHandler(log, nil)), patience: time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	return log, func() {
		cancel()
		<-done
	}
}

// left returns how many messages a queue has, including those that are handled or delayed.
func (f *fixture) left(queue string) int {
	f.Helper()
	sizes, err := Sizes(f.Context(), f.client, f.urls)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range sizes {
		if s.Queue == queue {
			return s.Visible + s.Delayed + s.InFlight
		}
	}
	f.Fatalf("no queue %s among %v", queue, sizes)
	return 0
}

// send sends messages for a number of deliveries.
func (f *fixture) send(n int) {
	f.Helper()
	messages := make([]webhook.Message, n)
	for i := range messages {
		messages[i] = attempt(i)
	}
	if err := f.queues.Send(f.Context(), messages...); err != nil {
		f.Fatal(err)
	}
}

func TestReceiver(t *testing.T) {
	f := newFixture(t)
	f.send(25)
	texts := make(chan string, 100)
	returned := attempt(7).Text()
	_, wait := f.run(func(ctx context.Context, batch []string) (indexes []int) {
		if _, ok := ctx.Deadline(); !ok || len(batch) > 10 {
			t.Errorf("a batch of %d messages, with a deadline: %v", len(batch), ok)
		}
		for i, text := range batch {
			texts <- text
			if text == returned {
				indexes = append(indexes, i)
			}
		}
		return indexes
	})
	seen := make(map[string]bool)
	for range 25 {
		seen[<-texts] = true
	}
	wait()
	if len(seen) != 25 || f.left("deliveries") != 1 {
		t.Errorf("%d different messages were handled and %d are left, want 25 and the one that was returned", len(seen), f.left("deliveries"))
	}
	returns := 0
	for _, c := range f.proxy.Calls() {
		if c.Operation == "ChangeMessageVisibilityBatch" && strings.Contains(c.Body, `"VisibilityTimeout":5`) {
			returns++
		}
	}
	if returns != 1 {
		t.Errorf("%d calls return a message for 5 s, want 1", returns)
	}
}

// A receiver that stops lets its handlers finish, and deletes what they have finished. What arrives then is not lost.
func TestReceiverStops(t *testing.T) {
	f := newFixture(t)
	f.send(1)
	started, finish := make(chan struct{}), make(chan struct{})
	_, wait := f.run(func(ctx context.Context, _ []string) []int {
		close(started)
		<-finish
		if ctx.Err() != nil {
			t.Errorf("the context of the handler has ended: %v", ctx.Err())
		}
		return nil
	})
	<-started
	stopped := make(chan struct{})
	go func() {
		wait()
		close(stopped)
	}()
	select {
	case <-stopped:
		t.Error("the receiver stopped before its handler")
	case <-time.After(50 * time.Millisecond):
	}
	if err := f.queues.Send(t.Context(), attempt(1)); err != nil {
		t.Fatal(err)
	}
	close(finish)
	<-stopped
	if got := f.receive(f.urls.Deliveries); len(got) != 1 || got[0].text != attempt(1).Text() {
		t.Errorf("%v is left, want only the message that was not handled", got)
	}
}

// Neither a panic nor an error of SQS stops a receiver.
func TestReceiverGoesOn(t *testing.T) {
	f := newFixture(t)
	f.send(1)
	f.proxy.Next("ReceiveMessage", dynamotest.Reject("AccessDenied"))
	f.proxy.Next("DeleteMessageBatch", dynamotest.Reject("AccessDenied"))
	calls := make(chan struct{}, 10)
	log, wait := f.run(func(_ context.Context, texts []string) []int {
		calls <- struct{}{}
		if texts[0] == attempt(0).Text() {
			panic("boom")
		}
		return nil
	})
	<-calls
	if err := f.queues.Send(t.Context(), attempt(1)); err != nil {
		t.Fatal(err)
	}
	<-calls
	wait()
	for _, want := range []string{"messages cannot be received", "panic=boom", "messages cannot be deleted"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log does not have %q:\n%s", want, log)
		}
	}
	if n := f.left("deliveries"); n != 2 {
		t.Errorf("%d messages are left, want both", n)
	}
}
