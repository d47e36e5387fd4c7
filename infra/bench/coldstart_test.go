package bench

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"webhooks/infra/bootstrap"
	"webhooks/infra/gateway"
)

// BenchmarkColdStart starts each function as Lambda does with the settings of template.yaml, and every
// time the minimal function beside it, so that both meet the same machine: once as Lambda starts
// any program, once with the template's settings for Go (alike). It reports medians: from the start
// of the process to its first request for work (next) and to its first answer (answer), in wall time
// and in processor time, the latter also as ratios to the minimal function; and the memory resident
// at the answer. create-webhook is measured with the token key in its settings and, where KMS can be
// had, as it is deployed: the difference is what reading and decrypting the data key costs.
func BenchmarkColdStart(b *testing.B) {
	s := newStack(b)
	for _, name := range s.functions(b) {
		b.Run(name, func(b *testing.B) { s.measureStarts(b, name, s.settings) })
	}
	withKMS := s.withKMS(b) // one key for all turns, since the table has one data key
	b.Run("create-webhook with KMS", func(b *testing.B) {
		if withKMS == nil {
			b.Skip("WEBHOOKS_TEST_MOTO_ENDPOINT is not set: `make bench` sets it")
		}
		s.measureStarts(b, "create-webhook", withKMS)
	})
}

func (s *stack) measureStarts(b *testing.B, name string, settings map[string]string) {
	function, minimal := s.program(b, name), s.program(b, "infra/bench/minimal")
	event := []byte(`{"version":"2.0","routeKey":"GET /","queryStringParameters":{"pk":"C#bench","sk":"W#` + s.webhookID + `"}}`)
	asDeployed, alike := maps.Clone(settings), maps.Clone(s.settings)
	for _, m := range []map[string]string{asDeployed, alike} {
		m["GOMAXPROCS"] = "1" // as template.yaml has it
	}
	var ours, theirs, theirsAlike coldStarts
	for range max(b.N, minSamples) {
		ours.add(b, function, asDeployed, s.event(b, name))
		theirs.add(b, minimal, s.settings, event)
		theirsAlike.add(b, minimal, alike, event)
	}
	ours.report(b, &theirs)
	b.ReportMetric(ratio(ours.answerCPU, theirsAlike.answerCPU), "cpu-ratio-answer-alike")
}

// maxResident is what a function may have resident at its first answer, in MiB. This, unlike the
// times, is the same on every machine, so it is held to.
const maxResident = 20

// minSamples is how many starts a median is taken of, at least.
const minSamples = 15

// coldStarts are measurements of one program.
type coldStarts struct {
	nextWall, nextCPU, answerWall, answerCPU []time.Duration
	resident                                 []int // KiB
}

func (c *coldStarts) report(b *testing.B, minimal *coldStarts) {
	milliseconds := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(0, "ns/op") // of two processes together, which says nothing
	b.ReportMetric(milliseconds(median(c.nextWall)), "ms-next")
	b.ReportMetric(milliseconds(median(c.nextCPU)), "cpu-ms-next")
	b.ReportMetric(milliseconds(median(c.answerWall)), "ms-answer")
	b.ReportMetric(milliseconds(median(c.answerCPU)), "cpu-ms-answer")
	b.ReportMetric(ratio(c.nextCPU, minimal.nextCPU), "cpu-ratio-next")
	b.ReportMetric(ratio(c.answerCPU, minimal.answerCPU), "cpu-ratio-answer")
	resident := float64(median(c.resident)) / 1024
	b.ReportMetric(resident, "MiB-resident")
	if resident > maxResident {
		b.Errorf("%.1f MiB are resident at the first answer, want at most %d", resident, maxResident)
	}
}

func median[T ~int | ~int64](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

func ratio[T ~int | ~int64](a, b []T) float64 { return float64(median(a)) / float64(median(b)) }

// add starts a program twice: once until it asks for work, once until it has answered.
func (c *coldStarts) add(b *testing.B, program string, settings map[string]string, event []byte) {
	b.Helper()
	started := start(b, program, settings)
	c.nextWall = append(c.nextWall, started.wall())
	c.nextCPU = append(c.nextCPU, started.end(b))

	started = start(b, program, settings)
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	out, err := started.api.Invoke(ctx, event)
	if err != nil || !strings.Contains(string(out), `"statusCode":20`) {
		b.Fatalf("answer %s, error %v", out, err)
	}
	c.answerWall = append(c.answerWall, started.wall())
	c.resident = append(c.resident, started.resident(b))
	c.answerCPU = append(c.answerCPU, started.end(b))
}

// running is a process that has asked for its first invocation.
type running struct {
	api     *gateway.RuntimeAPI
	command *exec.Cmd
	began   time.Time
}

func start(b *testing.B, program string, settings map[string]string) *running {
	b.Helper()
	api, err := gateway.NewRuntimeAPI("bench")
	if err != nil {
		b.Fatal(err)
	}
	command := exec.CommandContext(b.Context(), program)
	command.Env = gateway.Environment("bench", api.Addr(), settings)
	r := &running{api: api, command: command, began: time.Now()}
	if err := command.Start(); err != nil {
		b.Fatal(err)
	}
	select {
	case <-api.Ready():
	case <-time.After(10 * time.Second):
		b.Fatal("the function does not start")
	}
	return r
}

func (r *running) wall() time.Duration { return time.Since(r.began) }

// end kills the process and gives the processor time that it took.
func (r *running) end(b *testing.B) time.Duration {
	b.Helper()
	_ = r.command.Process.Kill()
	_ = r.command.Wait() // it was killed
	_ = r.api.Close()
	usage, ok := r.command.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		b.Fatal("this system does not tell what a process used")
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// resident gives the most memory that the process had resident so far, in KiB. (What the system
// tells at the end of a process counts the memory of the one that started it.)
func (r *running) resident(b *testing.B) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.command.Process.Pid))
	if err != nil {
		b.Skip("the memory of a process can be read on Linux alone")
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	text, _, _ := strings.Cut(rest, "kB")
	size, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		b.Fatal(err)
	}
	return size
}

// program builds a function.
func (s *stack) program(b *testing.B, name string) string {
	b.Helper()
	program, err := bootstrap.Build(b.Context(), name, bootstrap.Native(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	return program
}

func (s *stack) functions(b *testing.B) []string {
	b.Helper()
	names, err := bootstrap.Functions(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return names
}
