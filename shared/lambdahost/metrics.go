package lambdahost

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"slices"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

const (
	namespace      = "Webhooks"
	stackDimension = "Stack"
	// maxValues is the maximum number of values of one metric in one line.
	maxValues = 100
)

// Units of CloudWatch.
const (
	unitCount   = "Count"
	unitSeconds = "Seconds"
)

// Metrics are what a function counts and measures. After every invocation, they are printed in CloudWatch's embedded metric format,
// from which CloudWatch Logs makes metrics with the namespace Webhooks and the dimension Stack. Their names are those of the
// Prometheus metrics of "webhookctl serve". No dimension has a value that a company chooses, so the number of metrics is fixed. It is
// safe for concurrent use by multiple goroutines. A nil *Metrics prints nothing.
type Metrics struct {
	stack, level string

	mu      sync.Mutex
	samples []sample // since they were last printed
}

// sample is a metric with the values that its dimensions, besides the stack, have.
type sample struct {
	name, unit string
	dimensions []dimension
	values     []float64 // a counter has one
}

type dimension struct{ name, value string }

// NewMetrics returns metrics of the stack in WEBHOOKS_STACK. If it is empty, they are not printed.
func NewMetrics(getenv func(string) string) *Metrics {
	// Lambda omits lines below the log level that is configured. One of that level is always kept.
	return &Metrics{stack: getenv("WEBHOOKS_STACK"), level: cmp.Or(getenv("AWS_LAMBDA_LOG_LEVEL"), "INFO")}
}

// Attempted counts an attempt and, if it finished the delivery, the delivery.
func (m *Metrics) Attempted(w webhook.Work, o webhook.Outcome) {
	outcome, class := "succeeded", "none"
	if o.Attempt.Error != "" {
		outcome, class = "failed", string(o.Attempt.Error)
	}
	m.count("webhooks_attempts_total", 1, dimension{"outcome", outcome}, dimension{"error", class})
	m.measure("webhooks_attempt_duration_seconds", o.Attempt.Duration)
	if o.Attempt.Number == 1 {
		m.measure("webhooks_publish_to_first_attempt_seconds", o.Attempt.At.Sub(w.AcceptedAt))
	}
	if o.Status != w.Status {
		m.count("webhooks_deliveries_total", 1, dimension{"status", string(o.Status)})
	}
}

// Swept measures how long the earliest entry that waits for a time has been overdue.
func (m *Metrics) Swept(overdue time.Duration) { m.measure("webhooks_sweep_overdue_seconds", overdue) }

// EventStore accepts events.
type EventStore interface {
	AcceptEvents(ctx context.Context, events []webhook.NewEvent) (replayed []bool, err error)
}

// Accepting returns a store that counts the events it accepts, not counting repetitions.
func (m *Metrics) Accepting(store EventStore) EventStore { return countedStore{store, m} }

type countedStore struct {
	EventStore
	metrics *Metrics
}

// AcceptEvents implements [EventStore].
func (s countedStore) AcceptEvents(ctx context.Context, events []webhook.NewEvent) ([]bool, error) {
	replayed, err := s.EventStore.AcceptEvents(ctx, events)
	for _, r := range replayed {
		if err == nil && !r {
			s.metrics.count("webhooks_events_accepted_total", 1)
		}
	}
	return replayed, err
}

// Rejecting returns a queue that counts the messages it rejects.
func (m *Metrics) Rejecting(queue webhook.Queue) webhook.Queue { return countedQueue{queue, m} }

type countedQueue struct {
	webhook.Queue
	metrics *Metrics
}

// Reject implements [webhook.Queue].
func (q countedQueue) Reject(ctx context.Context, text, reason string) error {
	err := q.Queue.Reject(ctx, text, reason)
	if err == nil {
		q.metrics.count("webhooks_messages_rejected_total", 1)
	}
	return err
}

func (m *Metrics) count(name string, n float64, dimensions ...dimension) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sample(name, unitCount, dimensions, 0).values[0] += n
}

func (m *Metrics) measure(name string, d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sample(name, unitSeconds, nil)
	s.values = append(s.values, d.Seconds())
}

// sample returns the sample of a metric. A new one has the given values.
func (m *Metrics) sample(name, unit string, dimensions []dimension, values ...float64) *sample {
	i := slices.IndexFunc(m.samples, func(s sample) bool { return s.name == name && slices.Equal(s.dimensions, dimensions) })
	if i < 0 {
		i = len(m.samples)
		m.samples = append(m.samples, sample{name, unit, dimensions, values})
	}
	return &m.samples[i]
}

// print prints the metrics, if there are any, and starts again. Usually that is one line. It is one more for every further value of
// a dimension, because a line has only one.
func (m *Metrics) print(out io.Writer, now func() time.Time) {
	if m == nil || m.stack == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	var lines []line
	for _, s := range m.samples {
		for values := range slices.Chunk(s.values, maxValues) {
			s.values = values
			i := slices.IndexFunc(lines, func(l line) bool { return !l.has(s.name) })
			if i < 0 {
				i = len(lines)
				lines = append(lines, m.newLine(now()))
			}
			lines[i].add(s)
		}
	}
	m.samples = nil
	for _, l := range lines {
		text, err := json.Marshal(l.members)
		if err == nil { // members can always be encoded, except for NaN
			_, _ = out.Write(append(text, '\n')) // there is no other place to report an error
		}
	}
}

// line is a document of the embedded metric format: its members and, as one of them, which of the others are metrics and dimensions.
type line struct {
	members  map[string]any
	metadata *metadata
}

type metadata struct {
	Timestamp         int64 // milliseconds
	CloudWatchMetrics []directive
}

type directive struct {
	Namespace  string
	Dimensions [][]string // a metric for each
	Metrics    []definition
}

type definition struct{ Name, Unit string }

func (m *Metrics) newLine(now time.Time) line {
	l := line{metadata: &metadata{Timestamp: now.UnixMilli()}}
	l.members = map[string]any{
		"_aws": l.metadata, "timestamp": now.UTC().Format(time.RFC3339Nano), "level": m.level, stackDimension: m.stack,
	}
	return l
}

func (l line) has(name string) bool {
	_, ok := l.members[name]
	return ok
}

// add adds a sample to a line that does not have its metric, and so does not have its dimensions either.
func (l line) add(s sample) {
	l.members[s.name] = s.values
	sets := [][]string{{stackDimension}}
	if len(s.dimensions) > 0 {
		set := []string{stackDimension}
		for _, d := range s.dimensions {
			l.members[d.name] = d.value
			set = append(set, d.name)
		}
		sets = append(sets, set)
	}
	l.metadata.CloudWatchMetrics = append(l.metadata.CloudWatchMetrics, directive{namespace, sets, []definition{{s.name, s.unit}}})
}
