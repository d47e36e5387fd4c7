package bench

import (
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/dynamo"
	"webhooks/shared/endpoint"
	"webhooks/shared/lambdahost"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

// BenchmarkWarm invokes every function when its key is in memory, and in turn makes the very calls by
// themselves that the function made of DynamoDB. It reports the medians and their ratio: what adapter,
// authentication, checks, store and log add to the calls. The programs themselves are started by
// [BenchmarkColdStart]; Lambda's own part of an invocation is not there in either.
func BenchmarkWarm(b *testing.B) {
	s := newStack(b)
	recorded := new(recorder)
	store := dynamo.New(dynamo.NewClient(s.config, recorded.option), s.table)
	bare := s.bareClient()
	tokenKey, err := seal.NewKey(make([]byte, seal.KeySize))
	if err != nil {
		b.Fatal(err)
	}
	creator := api.Creator{
		Store: store, Sealer: seal.Sealer{Keys: seal.KeyRing{tokenKey}, Random: rand.Reader}, TLS: endpoint.NoCheck{},
		Quota: 1 << 30, Now: time.Now, Random: rand.Reader,
	}
	endpoints := map[string]api.Endpoint{
		"get-webhook":        api.GetWebhook(store),
		"list-webhooks":      api.ListWebhooks(store),
		"list-webhook-types": api.ListWebhookTypes(store),
		"create-webhook":     api.CreateWebhook(creator),
		"delete-webhook":     api.DeleteWebhook(store),
	}
	for _, name := range s.functions(b) {
		b.Run(name, func(b *testing.B) {
			service := api.Service{
				Keys: access.NewAuthenticator(store, time.Now), Now: time.Now, Random: rand.Reader,
				Log: slog.New(slog.NewJSONHandler(io.Discard, nil)),
			}
			host := lambdahost.New(service.Handler(endpoints[name]), service.Log)
			for range 3 { // the last of them is one of many
				event := s.event(b, name)
				recorded.take()
				invokeHost(b, host, event)
			}
			calls := recorded.take()
			var ours, theirs []time.Duration
			for range max(b.N, minSamples) {
				event, id := s.event(b, name), s.fresh(b, name)
				began := time.Now()
				invokeHost(b, host, event)
				ours = append(ours, time.Since(began))
				began = time.Now()
				if err := replay(b.Context(), bare, calls, id); err != nil {
					b.Fatal(err)
				}
				theirs = append(theirs, time.Since(began))
			}
			recorded.take()
			b.ReportMetric(0, "ns/op") // of both together, which says nothing
			b.ReportMetric(float64(median(ours).Microseconds()), "µs-invocation")
			b.ReportMetric(float64(median(theirs).Microseconds()), "µs-calls")
			b.ReportMetric(ratio(ours, theirs), "ratio")
			b.ReportMetric(float64(len(calls)), "calls")
		})
	}
}

// fresh gives the id of the webhook that a function's calls are repeated for, where they cannot be
// for the same one again.
func (s *stack) fresh(b *testing.B, function string) string {
	b.Helper()
	switch function {
	case "create-webhook":
		return webhook.NewID(ulid.Make().String())
	case "delete-webhook":
		return s.addWebhook(b)
	}
	return ""
}

func invokeHost(b *testing.B, host *lambdahost.Host, event []byte) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 15*time.Second)
	defer cancel()
	out, err := host.Invoke(ctx, event)
	if err != nil || !strings.Contains(string(out), `"statusCode":20`) {
		b.Fatalf("answer %s, error %v", out, err)
	}
}
