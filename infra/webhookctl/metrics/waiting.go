package metrics

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"webhooks/shared/sqs"
)

const (
	// countTTL is how long counts are reused, because counting takes time and, on AWS, money.
	countTTL     = 5 * time.Second
	countTimeout = 2 * time.Second
)

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
	pending := prometheus.NewDesc("webhooks_pending_deliveries", "Deliveries that have not finished, in the whole store, including held ones.", nil, nil)
	oldest := prometheus.NewDesc("webhooks_oldest_due_seconds", "How long the unfinished delivery with the earliest due time has been due, or 0.", nil, nil)
	m.registry.MustRegister(&counted{
		now: now, failed: func(err error) { log.Warn("the backlog could not be counted for /metrics", "cause", err) },
		descriptions: []*prometheus.Desc{pending, oldest},
		count: func(ctx context.Context, now time.Time) ([]prometheus.Metric, error) {
			count, oldestDue, err := size(ctx)
			if err != nil {
				return nil, err
			}
			overdue := time.Duration(0)
			if !oldestDue.IsZero() {
				overdue = max(0, now.Sub(oldestDue))
			}
			return []prometheus.Metric{
				prometheus.MustNewConstMetric(pending, prometheus.GaugeValue, float64(count)),
				prometheus.MustNewConstMetric(oldest, prometheus.GaugeValue, overdue.Seconds()),
			}, nil
		},
	})
}

// Queues adds the sizes of queues. If sizes returns an error, the metric is missing and the log says why.
func (m *Metrics) Queues(sizes func(ctx context.Context) ([]sqs.Size, error), now func() time.Time, log *slog.Logger) {
	messages := prometheus.NewDesc("webhooks_queue_messages", "Approximate number of messages in a queue, by state: visible, delayed, or in_flight.",
		[]string{"queue", "state"}, nil)
	m.registry.MustRegister(&counted{
		now: now, failed: func(err error) { log.Warn("the messages in queues could not be counted for /metrics", "cause", err) },
		descriptions: []*prometheus.Desc{messages},
		count: func(ctx context.Context, _ time.Time) ([]prometheus.Metric, error) {
			all, err := sizes(ctx)
			if err != nil {
				return nil, err
			}
			var metrics []prometheus.Metric
			for _, s := range all {
				for state, n := range map[string]int{"visible": s.Visible, "delayed": s.Delayed, "in_flight": s.InFlight} {
					metrics = append(metrics, prometheus.MustNewConstMetric(messages, prometheus.GaugeValue, float64(n), s.Queue, state))
				}
			}
			return metrics, nil
		},
	})
}

// Sweeps adds how long the earliest entry that waited for a time had been overdue at the last sweep, which the returned function sets.
func (m *Metrics) Sweeps() (swept func(overdue time.Duration)) {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "webhooks_sweep_overdue_seconds",
		Help: "How long what waits for a time had been overdue at this process's last sweep, at most.",
	})
	m.registry.MustRegister(gauge)
	return func(overdue time.Duration) { gauge.Set(overdue.Seconds()) }
}

// counted is a collector of metrics that are counted elsewhere, and reused for a while.
type counted struct {
	descriptions []*prometheus.Desc
	count        func(ctx context.Context, now time.Time) ([]prometheus.Metric, error)
	failed       func(err error)
	now          func() time.Time

	mu      sync.Mutex // held while counting: concurrent scrapes wait for the result
	at      time.Time
	metrics []prometheus.Metric // none if counting failed
}

// Describe implements [prometheus.Collector].
func (c *counted) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range c.descriptions {
		descriptions <- d
	}
}

// Collect implements [prometheus.Collector].
func (c *counted) Collect(metrics chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.at.IsZero() || now.Sub(c.at) >= countTTL {
		c.recount(now)
	}
	for _, m := range c.metrics {
		metrics <- m
	}
}

func (c *counted) recount(now time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), countTimeout)
	defer cancel()
	var err error
	if c.metrics, err = c.count(ctx, now); err != nil {
		c.failed(err)
	}
	c.at = now
}
