package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"sync"
	"time"

	"webhooks/infra/webhookctl/metrics"
	"webhooks/infra/webhookctl/server"
	"webhooks/shared/delivery"
	"webhooks/shared/dispatch"
	"webhooks/shared/endpoint"
	"webhooks/shared/seal"
	"webhooks/shared/webhook"
)

const (
	// minRetention is longer than [webhook.MaxAge], so events outlive the attempts to deliver them.
	minRetention = lifetime(4 * 24 * time.Hour)
	maxRetries   = 100
	// lockPatience is how long another process may deliver before the log says so.
	lockPatience = time.Second
)

// deliverFlags are the settings of delivery.
type deliverFlags struct {
	RetrySchedule []time.Duration `name:"retry-schedule" env:"WEBHOOKS_RETRY_SCHEDULE" placeholder:"WAIT" help:"How long to wait before each retry of a failed attempt, plus or minus 10 %. By default, as Standard Webhooks recommends: 5s,5m,30m,2h,5h,10h,14h,20h,24h. A delivery fails after the last retry, and at the latest 84 hours after its event was accepted."`
	Retention     lifetime        `env:"WEBHOOKS_RETENTION" default:"30d" help:"How long events and their deliveries are kept, at least 4d."`
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

// deliveryStore is a store from which serve delivers.
type deliveryStore interface {
	webhook.DeliveryStore
	webhook.Backlog
	// Changes calls changed when there may be new work, until ctx ends.
	Changes(ctx context.Context, changed func())
	// LockDelivery waits until no other process delivers.
	LockDelivery(ctx context.Context) (unlock func() error, err error)
	// BacklogSize returns the number of unfinished deliveries, and the earliest time at which one of them is due.
	BacklogSize(ctx context.Context) (pending int64, oldestDue time.Time, err error)
}

// deliverer delivers the events of a store.
type deliverer struct {
	store  deliveryStore
	client *endpoint.Client
	engine *dispatch.Engine
	log    *slog.Logger
}

// newDeliverer returns a deliverer that only connects to addresses that the checker accepts, and always verifies certificates.
func (f *deliverFlags) newDeliverer(c *console, store deliveryStore, sealer seal.Sealer, checker *endpoint.Checker, m *metrics.Metrics) (*deliverer, error) {
	files, err := server.OpenFiles()
	if err != nil {
		return nil, err
	}
	slots := attemptSlots(files)
	if slots < dispatch.DefaultSlots {
		c.log.Warn("this process can open few files, so fewer attempts run at the same time: raise the limit (ulimit -n)", "attempts", slots)
	}
	client := endpoint.NewClient(&checker.Dialer, checker.RootCAs, c.now)
	client.MaxIdle = slots
	engine := dispatch.New(dispatch.Config{
		Store: store,
		Attempter: &delivery.Attempter{
			Client:   client,
			Sealer:   sealer,
			Schedule: f.schedule(),
			Now:      c.now,
			Random:   rand.Float64,
		},
		Now:       c.now,
		Log:       c.log,
		Retention: time.Duration(f.Retention),
		Slots:     slots,
		Attempted: m.Attempted,
	})
	m.Lanes(engine.Lanes)
	m.Backlog(store.BacklogSize, c.now, c.log)
	return &deliverer{store: store, client: client, engine: engine, log: c.log}, nil
}

// attemptSlots returns how many attempts run at the same time if the process can open a number of files. Half of these are for
// clients, and some for the database. Each attempt may use a connection, another one that is idle, and one to a name server.
func attemptSlots(files int) int {
	const forDatabase, perAttempt = 64, 3
	return max(1, min(dispatch.DefaultSlots, (files/2-forDatabase)/perAttempt))
}

// run delivers until ctx ends, and then returns as soon as the running attempts have ended. It waits while another process delivers
// from the same file.
func (d *deliverer) run(ctx context.Context) error {
	waiting := time.AfterFunc(lockPatience, func() {
		d.log.Info("another process delivers the events of this database: this one takes over when that one stops")
	})
	unlock, err := d.store.LockDelivery(ctx)
	waiting.Stop()
	switch {
	case err != nil && ctx.Err() != nil:
		return nil
	case err != nil:
		return fmt.Errorf("cannot deliver: %w", storeError(err))
	}
	d.log.Info("delivering")
	var changes sync.WaitGroup
	changes.Go(func() { d.store.Changes(ctx, d.engine.Wake) })
	d.engine.Run(ctx)
	changes.Wait()
	d.client.Close()
	d.log.Info("stopped delivering")
	return unlock()
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
