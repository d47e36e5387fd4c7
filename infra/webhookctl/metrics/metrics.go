// Package metrics provides the Prometheus metrics of "webhookctl serve". No label has a value that a company chooses, so the number of
// series is fixed.
package metrics

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"webhooks/shared/webhook"
)

const (
	// maxScrapes is the maximum number of requests at the same time.
	maxScrapes = 4
	// backlogTTL is how long the size of the backlog is reused, because counting a large backlog takes time.
	backlogTTL     = 5 * time.Second
	backlogTimeout = 2 * time.Second
)

// Values of labels.
const (
	succeeded = "succeeded"
	failed    = "failed"
	noError   = "none"
)

// Metrics counts what one process does. It is safe for concurrent use by multiple goroutines.
type Metrics struct {
	registry   *prometheus.Registry
	accepted   prometheus.Counter
	attempts   *prometheus.CounterVec
	deliveries *prometheus.CounterVec
	duration   prometheus.Histogram
	first      prometheus.Histogram
}

// New returns metrics with zero counts, including metrics of the Go runtime and the process.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "webhooks_events_accepted_total",
			Help: "Events accepted, not counting repeated requests with the same key.",
		}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webhooks_attempts_total",
			Help: "Attempts that have ended, by outcome (succeeded or failed) and error (none, or why it failed).",
		}, []string{"outcome", "error"}),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "webhooks_deliveries_total",
			Help: "Deliveries that finished with an attempt, by status (delivered or failed).",
		}, []string{"status"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "webhooks_attempt_duration_seconds",
			Help:    "Duration of attempts.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 16},
		}),
		first: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "webhooks_publish_to_first_attempt_seconds",
			Help:    "Time from the acceptance of an event to the first attempt of each delivery.",
			Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800},
		}),
	}
	m.attempts.WithLabelValues(succeeded, noError)
	for _, class := range []webhook.ErrorClass{
		webhook.ErrorDNS, webhook.ErrorConnect, webhook.ErrorTLS, webhook.ErrorTimeout, webhook.ErrorBlocked, webhook.ErrorHTTP, webhook.ErrorStatus,
	} {
		m.attempts.WithLabelValues(failed, string(class))
	}
	for _, status := range []webhook.Status{webhook.StatusDelivered, webhook.StatusFailed} {
		m.deliveries.WithLabelValues(string(status))
	}
	m.registry.MustRegister(m.accepted, m.attempts, m.deliveries, m.duration, m.first,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Attempted counts an attempt and, if it finished the delivery, the delivery.
func (m *Metrics) Attempted(w webhook.Work, o webhook.Outcome) {
	outcome, class := succeeded, noError
	if o.Attempt.Error != "" {
		outcome, class = failed, string(o.Attempt.Error)
	}
	m.attempts.WithLabelValues(outcome, class).Inc()
	m.duration.Observe(o.Attempt.Duration.Seconds())
	if o.Attempt.Number == 1 {
		m.first.Observe(o.Attempt.At.Sub(w.AcceptedAt).Seconds())
	}
	if o.Status != w.Status {
		m.deliveries.WithLabelValues(string(o.Status)).Inc()
	}
}

// Counted returns a store that counts the events it accepts.
func (m *Metrics) Counted(store webhook.DeliveryStore) webhook.DeliveryStore {
	return countedStore{store, m.accepted}
}

type countedStore struct {
	webhook.DeliveryStore
	accepted prometheus.Counter
}

// AcceptEvents implements [webhook.DeliveryStore].
func (s countedStore) AcceptEvents(ctx context.Context, events []webhook.NewEvent) ([]bool, error) {
	replayed, err := s.DeliveryStore.AcceptEvents(ctx, events)
	if err != nil {
		return nil, err
	}
	for _, r := range replayed {
		if !r {
			s.accepted.Inc()
		}
	}
	return replayed, nil
}

// Lanes adds the number of lanes with work in this process, and how many of them are failing.
func (m *Metrics) Lanes(count func() (withWork, failing int)) {
	for state, value := range map[string]func() float64{
		"work":    func() float64 { n, _ := count(); return float64(n) },
		"failing": func() float64 { _, n := count(); return float64(n) },
	} {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "webhooks_lanes",
			Help:        "Webhooks with deliveries that this process has to attempt (state work), and how many of them are failing.",
			ConstLabels: prometheus.Labels{"state": state},
		}, value))
	}
}

// Backlog adds the size of the backlog, which size reads from the store: the number of unfinished deliveries, and the earliest time
// at which one of them is due, or the zero time. If size returns an error, the two metrics are missing and the log says why.
func (m *Metrics) Backlog(size func(ctx context.Context) (pending int64, oldestDue time.Time, err error), now func() time.Time, log *slog.Logger) {
	m.registry.MustRegister(&backlog{
		size: size, now: now, log: log,
		pending: prometheus.NewDesc("webhooks_pending_deliveries", "Deliveries that have not finished, in the whole store, including held ones.", nil, nil),
		oldest:  prometheus.NewDesc("webhooks_oldest_due_seconds", "How long the unfinished delivery with the earliest due time has been due, or 0.", nil, nil),
	})
}

type backlog struct {
	size            func(ctx context.Context) (int64, time.Time, error)
	now             func() time.Time
	log             *slog.Logger
	pending, oldest *prometheus.Desc

	mu      sync.Mutex // held while counting: concurrent scrapes wait for the result
	counted time.Time
	count   int64
	overdue time.Duration
	err     error
}

// Describe implements [prometheus.Collector].
func (b *backlog) Describe(descriptions chan<- *prometheus.Desc) {
	descriptions <- b.pending
	descriptions <- b.oldest
}

// Collect implements [prometheus.Collector].
func (b *backlog) Collect(metrics chan<- prometheus.Metric) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if now := b.now(); b.counted.IsZero() || now.Sub(b.counted) >= backlogTTL {
		b.measure(now)
	}
	if b.err == nil {
		metrics <- prometheus.MustNewConstMetric(b.pending, prometheus.GaugeValue, float64(b.count))
		metrics <- prometheus.MustNewConstMetric(b.oldest, prometheus.GaugeValue, b.overdue.Seconds())
	}
}

func (b *backlog) measure(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), backlogTimeout)
	defer cancel()
	var oldestDue time.Time
	b.count, oldestDue, b.err = b.size(ctx)
	b.counted, b.overdue = now, 0
	if b.err != nil {
		b.log.Warn("the backlog could not be counted for /metrics", "cause", b.err)
	} else if !oldestDue.IsZero() {
		b.overdue = max(0, now.Sub(oldestDue))
	}
}

// Handler returns the handler for GET /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
}
