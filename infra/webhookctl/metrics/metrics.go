// Package metrics provides the Prometheus metrics of "webhookctl serve". No label has a value that a company chooses, so the number of
// series is fixed.
package metrics

import (
	"context"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"webhooks/shared/webhook"
)

// maxScrapes is the maximum number of requests at the same time.
const maxScrapes = 4

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

// Handler returns the handler for GET /metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes})
}
