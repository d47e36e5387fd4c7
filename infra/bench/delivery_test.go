package bench

import (
	"context"
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
// bodies to the same HTTPS receiver. All three are separate processes, and only the processor time of the service and of the
// plain client counts. The two take turns, so that they run under the same conditions. Each scenario logs its numbers with what
// they should be, and fails only if they are far from it, because other programs slow everything down.
func BenchmarkDelivery(b *testing.B) {
	s := &site{program: buildWebhookctl(b), receiver: startReceiver(b), plain: startChild(b, plainRole)}
	oneHost := newData(b, s.receiver, dataSize{webhooks: subscribers, hosts: 1})
	b.Run("backlog", func(b *testing.B) { s.backlog(b, oneHost) })
	b.Run("fan-out", func(b *testing.B) { s.fanOut(b, oneHost) })
	b.Run("single", func(b *testing.B) { s.single(b, oneHost) })

	few := newData(b, s.receiver, dataSize{webhooks: subscribers, hosts: subscribers})
	b.Run("latency", func(b *testing.B) { s.latency(b, few) })
	b.Run("memory", func(b *testing.B) { s.memory(b, few, typeAll, 300*subscribers, 80) })

	many := newData(b, s.receiver, dataSize{webhooks: 10_000, hosts: 10_000, waiting: 100})
	b.Run("single with 1 million waiting", func(b *testing.B) { s.singleAmongMany(b, few, many) })
	b.Run("memory with 1 million waiting", func(b *testing.B) { s.memory(b, many, typeWaiting, 20_000, 256) })

	b.Run("idle with 100 thousand waiting", func(b *testing.B) {
		s.idle(b, newData(b, s.receiver, dataSize{webhooks: 1000, hosts: 1000, waiting: 100}))
	})
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
	b.Logf("%.0f µs of CPU per delivery, the plain client %.0f: %s, target %.1f; %.0f/s, the plain client %.0f/s: %s, aim %.2f",
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
			types[i] = typeOf(i)
		}
		accept(b, store, types)
	})
	s.compare(b, 2.2, 0.6, func() sample {
		d := full.copy(b)
		wait := s.receiver.expect(b, deliveries)
		service := d.serve(b, s)
		got := wait()
		time.Sleep(settling)
		cpu := cpuTime(b, service.Process.Pid)
		service.stop(b)
		d.checkUnfinished(b, 0)
		return sample{deliveries, cpu, got.Elapsed}
	})
}

// fanOut measures events that go to all webhooks.
func (s *site) fanOut(b *testing.B, d *data) {
	d = d.copy(b)
	service := d.serve(b, s)
	s.compare(b, 1.8, 0.65, func() sample {
		return s.deliver(b, service, 300, 300*subscribers, func(int) string { return typeAll })
	})
	service.stop(b)
	d.checkUnfinished(b, 0)
}

const singles = 10_000

// single measures events that go to one webhook each.
func (s *site) single(b *testing.B, d *data) {
	d = d.copy(b)
	service := d.serve(b, s)
	s.compare(b, 5, 0.22, func() sample { return s.deliver(b, service, singles, singles, typeOf) })
	service.stop(b)
	d.checkUnfinished(b, 0)
}

// deliver publishes events as fast as the service accepts them, and waits until they are delivered.
func (s *site) deliver(b *testing.B, service *service, events, deliveries int, eventType func(i int) string) sample {
	b.Helper()
	wait, cpu := s.receiver.expect(b, deliveries), cpuTime(b, service.Process.Pid)
	calls := make([]call, events)
	for i := range calls {
		calls[i] = func(ctx context.Context) error { return service.event(ctx, eventType(i)) }
	}
	concurrently(b, publishers, calls)
	got := wait()
	time.Sleep(settling)
	return sample{deliveries, cpuTime(b, service.Process.Pid) - cpu, got.Elapsed}
}

// singleAmongMany compares events that go to one webhook each with the same while many deliveries of many webhooks wait.
func (s *site) singleAmongMany(b *testing.B, few, many *data) {
	const target = 1.5
	few, many = few.copy(b), many.copy(b)
	alone, among := few.serve(b, s), many.serve(b, s)
	measured := make(samples)
	for range rounds {
		reference, ours := s.deliver(b, alone, singles, singles, typeOf), s.deliver(b, among, singles, singles, typeOf)
		measured.add("cpu-µs", ours.cpuEach())
		measured.add("cpu-ratio", ours.cpuEach()/reference.cpuEach())
		measured.add("rate-ratio", ours.perSecond()/reference.perSecond())
	}
	among.stop(b)
	alone.stop(b)
	many.checkUnfinished(b, many.size.webhooks*many.size.waiting)
	b.ReportMetric(0, "ns/op") // of all rounds together, which means nothing
	measured.report(b)
	b.Logf("%.0f µs of CPU per delivery: %s times that without the others, target %.1f; rate %s times", measured.median("cpu-µs"),
		measured.spread("cpu-ratio"), target, measured.spread("rate-ratio"))
	if ratio := measured.median("cpu-ratio"); ratio > 2*target {
		b.Errorf("a delivery takes %.1f times the processor time, want at most %.1f", ratio, target)
	}
}

// latency measures the time from a publisher to the receiver while 300 events a second are published.
func (s *site) latency(b *testing.B, d *data) {
	const perSecond, events = 300, 6000
	service := d.copy(b).serve(b, s)
	s.deliver(b, service, subscribers, subscribers, typeOf) // opens connections
	wait := s.receiver.expect(b, events)
	ticks := time.NewTicker(time.Second / perSecond)
	defer ticks.Stop()
	var all sync.WaitGroup
	for i := range events {
		<-ticks.C
		all.Go(func() {
			if err := service.event(b.Context(), typeOf(i)); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
	latencies := wait().Latencies
	service.stop(b)
	p50, p99 := milliseconds(latencies[events/2]), milliseconds(latencies[events*99/100])
	b.ReportMetric(0, "ns/op") // of all events together, which means nothing
	b.ReportMetric(p50, "ms-p50")
	b.ReportMetric(p99, "ms-p99")
	b.Logf("from the publisher to the receiver at %d/s: median %.1f ms, target 2; p99 %.1f ms, target 8", perSecond, p50, p99)
	if p99 > 1000 {
		b.Error("events are late")
	}
}

// memory measures what the service occupies after deliveries of events of a type.
func (s *site) memory(b *testing.B, d *data, eventType string, deliveries int, target float64) {
	d = d.copy(b)
	service := d.serve(b, s)
	perEvent := subscribers
	if eventType == typeWaiting {
		perEvent = d.size.webhooks
	}
	s.deliver(b, service, deliveries/perEvent, deliveries, func(int) string { return eventType })
	resident := residentMemory(b, service.Process.Pid)
	service.stop(b)
	d.checkUnfinished(b, d.size.webhooks*d.size.waiting)
	b.ReportMetric(0, "ns/op") // of all deliveries together, which means nothing
	b.ReportMetric(resident, "MB")
	b.Logf("%.0f MB resident after %d deliveries to %d receivers, target %.0f", resident, deliveries, perEvent, target)
	if resident > 2*target {
		b.Errorf("%.0f MB are resident, want at most %.0f", resident, target)
	}
}

// idle measures a service that has nothing to do until tomorrow: how soon it delivers a new event, and its processor time.
func (s *site) idle(b *testing.B, d *data) {
	const seconds = 30
	wait := s.receiver.expect(b, 1)
	service := d.serve(b, s)
	healthy := s.untilHealthy(b, service)
	if err := service.event(b.Context(), typeOf(0)); err != nil {
		b.Fatal(err)
	}
	delivered := wait().Last.Sub(service.started)
	time.Sleep(15 * time.Second) // after ten seconds without changes, the service looks for them less often
	cpu := cpuTime(b, service.Process.Pid)
	time.Sleep(seconds * time.Second)
	percent := 100 * (cpuTime(b, service.Process.Pid) - cpu).Seconds() / seconds
	service.stop(b)
	b.ReportMetric(0, "ns/op") // mostly of sleep
	b.ReportMetric(milliseconds(healthy), "ms-healthy")
	b.ReportMetric(milliseconds(delivered), "ms-delivered")
	b.ReportMetric(percent, "cpu-%")
	b.Logf("healthy %.0f ms after the start, first delivery after %.0f ms, target 1000; then %.2f %% of a processor, target below 0.1",
		milliseconds(healthy), milliseconds(delivered), percent)
	if percent > 1 || delivered > 10*time.Second {
		b.Error("an idle service is busy, or starts late")
	}
}

// untilHealthy returns how long after its start the service is healthy.
func (s *site) untilHealthy(b *testing.B, service *service) time.Duration {
	b.Helper()
	response, err := service.publish.Get(service.url + "/healthz")
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		b.Fatalf("the service is not healthy: %s", response.Status)
	}
	return time.Since(service.started)
}
