package bench

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"webhooks/infra/bootstrap"
	"webhooks/infra/gateway"
	"webhooks/shared/dynamo"
	"webhooks/shared/dynamo/dynamotest"
	"webhooks/shared/seal"
	"webhooks/shared/sqs"
	"webhooks/shared/webhook"
)

// BenchmarkColdStart starts each function as Lambda does with the settings of template.yaml, and every time also starts
// the minimal function, so that both run under the same conditions: once as Lambda starts any program, once with the
// template's settings for Go (alike). It reports the medians of the wall time and of the processor time from the start of
// the process to its first request for an invocation (next) and to its first response (response), and the ratios of the
// processor times to those of the minimal function. create-webhook is measured with a token key in its settings and, if
// KMS is available, as it is deployed: the difference is what reading and decrypting the data key costs. deliver-webhook makes
// an attempt, with the TLS handshake, and is compared with a minimal function that also posts to the receiver.
func BenchmarkColdStart(b *testing.B) {
	s := newStack(b)
	s.grow(b, 10)
	s.addDeliveries(b)
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
	url := ""
	deployed, plain := maps.Clone(settings), maps.Clone(s.settings)
	if name == "deliver-webhook" {
		url = s.receiver
		maps.Copy(deployed, s.trust)
		maps.Copy(plain, s.trust)
	}
	alike := maps.Clone(plain)
	deployed["GOMAXPROCS"], alike["GOMAXPROCS"] = "1", "1" // as in template.yaml
	read := []byte(`{"queryStringParameters":{"pk":"C#` + companyID + `","sk":"W#` + s.first + `","url":"` + url + `"}}`)
	ours, theirs, theirsAlike := make(samples), make(samples), make(samples)
	posts := s.posts.Load()
	rounds := max(b.N, 15)
	for range rounds {
		ours.start(b, function, deployed, func() []byte { return s.sample(b, name) })
		theirs.start(b, minimal, plain, func() []byte { return read })
		theirsAlike.start(b, minimal, alike, func() []byte { return read })
	}
	if got := s.posts.Load() - posts; url != "" && got != int64(3*rounds) {
		b.Fatalf("the receiver got %d requests, want %d", got, 3*rounds)
	}
	b.ReportMetric(0, "ns/op") // of all processes together, which means nothing
	ours.report(b)
	b.ReportMetric(ours.median("cpu-ms-next")/theirs.median("cpu-ms-next"), "cpu-ratio-next")
	b.ReportMetric(ours.median("cpu-ms-response")/theirs.median("cpu-ms-response"), "cpu-ratio-response")
	b.ReportMetric(ours.median("cpu-ms-response")/theirsAlike.median("cpu-ms-response"), "cpu-ratio-response-alike")
}

// start starts a program twice: until it asks for an invocation, and until it has responded to an event.
func (s samples) start(b *testing.B, program string, settings map[string]string, event func() []byte) {
	b.Helper()
	for _, until := range []string{"next", "response"} {
		payload := event()
		api, err := gateway.NewRuntimeAPI("bench")
		if err != nil {
			b.Fatal(err)
		}
		defer api.Close()
		ctx, cancel := context.WithTimeout(b.Context(), 30*time.Second) // an attempt begins only if 20 s are left
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
			if err := check(api.Invoke(ctx, payload)); err != nil {
				b.Fatal(err)
			}
		}
		s.add("ms-"+until, milliseconds(time.Since(started)))
		_ = command.Process.Kill()
		_ = command.Wait() // it was killed
		s.add("cpu-ms-"+until, milliseconds(command.ProcessState.UserTime()+command.ProcessState.SystemTime()))
	}
}

// addDeliveries adds to the stack what the functions for events and deliveries need, and a receiver.
func (s *stack) addDeliveries(b *testing.B) {
	b.Helper()
	moto := dynamotest.Service(b, "WEBHOOKS_TEST_MOTO_ENDPOINT")
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		s.posts.Add(1)
		time.Sleep(time.Duration(s.delay.Load()))
	}))
	receiver.Listener = countingListener{receiver.Listener, &s.received}
	receiver.StartTLS()
	b.Cleanup(receiver.Close)
	s.receiver, s.closeConnections = receiver.URL, receiver.CloseClientConnections
	s.deliveries = dynamo.NewDeliveries(dynamo.NewClient(s.config), s.table, s.table+"-deliveries")
	client := sqs.NewClient(sqs.Config{Endpoint: moto, Region: s.config.Region, Credentials: s.config.Credentials})
	queues, err := sqs.Create(b.Context(), client, s.table+"-")
	if err := errors.Join(err, s.deliveries.CreateTables(b.Context())); err != nil {
		b.Fatal(err)
	}
	maps.Copy(s.settings, gateway.QueueSettings(queues, "deliver-webhook"))
	maps.Copy(s.settings, map[string]string{
		"WEBHOOKS_DELIVERIES_TABLE": s.table + "-deliveries", "WEBHOOKS_SQS_ENDPOINT": moto, "WEBHOOKS_STACK": "bench",
	})
	// WEBHOOKS_CA_PEM would load the system's authorities when the function starts, which it does not when it is deployed.
	s.trust = map[string]string{"WEBHOOKS_ALLOW_NETWORKS": "127.0.0.0/8", "SSL_CERT_FILE": filepath.Join(b.TempDir(), "authority.pem")}
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: receiver.Certificate().Raw})
	if err := os.WriteFile(s.trust["SSL_CERT_FILE"], certificate, 0o600); err != nil {
		b.Fatal(err)
	}
}

// sample returns the sample event of a function with an API key and the IDs of a new webhook and a new event. The event has been
// delivered there, except for deliver-webhook, which makes the first attempt.
func (s *stack) sample(b *testing.B, function string) []byte {
	b.Helper()
	now := time.Now().UTC().Truncate(time.Millisecond)
	r := webhook.Ref{Company: companyID, WebhookID: newID(), EventID: webhook.NewEventID(ulid.Make().String()), AcceptedAt: now}
	ownType := "bench." + r.EventID // other webhooks do not get the event
	s.subscribeTo(b, r.WebhookID, ownType)
	_, acceptErr := s.deliveries.AcceptEvents(b.Context(), []webhook.NewEvent{{Event: webhook.Event{
		ID: r.EventID, Company: companyID, Type: ownType, Timestamp: now, AcceptedAt: now, Body: []byte(`{"data":{}}`),
	}}})
	var recordErr error
	if function != "deliver-webhook" {
		_, recordErr = s.deliveries.Record(b.Context(), webhook.Outcome{
			Ref: r, EventType: ownType, Status: webhook.StatusDelivered, WebhookVersion: 1, Attempt: webhook.Attempt{Number: 1, At: now, StatusCode: 200},
		})
	}
	event, readErr := os.ReadFile(filepath.Join("../../functions", function, "event.json"))
	if err := errors.Join(acceptErr, recordErr, readErr); err != nil {
		b.Fatal(err)
	}
	sampleType := "RecurringPayments.charge.paid"
	if function == "create-webhook" { // it must exist
		sampleType = "^$"
	}
	for sample, value := range map[string]string{
		"whk_[a-z2-7]{58}": s.key, "wh_[0-9A-Z]{26}": r.WebhookID, "evt_[0-9A-Z]{26}": r.EventID, "dlv_[0-9A-Z]{26}": r.DeliveryID(),
		`\\"acme\\"`: `\"` + companyID + `\"`, "invoice-47..-paid": r.EventID, sampleType: ownType,
		"1767323045000": fmt.Sprint(now.UnixMilli()),
	} {
		event = regexp.MustCompile(sample).ReplaceAllLiteral(event, []byte(value))
	}
	return event
}

// subscribeTo creates a webhook at the receiver.
func (s *stack) subscribeTo(b *testing.B, id, eventType string) {
	b.Helper()
	key, keyErr := seal.NewKey(bytes.Repeat([]byte{7}, seal.KeySize))
	token, tokenErr := webhook.NewToken(rand.Reader)
	sealed, sealErr := seal.Sealer{Keys: seal.KeyRing{key}, Random: rand.Reader}.Seal(b.Context(), companyID, id, token)
	_, createErr := s.store.CreateWebhook(b.Context(), webhook.Creation{Quota: 1 << 30, Webhook: webhook.Webhook{
		ID: id, Company: companyID, Name: "Billing Events", URL: s.receiver, Events: []string{eventType}, SealedToken: sealed, Version: 1,
		CreatedAt: time.Now().UTC().Truncate(time.Millisecond),
	}})
	if err := errors.Join(keyErr, tokenErr, sealErr, createErr); err != nil {
		b.Fatal(err)
	}
}

// countingListener counts the bytes that its connections receive.
type countingListener struct {
	net.Listener
	received *atomic.Int64
}

// Accept implements [net.Listener].
func (l countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return countingConn{conn, l.received}, err
}

type countingConn struct {
	net.Conn
	received *atomic.Int64
}

// Read implements [net.Conn].
func (c countingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.received.Add(int64(n))
	return n, err
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
