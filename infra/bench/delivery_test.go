package bench

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"webhooks/shared/sqlite"
)

const (
	rounds     = 5
	publishers = 64
	// settling is more than the service takes to store the last outcomes.
	settling = 300 * time.Millisecond
)

// BenchmarkDelivery measures webhookctl serve on SQLite and compares it with a plain net/http client that signs and posts the same
// bodies to the same HTTPS receiver. The three are processes of their own: only the processor time of the service, and that
// of the client, count. Both take turns, so that they run under the same conditions.
func BenchmarkDelivery(b *testing.B) {
	s := &site{program: buildWebhookctl(b), receiver: startReceiver(b), plain: startChild(b, plainRole)}
	few := newData(b, s.receiver, subscribers, 1, 0)
	b.Run("backlog", func(b *testing.B) { s.backlog(b, few) })
	b.Run("fan-out", func(b *testing.B) { s.fanOut(b, few) })
	b.Run("single", func(b *testing.B) { s.single(b, few) })
}

// site has the processes of the benchmarks.
type site struct {
	program  string // webhookctl
	receiver *receiver
	plain    *child
}

// sample is what a number of deliveries took.
type sample struct {
	deliveries   int
	cpu, elapsed time.Duration
}

func (s sample) cpuEach() float64 { return float64(s.cpu.Nanoseconds()) / 1000 / float64(s.deliveries) }
func (s sample) perSecond() float64 {
	return float64(s.deliveries) / s.elapsed.Seconds()
}

// compare alternates between the plain client and the service. It reports the ratios of their processor times per delivery and
// of their rates, and fails only if the processor time is far above the target.
func (s *site) compare(b *testing.B, target, aim float64, service func() sample) {
	b.Helper()
	measured := make(samples)
	for range rounds {
		theirs, ours := s.postPlain(b, 20_000), service()
		measured.add("plain-cpu-µs", theirs.cpuEach())
		measured.add("cpu-µs", ours.cpuEach())
		measured.add("plain-per-s", theirs.perSecond())
		measured.add("per-s", ours.perSecond())
		measured.add("cpu-ratio", ours.cpuEach()/theirs.cpuEach())
		measured.add("rate-ratio", ours.perSecond()/theirs.perSecond())
	}
	b.ReportMetric(0, "ns/op") // of both together, which means nothing
	measured.report(b)
	b.Logf("%s: %.0f µs of CPU per delivery, the plain client %.0f: %s, target %.1f; %.0f/s, the plain client %.0f/s: %s, aim %.2f", b.Name(),
		measured.median("cpu-µs"), measured.median("plain-cpu-µs"), measured.spread("cpu-ratio"), target,
		measured.median("per-s"), measured.median("plain-per-s"), measured.spread("rate-ratio"), aim)
	if ratio := measured.median("cpu-ratio"); ratio > 2*target {
		b.Errorf("the service takes %.1f times the processor time of the plain client, want about %.1f", ratio, target)
	}
}

// spread returns the median, the least and the greatest value.
func (s samples) spread(metric string) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", s.median(metric), slices.Min(s[metric]), slices.Max(s[metric]))
}

// postPlain posts with the plain client.
func (s *site) postPlain(b *testing.B, posts int) sample {
	b.Helper()
	order := posting{CAFile: s.receiver.CAFile, Body: `{"type":"only.99","timestamp":"2026-03-01T12:00:00.000Z","data":` + string(eventData(time.Now())) + `}`,
		Posts: posts, Concurrent: publishers}
	for i := range subscribers {
		order.URLs = append(order.URLs, s.receiver.url(i, 1))
	}
	wait, cpu := s.receiver.expect(b, posts), cpuTime(b, s.plain.pid)
	s.plain.order(b, order)
	got := wait()
	var report posted
	if s.plain.report(b, &report); report.Error != "" {
		b.Fatalf("the plain client failed: %s", report.Error)
	}
	return sample{posts, cpuTime(b, s.plain.pid) - cpu, got.Elapsed}
}

// backlog measures a service that starts with many deliveries to make. Its start counts.
func (s *site) backlog(b *testing.B, d *data) {
	const deliveries = 30_000
	full := d.copy(b)
	full.change(b, func(store *sqlite.Store) {
		types := make([]string, deliveries)
		for i := range types {
			types[i] = typeOf(i % subscribers)
		}
		accept(b, store, types)
	})
	s.compare(b, 2.2, 0.6, func() sample {
		d := full.copy(b)
		wait := s.receiver.expect(b, deliveries)
		service := d.serve(b, s.program, s.receiver)
		got := wait()
		time.Sleep(settling)
		cpu := cpuTime(b, service.Process.Pid)
		service.stop(b)
		d.checkUnfinished(b, 0)
		b.Logf("connections %d", got.Connections)
		return sample{deliveries, cpu, got.Elapsed}
	})
}

// fanOut measures events that go to all webhooks.
func (s *site) fanOut(b *testing.B, d *data) {
	d = d.copy(b)
	service := d.serve(b, s.program, s.receiver)
	s.compare(b, 1.8, 0.65, func() sample { return s.deliver(b, service, 300, subscribers, func(int) string { return typeAll }) })
	service.stop(b)
	d.checkUnfinished(b, 0)
}

// single measures events that go to one webhook each.
func (s *site) single(b *testing.B, d *data) {
	d = d.copy(b)
	service := d.serve(b, s.program, s.receiver)
	s.compare(b, 5, 0.22, func() sample { return s.deliver(b, service, 10_000, 1, func(i int) string { return typeOf(i % subscribers) }) })
	service.stop(b)
	d.checkUnfinished(b, 0)
}

// deliver publishes events as fast as the service accepts them, and waits until they are delivered.
func (s *site) deliver(b *testing.B, service *service, events, fanOut int, eventType func(i int) string) sample {
	b.Helper()
	wait, cpu := s.receiver.expect(b, events*fanOut), cpuTime(b, service.Process.Pid)
	calls := make([]call, events)
	for i := range calls {
		calls[i] = service.publishing(eventType(i))
	}
	concurrently(b, publishers, calls)
	got := wait()
	time.Sleep(settling)
	b.Logf("connections %d", got.Connections)
	return sample{events * fanOut, cpuTime(b, service.Process.Pid) - cpu, got.Elapsed}
}
var _ = http.MethodGet
var _ sync.Mutex
