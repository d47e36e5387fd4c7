package lambdahost

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"webhooks/shared/api"
	"webhooks/shared/webhook"
)

func stackSettings(name string) string {
	return map[string]string{"WEBHOOKS_STACK": "prod", "AWS_LAMBDA_LOG_LEVEL": "ERROR"}[name]
}

var printedAt = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// printed returns the lines that the metrics print.
func (m *Metrics) printed() string {
	var out bytes.Buffer
	m.print(&out, func() time.Time { return printedAt })
	return out.String()
}

// outcome returns what an attempt has changed.
func outcome(number int, class webhook.ErrorClass, status webhook.Status, took time.Duration) (webhook.Work, webhook.Outcome) {
	w := webhook.Work{Ref: webhook.Ref{AcceptedAt: printedAt}, Status: webhook.StatusPending}
	return w, webhook.Outcome{Status: status, Attempt: webhook.Attempt{Number: number, Error: class, At: printedAt.Add(250 * time.Millisecond), Duration: took}}
}

func TestMetrics(t *testing.T) {
	m := NewMetrics(stackSettings)
	if got := m.printed(); got != "" {
		t.Errorf("without any values: %s", got)
	}
	m.Attempted(outcome(1, "", webhook.StatusDelivered, 30*time.Millisecond))
	m.Attempted(outcome(1, "", webhook.StatusDelivered, 40*time.Millisecond))
	m.Attempted(outcome(2, webhook.ErrorTLS, webhook.StatusPending, time.Second))
	m.Swept(90 * time.Second)
	const want = `{"Stack":"prod","_aws":{"Timestamp":1767323045000,"CloudWatchMetrics":[` +
		`{"Namespace":"Webhooks","Dimensions":[["Stack"],["Stack","outcome","error"]],"Metrics":[{"Name":"webhooks_attempts_total","Unit":"Count"}]},` +
		`{"Namespace":"Webhooks","Dimensions":[["Stack"]],"Metrics":[{"Name":"webhooks_attempt_duration_seconds","Unit":"Seconds"}]},` +
		`{"Namespace":"Webhooks","Dimensions":[["Stack"]],"Metrics":[{"Name":"webhooks_publish_to_first_attempt_seconds","Unit":"Seconds"}]},` +
		`{"Namespace":"Webhooks","Dimensions":[["Stack"],["Stack","status"]],"Metrics":[{"Name":"webhooks_deliveries_total","Unit":"Count"}]},` +
		`{"Namespace":"Webhooks","Dimensions":[["Stack"]],"Metrics":[{"Name":"webhooks_sweep_overdue_seconds","Unit":"Seconds"}]}]},` +
		`"error":"none","level":"ERROR","outcome":"succeeded","status":"delivered","timestamp":"2026-01-02T03:04:05Z",` +
		`"webhooks_attempt_duration_seconds":[0.03,0.04,1],"webhooks_attempts_total":[2],"webhooks_deliveries_total":[2],` +
		`"webhooks_publish_to_first_attempt_seconds":[0.25,0.25],"webhooks_sweep_overdue_seconds":[90]}` + "\n" +
		`{"Stack":"prod","_aws":{"Timestamp":1767323045000,"CloudWatchMetrics":[` +
		`{"Namespace":"Webhooks","Dimensions":[["Stack"],["Stack","outcome","error"]],"Metrics":[{"Name":"webhooks_attempts_total","Unit":"Count"}]}]},` +
		`"error":"tls","level":"ERROR","outcome":"failed","timestamp":"2026-01-02T03:04:05Z","webhooks_attempts_total":[1]}` + "\n"
	if got := m.printed(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := m.printed(); got != "" {
		t.Errorf("printed again: %s", got)
	}
	none := NewMetrics(noSettings)
	none.Swept(time.Second)
	if got := none.printed(); got != "" {
		t.Errorf("without a stack: %s", got)
	}
	(*Metrics)(nil).print(nil, nil)
}

// Every line satisfies the limits of the specification of the embedded metric format, whatever happened.
func TestMetricsFormat(t *testing.T) {
	m := NewMetrics(stackSettings)
	classes := []webhook.ErrorClass{"", webhook.ErrorDNS, webhook.ErrorConnect, webhook.ErrorTLS, webhook.ErrorTimeout, webhook.ErrorBlocked, webhook.ErrorHTTP, webhook.ErrorStatus}
	for i := range 250 {
		m.Attempted(outcome(1, classes[i%len(classes)], webhook.StatusFailed, time.Second))
	}
	durations, attempts := 0, 0.0
	for text := range strings.Lines(m.printed()) {
		var line struct {
			AWS struct {
				Timestamp         int64
				CloudWatchMetrics []struct {
					Namespace  string
					Dimensions [][]string
					Metrics    []struct{ Name, Unit string }
				}
			} `json:"_aws"`
		}
		var members map[string]any
		if err := errors.Join(json.Unmarshal([]byte(text), &line), json.Unmarshal([]byte(text), &members)); err != nil || line.AWS.Timestamp == 0 || len(text) > 256<<10 {
			t.Fatalf("%s: error %v", text, err)
		}
		for _, d := range line.AWS.CloudWatchMetrics {
			for _, name := range slices.Concat(d.Dimensions...) {
				if value, _ := members[name].(string); value == "" {
					t.Errorf("%s: the dimension %s has no value", text, name)
				}
			}
			for _, metric := range d.Metrics {
				values, _ := members[metric.Name].([]any)
				if len(values) == 0 || len(values) > 100 || metric.Unit == "" || d.Namespace != "Webhooks" || len(d.Dimensions) == 0 {
					t.Errorf("%s: %+v with %d values", text, d, len(values))
				}
				switch metric.Name {
				case "webhooks_attempt_duration_seconds":
					durations += len(values)
				case "webhooks_attempts_total":
					attempts += values[0].(float64)
				}
			}
		}
	}
	if durations != 250 || attempts != 250 {
		t.Errorf("%d durations and %v attempts, want 250", durations, attempts)
	}
}

// eventStore returns the same for all calls.
type eventStore struct {
	replayed []bool
	err      error
}

func (s eventStore) AcceptEvents(context.Context, []webhook.NewEvent) ([]bool, error) {
	return s.replayed, s.err
}

// deadQueue only rejects.
type deadQueue struct {
	webhook.Queue
	err error
}

func (q deadQueue) Reject(context.Context, string, string) error { return q.err }

func TestCounts(t *testing.T) {
	m, failure := NewMetrics(stackSettings), errors.New("down")
	for _, store := range []eventStore{{[]bool{false, true, false}, nil}, {[]bool{false}, failure}} {
		if replayed, err := m.Accepting(store).AcceptEvents(t.Context(), nil); !reflect.DeepEqual(replayed, store.replayed) || !errors.Is(err, store.err) {
			t.Errorf("got %v, error %v", replayed, err)
		}
	}
	for _, err := range []error{nil, failure} {
		if got := m.Rejecting(deadQueue{err: err}).Reject(t.Context(), "text", "reason"); !errors.Is(got, err) {
			t.Errorf("got the error %v", got)
		}
	}
	if got := m.printed(); !strings.Contains(got, `"webhooks_events_accepted_total":[2]`) || !strings.Contains(got, `"webhooks_messages_rejected_total":[1]`) {
		t.Errorf("printed %s", got)
	}
}

// Every kind of function prints its metrics after an invocation.
func TestMetricsArePrinted(t *testing.T) {
	for name, invoke := range map[string]func(s starter, m *Metrics) error{
		"HTTP": func(s starter, m *Metrics) error {
			host := s.start(t.Context(), func(func(string) string) (Function, error) {
				m.Swept(1)
				return Function{Keys: keys{webhook.ErrNotFound}, Endpoint: api.GetWebhook(nil), Metrics: m}, nil
			})
			if response := invoke(t, host, getEvent); response.StatusCode != http.StatusUnauthorized {
				return fmt.Errorf("status %d", response.StatusCode)
			}
			return nil
		},
		"queue": func(s starter, m *Metrics) error {
			_, err := s.startQueue(t.Context(), func(func(string) string, *slog.Logger) (QueueFunction, error) {
				return QueueFunction{Metrics: m, Handle: func(context.Context, []string) []int {
					m.Swept(1)
					panic("boom")
				}}, nil
			}).Invoke(t.Context(), []byte(queueEventOf3))
			return err
		},
		"schedule": func(s starter, m *Metrics) error {
			_, err := s.startSchedule(t.Context(), func(func(string) string, *slog.Logger) (ScheduleFunction, error) {
				return ScheduleFunction{Metrics: m, Handle: func(context.Context) error {
					m.Swept(1)
					return nil
				}}, nil
			}).Invoke(t.Context(), []byte(`{}`))
			return err
		},
	} {
		var log bytes.Buffer
		err := invoke(testStarter(&log, stackSettings), NewMetrics(stackSettings))
		printed := slices.ContainsFunc(lines(t, &log), func(l map[string]any) bool { return l["Stack"] == "prod" && l["timestamp"] != nil })
		if err != nil || !printed {
			t.Errorf("%s: no metrics, error %v", name, err)
		}
	}
}
