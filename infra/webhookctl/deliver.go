package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"time"

	"webhooks/infra/webhookctl/metrics"
	"webhooks/infra/webhookctl/server"
	"webhooks/shared/delivery"
	"webhooks/shared/endpoint"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

const (
	// minRetention is longer than [webhook.MaxAge], so events outlive the attempts to deliver them.
	minRetention = lifetime(4 * 24 * time.Hour)
	maxRetries   = 100
	// maxConcurrency makes up to 20,000 attempts at the same time.
	maxConcurrency = 1000
)

// deliverFlags are the settings of delivery.
type deliverFlags struct {
	RetrySchedule []time.Duration `name:"retry-schedule" env:"WEBHOOKS_RETRY_SCHEDULE" placeholder:"WAIT" help:"How long to wait before each retry of a failed attempt, plus or minus 10 %. By default, as Standard Webhooks recommends: 5s,5m,30m,2h,5h,10h,14h,20h,24h. A delivery fails after the last retry, and at the latest 84 hours after its event was accepted."`
	Retention     lifetime        `env:"WEBHOOKS_RETENTION" default:"30d" help:"How long events and their deliveries are kept, at least 4d."`
	Concurrency   int             `env:"WEBHOOKS_CONCURRENCY" default:"128" help:"DynamoDB: Maximum number of batches of up to 10 deliveries that this process handles at the same time, for the queue of deliveries and for the queue of slow ones."`
}

func (f *deliverFlags) validate() error {
	if len(f.RetrySchedule) > maxRetries {
		return fmt.Errorf("--retry-schedule has %d retries: use at most %d", len(f.RetrySchedule), maxRetries)
	}
	for _, wait := range f.RetrySchedule {
		if wait <= 0 || wait > webhook.MaxAge {
			return fmt.Errorf("--retry-schedule contains %v: each wait must be positive and not exceed %v", wait, webhook.MaxAge)
		}
	}
	if f.Concurrency < 1 || f.Concurrency > maxConcurrency {
		return fmt.Errorf("--concurrency is %d: it must be from 1 to %d", f.Concurrency, maxConcurrency)
	}
	if f.Retention < minRetention {
		return fmt.Errorf("--retention is %v: it must be at least 4d, because deliveries are attempted for up to 84 hours", time.Duration(f.Retention))
	}
	return nil
}

// schedule returns how long to wait before each attempt. The first one is made immediately.
func (f *deliverFlags) schedule() delivery.Schedule {
	if len(f.RetrySchedule) == 0 {
		return delivery.DefaultSchedule()
	}
	return append(delivery.Schedule{0}, f.RetrySchedule...)
}

// deliverer is a store whose events are delivered.
type deliverer interface {
	webhook.DeliveryStore
	// run delivers until ctx ends, and then returns as soon as the running attempts have ended.
	run(ctx context.Context) error
}

// engine has the parts of a deliverer that do not depend on the store.
type engine struct {
	*console
	*deliverFlags
	client    *endpoint.Client
	attempter *delivery.Attempter
	metrics   *metrics.Metrics
}

// newEngine returns an engine that only connects to addresses that the checker accepts, and always verifies certificates.
func (f *deliverFlags) newEngine(c *console, sealer seal.Sealer, checker *endpoint.Checker, m *metrics.Metrics) *engine {
	client := endpoint.NewClient(&checker.Dialer, checker.RootCAs, c.now)
	attempter := &delivery.Attempter{Client: client, Sealer: sealer, Schedule: f.schedule(), Now: c.now, Random: rand.Float64}
	return &engine{console: c, deliverFlags: f, client: client, attempter: attempter, metrics: m}
}

// reserve prepares for a number of attempts at the same time. It returns how many are possible with the files that the process can
// open.
func (e *engine) reserve(attempts int) (slots int, err error) {
	files, err := server.OpenFiles()
	if err != nil {
		return 0, err
	}
	slots = attemptSlots(files, attempts)
	if slots < attempts {
		e.log.Warn("this process can open few files, so fewer attempts run at the same time: raise the limit (ulimit -n)", "attempts", slots)
	}
	e.client.MaxIdle = slots
	return slots, nil
}

// attemptSlots returns how many of a number of attempts run at the same time if the process can open a number of files. Half of these
// are for clients, and some for the database. Each attempt may use a connection, another one that is idle, and one to a name server.
func attemptSlots(files, attempts int) int {
	const forDatabase, perAttempt = 64, 3
	return max(1, min(attempts, (files/2-forDatabase)/perAttempt))
}

// divertStandardLog sends what packages print with the standard logger to the log, at the debug level. It omits the text, which
// can quote what another server sent.
func divertStandardLog(to *slog.Logger) {
	log.SetFlags(0)
	log.SetOutput(ioCall(func(p []byte) (int, error) {
		to.Debug("a package reported a problem with a connection")
		return len(p), nil
	}))
}

// receiverTokens returns the [sandbox.Receiver.Tokens] of the sample receiver: the tokens of a company's webhooks, among its first
// 100, whose URLs have the given path.
func receiverTokens(s *opened, sealer seal.Sealer, company string) func(ctx context.Context, path string) ([]string, error) {
	return func(ctx context.Context, path string) ([]string, error) {
		webhooks, err := s.WebhooksAfter(ctx, company, "", 100)
		if err != nil {
			return nil, err
		}
		var tokens []string
		for _, w := range webhooks {
			if u, err := url.Parse(w.URL); err != nil || u.RequestURI() != path {
				continue
			}
			token, err := sealer.Open(ctx, w.Company, w.ID, w.SealedToken)
			if err != nil {
				return nil, errors.New("a token cannot be decrypted")
			}
			tokens = append(tokens, token)
		}
		return tokens, nil
	}
}
