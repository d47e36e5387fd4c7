package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"golang.org/x/sync/errgroup"

	"webhooks/shared/delivery/deliverytest"
	"webhooks/shared/dynamo"
	domain "webhooks/shared/webhook"
)

// check checks the history. A request may be repeated if its attempt ended without an outcome, or if two invocations handled the same
// delivery at the same time.
func (l *loss) check(t *testing.T) {
	for key, n := range l.handlers["deliver-webhook"].repeats {
		webhookID, eventID, _ := strings.Cut(key, " ")
		for d := range l.expected {
			_, event, _ := strings.Cut(d, " ")
			if d != key && (eventID != "" || d != deliveryKey(webhookID, event)) {
				continue // a message about a lane may attempt any of its deliveries
			}
			for range n {
				l.recorder.Add(deliverytest.Dropped{Webhook: webhookID, Event: event})
				l.explained++
			}
		}
	}
	made, afterSuccess := make(map[string]int), make(map[string]int)
	succeeded := make(map[string]bool)
	// The checker may miss that a request was sent again on a new connection if another invocation sends the same event meanwhile.
	for _, e := range l.history(t, deliverytest.Options{Tolerance: time.Second, Repeats: 1}) {
		switch f := e.Fact.(type) {
		case deliverytest.Arrived:
			l.requests++
		case deliverytest.Recorded:
			d := deliveryKey(f.WebhookID, f.EventID)
			l.attempts, made[d] = l.attempts+1, f.Attempt.Number
			if succeeded[d] {
				afterSuccess[d]++
			}
			succeeded[d] = succeeded[d] || f.Attempt.StatusCode == http.StatusNoContent
		}
	}
	if l.requests > l.attempts+l.explained {
		t.Errorf("%d requests for %d attempts: faults explain only %d more", l.requests, l.attempts, l.explained)
	}
	for d, n := range afterSuccess {
		if n > l.granted[d] {
			t.Errorf("%s was attempted %d times after it was delivered, but %d retries were requested", d, n, l.granted[d])
		}
	}
	for d, n := range l.promised {
		if made[d] < n {
			t.Errorf("attempt %d of %s was requested, but there were %d", n, d, made[d])
		}
	}
	if l.afterward > l.allowed {
		t.Errorf("%d requests to a webhook after it was deleted, when %d were being made", l.afterward, l.allowed)
	}
	t.Logf("%d deliveries in %d requests, for %d attempts; faults explain %d more requests; %d retries were requested",
		len(made), l.requests, l.attempts, l.explained, len(l.promised))
}

// checkDead checks that no message was given up.
func (l *loss) checkDead(t *testing.T) {
	for _, queue := range []string{"dead-deliveries", "dead-fan-out", "dead-ingest"} {
		if n := l.queues.handleable(queue); n > 0 {
			t.Errorf("there are %d messages in %s", n, queue)
		}
	}
}

// checkFaults checks that every fault has happened.
func (l *loss) checkFaults(t *testing.T) {
	want := []string{"message late", "message duplicated", "message out of order", "message visible again while it is handled",
		"message received again while it was handled", "deletion lost",
		"result lost", "process killed", "invocation timed out", "lane paused"}
	for _, function := range []string{"publish-event", "ingest-event", "retry-delivery", "fan-out-event", "deliver-webhook"} {
		database, queues := faultsOf(function, nil)
		for _, f := range append(database, queues...) {
			want = append(want, f.name)
		}
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(want))) {
		if t.Logf("%4d × %s", l.chaos.happened[name], name); l.chaos.happened[name] == 0 {
			t.Errorf("this fault did not happen: %s", name)
		}
	}
}

// replay handles every message again that was ever sent. Nothing that has finished changes because of that, and no receiver gets
// anything.
func (l *loss) replay(t *testing.T) {
	texts := slices.Clone(l.texts)
	for _, p := range l.sends {
		for _, call := range p.Calls() {
			var sent struct {
				Entries []struct{ MessageBody string }
			}
			if err := json.Unmarshal([]byte(call.Body), &sent); err != nil {
				t.Fatal(err)
			}
			for _, e := range sent.Entries {
				texts = append(texts, e.MessageBody)
			}
		}
	}
	byFunction, released := make(map[string][]string), 0
	for _, text := range slices.Compact(slices.Sorted(slices.Values(texts))) {
		m, err := domain.ParseMessage(text)
		function := "deliver-webhook"
		switch {
		case err != nil:
			function = "ingest-event"
		case m.Kind == domain.MessageFanOut:
			function = "fan-out-event"
		case m.Kind == domain.MessageLane:
			released = max(released, m.Count)
		}
		byFunction[function] = append(byFunction[function], text)
	}
	if released < 4 {
		t.Errorf("at most %d deliveries that waited for their lane were released at once, want at least 4", released)
	}
	items, posts := l.finished(t), l.postsTo(l.finishedDeliveries())
	var invoking errgroup.Group
	invoking.SetLimit(4)
	for function, texts := range byFunction {
		rand.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
		for batch := range slices.Chunk(texts, 10) {
			invoking.Go(func() error { return l.invoke(t, function, batch) })
		}
		t.Logf("%d messages for %s were repeated", len(texts), function)
	}
	if err := invoking.Wait(); err != nil {
		t.Fatal(err)
	}
	stop := l.pump(t) // for what fan-out-event has sent
	l.waitForQueues(t)
	stop()
	if now := l.postsTo(l.finishedDeliveries()); now != posts {
		t.Errorf("%d requests for finished deliveries arrived because of repeated messages", now-posts)
	}
	now := l.finished(t)
	for key, item := range items {
		if now[key] != item {
			t.Errorf("%s has changed because of repeated messages: from %s to %s", key, item, now[key])
		}
	}
	if len(now) != len(items) {
		t.Errorf("there are %d items after messages were repeated, and were %d before", len(now), len(items))
	}
}

// invoke invokes a function with messages until it has finished all of them.
func (l *loss) invoke(t *testing.T, function string, texts []string) error {
	for range len(texts) + 1 {
		records := make([]map[string]string, len(texts))
		for i, text := range texts {
			records[i] = map[string]string{"messageId": strconv.Itoa(i), "eventSource": "aws:sqs", "body": text}
		}
		payload, err := json.Marshal(map[string]any{"Records": records})
		if err != nil {
			return err
		}
		out, err := l.functions[function].Invoke(t.Context(), payload)
		var response struct {
			BatchItemFailures []struct{ ItemIdentifier string }
		}
		if err == nil {
			err = json.Unmarshal(out, &response)
		}
		if err != nil || len(response.BatchItemFailures) == 0 {
			return err
		}
		var again []string
		for _, f := range response.BatchItemFailures {
			i, _ := strconv.Atoi(f.ItemIdentifier)
			again = append(again, texts[i])
		}
		texts = again
	}
	return fmt.Errorf("%s returns %q to the queue again and again", function, texts)
}

// finished returns the events, pages and finished deliveries in the table.
func (l *loss) finished(t *testing.T) map[string]string {
	t.Helper()
	table, items := dynamo.DeliveriesTable(l.prefix), make(map[string]string)
	for page := dynamodb.NewScanPaginator(l.tables, &dynamodb.ScanInput{TableName: &table}); page.HasMorePages(); {
		out, err := page.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range out.Items {
			var key [2]string
			for i, name := range []string{"pk", "sk"} {
				key[i] = attribute(item[name])
			}
			if status := attribute(item["status"]); key[1] != "LANE" && status != string(domain.StatusPending) {
				encoded, err := json.Marshal(item)
				if err != nil {
					t.Fatal(err)
				}
				items[key[0]+" "+key[1]] = string(encoded)
			}
		}
	}
	return items
}

// attribute returns an attribute that is a string, or "".
func attribute(value types.AttributeValue) string {
	if s, ok := value.(*types.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

// finishedDeliveries returns the deliveries that receivers have acknowledged.
func (l *loss) finishedDeliveries() map[string]bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.delivered)
}

// postsTo returns how many requests for some deliveries have arrived.
func (l *loss) postsTo(deliveries map[string]bool) int {
	n := 0
	for _, e := range l.recorder.History() {
		if f, ok := e.Fact.(deliverytest.Arrived); ok && deliveries[deliveryKey(f.Webhook, f.Event)] {
			n++
		}
	}
	return n
}

// checkLog checks that the functions have logged no errors, because all faults were short, and nothing secret, and that they have
// counted the attempts.
func (l *loss) checkLog(t *testing.T) {
	log := l.log(t)
	secrets := []string{"whsec_", "whk_", strings.TrimPrefix(l.receiver.URL, "https://"), `"number"`}
	counted := 0
	for line := range strings.Lines(log) {
		if strings.Contains(line, `"level":"ERROR"`) {
			t.Errorf("log line %s", line)
		}
		for _, secret := range secrets {
			if strings.Contains(line, secret) {
				t.Errorf("the log contains %s: %s", secret, line)
			}
		}
		if match := regexp.MustCompile(`"webhooks_attempts_total":\[(\d+)\]`).FindStringSubmatch(line); match != nil {
			n, _ := strconv.Atoi(match[1])
			counted += n
		}
	}
	if counted < l.attempts-l.explained || counted > l.requests {
		t.Errorf("the functions counted %d attempts in %d requests, but %d outcomes are stored", counted, l.requests, l.attempts)
	}
}
