package bench

import (
	"context"
	"maps"
	"os/exec"
	"testing"
	"time"

	"webhooks/infra/bootstrap"
	"webhooks/infra/gateway"
	"webhooks/shared/webhook"
)

// BenchmarkColdStart starts each function as Lambda does with the settings of template.yaml, and every time also starts
// the minimal function, so that both run under the same conditions: once as Lambda starts any program, once with the
// template's settings for Go (alike). It reports the medians of the wall time and of the processor time from the start of
// the process to its first request for an invocation (next) and to its first response (response), and the ratios of the
// processor times to those of the minimal function. create-webhook is measured with a token key in its settings and, if
// KMS is available, as it is deployed: the difference is what reading and decrypting the data key costs.
func BenchmarkColdStart(b *testing.B) {
	s := newStack(b)
	s.grow(b, 10)
	functions, err := bootstrap.Functions(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range functions {
		b.Run(name, func(b *testing.B) { s.measureStarts(b, name, s.settings) })
	}
	if settings := s.withKMS(b); settings != nil {
		b.Run("create-webhook with KMS", func(b *testing.B) { s.measureStarts(b, "create-webhook", settings) })
	}
}

func (s *stack) measureStarts(b *testing.B, name string, settings map[string]string) {
	function, minimal := build(b, name), build(b, "infra/bench/minimal")
	read := []byte(`{"queryStringParameters":{"pk":"C#` + companyID + `","sk":"W#` + s.first + `"}}`)
	deployed, alike := maps.Clone(settings), maps.Clone(s.settings)
	deployed["GOMAXPROCS"], alike["GOMAXPROCS"] = "1", "1" // as in template.yaml
	ours, theirs, theirsAlike := make(samples), make(samples), make(samples)
	for range max(b.N, 15) {
		event := s.event(name, webhook.Page{Size: 10, Number: 1}, s.target(b, name))
		ours.start(b, function, deployed, encode(b, event))
		theirs.start(b, minimal, s.settings, read)
		theirsAlike.start(b, minimal, alike, read)
	}
	b.ReportMetric(0, "ns/op") // of all processes together, which means nothing
	ours.report(b)
	b.ReportMetric(ours.median("cpu-ms-next")/theirs.median("cpu-ms-next"), "cpu-ratio-next")
	b.ReportMetric(ours.median("cpu-ms-response")/theirs.median("cpu-ms-response"), "cpu-ratio-response")
	b.ReportMetric(ours.median("cpu-ms-response")/theirsAlike.median("cpu-ms-response"), "cpu-ratio-response-alike")
}

// start starts a program twice: until it asks for an invocation, and until it has responded to an event.
func (s samples) start(b *testing.B, program string, settings map[string]string, event []byte) {
	b.Helper()
	for _, until := range []string{"next", "response"} {
		api, err := gateway.NewRuntimeAPI("bench")
		if err != nil {
			b.Fatal(err)
		}
		defer api.Close()
		ctx, cancel := context.WithTimeout(b.Context(), 20*time.Second)
		defer cancel()
		command := exec.CommandContext(ctx, program)
		command.Env = gateway.Environment("bench", api.Addr(), settings)
		started := time.Now()
		if err := command.Start(); err != nil {
			b.Fatal(err)
		}
		select {
		case <-api.Ready():
		case <-ctx.Done():
			b.Fatal("the function does not start")
		}
		if until == "response" {
			if err := check(api.Invoke(ctx, event)); err != nil {
				b.Fatal(err)
			}
		}
		s.add("ms-"+until, milliseconds(time.Since(started)))
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
		s.add("cpu-ms-"+until, milliseconds(command.ProcessState.UserTime()+command.ProcessState.SystemTime()))
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// build builds a function and returns the path of the program.
func build(b *testing.B, name string) string {
	b.Helper()
	program, err := bootstrap.Build(b.Context(), name, bootstrap.Native(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	return program
}
