package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"webhooks/shared/sqs"
	"webhooks/shared/webhook"
)

// accepter replays every second event.
type accepter struct{ webhook.DeliveryStore }

func (accepter) AcceptEvents(_ context.Context, events []webhook.NewEvent) ([]bool, error) {
	if len(events) == 0 {
		return nil, errors.New("no events")
	}
	replayed := make([]bool, len(events))
	for i := range replayed {
		replayed[i] = i%2 == 1
	}
	return replayed, nil
}

// scrape returns the lines of our own metrics, without their help and types and the buckets of histograms.
func scrape(m *Metrics) string {
	response := httptest.NewRecorder()
	m.Handler().ServeHTTP(response, httptest.NewRequest("GET", "/metrics", nil))
	var ours strings.Builder
	for line := range strings.Lines(response.Body.String()) {
		if strings.HasPrefix(line, "webhooks_") && !strings.Contains(line, "_bucket{") {
			ours.WriteString(line)
		}
	}
	return ours.String()
}

func TestMetrics(t *testing.T) {
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	m := New()
	m.Lanes(func() (int, int) { return 7, 2 })
	fail := false
	m.Backlog(func(context.Context) (int64, time.Time, error) {
		if fail {
			return 0, time.Time{}, errors.New("the store does not respond")
		}
		return 12, now.Add(-90 * time.Second), nil
	}, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	m.Queues(func(context.Context) ([]sqs.Size, error) {
		if fail {
			return nil, errors.New("SQS does not respond")
		}
		return []sqs.Size{{Queue: "slow", Visible: 4, Delayed: 5, InFlight: 6}}, nil
	}, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	m.Sweeps()(3 * time.Second)

	store := m.Counted(accepter{})
	_, _ = store.AcceptEvents(t.Context(), make([]webhook.NewEvent, 5))
	if _, err := store.AcceptEvents(t.Context(), nil); err == nil {
		t.Error("an error of the store got lost")
	}
	pending := webhook.Work{Ref: webhook.Ref{AcceptedAt: now}, Status: webhook.StatusPending}
	delivered := pending
	delivered.Status = webhook.StatusDelivered
	for _, a := range []struct {
		work    webhook.Work
		status  webhook.Status
		attempt webhook.Attempt
	}{
		{pending, webhook.StatusPending, webhook.Attempt{Number: 1, At: now.Add(time.Second), Duration: 2 * time.Second, Error: webhook.ErrorTLS}},
		{pending, webhook.StatusDelivered, webhook.Attempt{Number: 2, At: now.Add(time.Minute), Duration: time.Second}},
		{pending, webhook.StatusFailed, webhook.Attempt{Number: 10, Error: webhook.ErrorStatus}},
		{delivered, webhook.StatusDelivered, webhook.Attempt{Number: 3, Error: webhook.ErrorStatus}}, // granted
	} {
		m.Attempted(a.work, webhook.Outcome{Status: a.status, Attempt: a.attempt})
	}
	want := `webhooks_attempt_duration_seconds_sum 3
webhooks_attempt_duration_seconds_count 4
webhooks_attempts_total{error="blocked",outcome="failed"} 0
webhooks_attempts_total{error="connect",outcome="failed"} 0
webhooks_attempts_total{error="dns",outcome="failed"} 0
webhooks_attempts_total{error="http",outcome="failed"} 0
webhooks_attempts_total{error="none",outcome="succeeded"} 1
webhooks_attempts_total{error="status",outcome="failed"} 2
webhooks_attempts_total{error="timeout",outcome="failed"} 0
webhooks_attempts_total{error="tls",outcome="failed"} 1
webhooks_deliveries_total{status="delivered"} 1
webhooks_deliveries_total{status="failed"} 1
webhooks_events_accepted_total 3
webhooks_lanes{state="failing"} 2
webhooks_lanes{state="work"} 7
webhooks_oldest_due_seconds 90
webhooks_pending_deliveries 12
webhooks_publish_to_first_attempt_seconds_sum 1
webhooks_publish_to_first_attempt_seconds_count 1
webhooks_queue_messages{queue="slow",state="delayed"} 5
webhooks_queue_messages{queue="slow",state="in_flight"} 6
webhooks_queue_messages{queue="slow",state="visible"} 4
webhooks_sweep_overdue_seconds 3
`
	if got := scrape(m); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	fail = true
	if got := scrape(m); got != want {
		t.Errorf("the backlog is counted again before its time:\n%s", got)
	}
	now = now.Add(countTTL)
	want = strings.Replace(want, "webhooks_oldest_due_seconds 90\nwebhooks_pending_deliveries 12\n", "", 1)
	want = regexp.MustCompile(`webhooks_queue_messages.*\n`).ReplaceAllString(want, "")
	if got := scrape(m); got != want {
		t.Errorf("if the backlog cannot be counted: got\n%s\nwant\n%s", got, want)
	}
}
