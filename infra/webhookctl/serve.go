package main

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"webhooks/infra/webhookctl/metrics"
	"webhooks/infra/webhookctl/sandbox"
	"webhooks/infra/webhookctl/server"
	"webhooks/shared/access"
	"webhooks/shared/api"
	"webhooks/shared/endpoint"
	"webhooks/shared/seal"
)

const tlsCheckOff = "off"

// memoryLimit is the number of bytes from which on the garbage collector works harder, unless GOMEMLIMIT is set. The
// service needs much less, unless many clients do not read their responses.
const memoryLimit = 180 << 20

// gcPercent trades memory for CPU, unless GOGC is set. The heap is small, so the garbage collector would otherwise run too often.
const gcPercent = 250

// serveCmd is "webhookctl serve".
type serveCmd struct {
	Addr          string        `env:"WEBHOOKS_ADDR" default:"127.0.0.1:3000" help:"Listen address for HTTP. Port 0 picks a free port; an empty host means all addresses of this machine."`
	Dev           bool          `env:"WEBHOOKS_DEV" help:"Development mode, loopback only: adds event types, an API key and a sample receiver, and prints curl commands to try. Only with a new --data directory or one that --dev created."`
	Quota         int           `env:"WEBHOOKS_QUOTA" default:"1000" help:"Maximum number of webhooks per company."`
	RateLimit     int           `env:"WEBHOOKS_RATE_LIMIT" default:"100" help:"Maximum number of requests per second of each company, with bursts of twice as many; 0 for no limit."`
	AllowOrigins  []string      `name:"allowed-origins" env:"WEBHOOKS_ALLOWED_ORIGINS" placeholder:"ORIGIN" help:"Origins of the web pages that can call the API from a browser (CORS), for example https://console.example.com. By default, none can."`
	TokenKeys     tokenKeyFlags `embed:"" set:"token_key_created=, created if it does not exist, unless the store has webhooks"`
	Delivery      deliverFlags  `embed:""`
	TLSCheck      string        `name:"tls-check" env:"WEBHOOKS_TLS_CHECK" default:"enforce" enum:"enforce,off" help:"Whether to check the address and certificate of a new webhook's host: enforce or off. off is for local development only: it requires a loopback --addr, and --dev or a local --dynamodb-endpoint."`
	CAFile        string        `name:"ca-file" env:"WEBHOOKS_CA_FILE" placeholder:"FILE" help:"Certificate authorities (PEM) to trust for that check and for deliveries, in addition to the system's."`
	AllowNetworks []network     `name:"allow-network" env:"WEBHOOKS_ALLOW_NETWORKS" placeholder:"CIDR" help:"Networks that webhooks may reach although they are not public. Can be repeated."`

	authorities *x509.CertPool // the system's and those in CAFile; set by validate
	// onReady is called instead of printing the banner of --dev, if it is not nil.
	onReady func(api string, box *sandbox.Sandbox)
	// receiver is the sample receiver of --dev; nil means one that prints what it receives.
	receiver *sandbox.Receiver
}

// Help is the end of "webhookctl serve --help".
func (*serveCmd) Help() string {
	return `Examples:

    webhookctl serve --dev
    webhookctl serve --addr :8080 --data /var/lib/webhooks
    webhookctl serve --store dynamodb --region eu-west-1 --table-prefix prod- --kms-key alias/prod-webhooks
    webhookctl serve --store dynamodb --dynamodb-endpoint http://127.0.0.1:8000 --sqs-endpoint http://127.0.0.1:5000 --dev

Published events are delivered by the same process. If several processes serve the same SQLite file, one of them delivers, and another one takes over when it stops. With DynamoDB, all processes deliver, through SQS queues that "webhookctl tables create" creates.

Ctrl-C or SIGTERM stops the service after the requests and attempts in flight; a second one stops it immediately. GET /healthz reports its health, GET /metrics returns metrics for Prometheus, and GET /openapi.json describes the API; none of them needs an API key.`
}

// Run serves until a signal arrives.
func (cmd *serveCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := cmd.validate(storage); err != nil {
		return err
	}
	ctx, restore := withSignals(ctx)
	defer restore()
	listener, err := server.Listen(ctx, cmd.Addr)
	if err != nil {
		return err
	}
	defer listener.Close()
	if cmd.Dev {
		if err := storage.claimForDev(); err != nil {
			return err
		}
	}
	s, err := storage.open(ctx, c, create)
	if err != nil {
		return interrupted(ctx, c.log, err)
	}
	return errors.Join(cmd.serve(ctx, c, storage, listener, s), s.close())
}

// serve serves on the listener from the store, and delivers its events.
func (cmd *serveCmd) serve(ctx context.Context, c *console, storage *storageFlags, listener net.Listener, s *opened) error {
	divertStandardLog(c.log)
	r, err := cmd.prepare(ctx, c, storage, s)
	if r.box != nil {
		defer r.box.Close()
	}
	if err != nil {
		return interrupted(ctx, c.log, err)
	}
	cmd.warn(c.log, storage)
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // GOMEMLIMIT is not set
		debug.SetMemoryLimit(memoryLimit)
	}
	if _, ok := os.LookupEnv("GOGC"); !ok {
		debug.SetGCPercent(gcPercent)
	}
	c.log.Info("serving", "addr", listener.Addr().String(), "store", s.place, "version", currentVersion())
	if err := cmd.announce(c, "http://"+listener.Addr().String(), r); err != nil {
		return err
	}
	running, ctx := errgroup.WithContext(ctx)
	running.Go(func() error { return server.Serve(ctx, r.handler, listener, c.log) })
	running.Go(func() error { return r.deliverer.run(ctx) })
	return running.Wait()
}

// announce prints the banner of --dev.
func (cmd *serveCmd) announce(c *console, api string, r runner) error {
	switch {
	case r.box == nil:
		return nil
	case cmd.onReady != nil:
		cmd.onReady(api, r.box)
		return nil
	}
	if err := r.box.WriteBanner(c.out, api); err != nil {
		return fmt.Errorf("writing to stdout: %w", err)
	}
	return nil
}

// interrupted turns a failure to start into a normal exit if a signal caused it.
func interrupted(ctx context.Context, log *slog.Logger, err error) error {
	if ctx.Err() == nil {
		return err
	}
	log.Info("stopped by a signal before the service was ready")
	return nil
}

// runner has the parts that serve runs.
type runner struct {
	handler   http.Handler
	deliverer deliverer
	box       *sandbox.Sandbox // nil without --dev
}

// prepare checks that the store responds, starts the sandbox, and returns the parts to run. The sandbox, which the caller must close,
// is also returned with an error.
func (cmd *serveCmd) prepare(ctx context.Context, c *console, storage *storageFlags, s *opened) (r runner, err error) {
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if cmd.Dev {
		_, err = s.createTables(starting)
	} else {
		err = s.Ping(starting)
	}
	if err != nil {
		return r, storeError(err)
	}
	sealer, err := cmd.TokenKeys.sealer(ctx, c, storage, s)
	if err != nil {
		return r, err
	}
	if cmd.Dev {
		if r.box, err = cmd.startSandbox(starting, c, storage, s, sealer); err != nil {
			return r, storeError(err)
		}
	}
	checker := cmd.checker(c, r.box)
	creator := api.Creator{Store: s, Sealer: sealer, TLS: checker, Quota: cmd.Quota, Now: c.now, Random: c.random}
	if cmd.TLSCheck == tlsCheckOff {
		creator.TLS = endpoint.NoCheck{}
	}
	m := metrics.New()
	if r.deliverer, err = s.newDeliverer(starting, cmd.Delivery.newEngine(c, sealer, checker, m)); err != nil {
		return r, err
	}
	handler, err := server.Handler(cmd.service(c, s), creator, s, r.deliverer, m.Handler())
	r.handler = server.AllowOrigins(handler, cmd.AllowOrigins)
	return r, err
}

func (cmd *serveCmd) service(c *console, s *opened) api.Service {
	return api.Service{
		Keys:     access.NewAuthenticator(s, c.now, c.log),
		Log:      c.log,
		Now:      c.now,
		Random:   c.random,
		Limits:   api.NewLimits(cmd.RateLimit),
		Admitted: server.Admitted,
	}
}

func (cmd *serveCmd) startSandbox(ctx context.Context, c *console, storage *storageFlags, s *opened, sealer seal.Sealer) (*sandbox.Sandbox, error) {
	receiver := cmd.receiver
	if receiver == nil {
		receiver = &sandbox.Receiver{Report: sandbox.Print(c.out)}
	}
	receiver.Now = c.now
	receiver.Tokens = receiverTokens(s, sealer, sandbox.Company)
	return sandbox.Start(ctx, sandbox.Config{
		Dir:      storage.devDir(),
		Store:    s,
		Now:      c.now,
		Random:   c.random,
		Receiver: receiver,
		Log:      c.log,
	})
}

// checker returns the TLS check, with the networks and authorities that the settings add. Deliveries use the same.
func (cmd *serveCmd) checker(c *console, box *sandbox.Sandbox) *endpoint.Checker {
	checker := &endpoint.Checker{RootCAs: cmd.authorities, Now: c.now}
	for _, n := range cmd.AllowNetworks {
		checker.Policy.AllowedNetworks = append(checker.Policy.AllowedNetworks, netip.Prefix(n))
	}
	if box != nil {
		checker.Policy.AllowedNetworks = append(checker.Policy.AllowedNetworks, sandbox.Networks()...)
		checker.RootCAs.AddCert(box.Authority.Certificate())
	}
	if checker.RootCAs.Equal(x509.NewCertPool()) {
		c.log.Warn("this machine trusts no certificate authorities, so the TLS check rejects every webhook: install the package ca-certificates or pass --ca-file")
	}
	return checker
}

// validate rejects settings that cannot work or are not safe, before anything is created. It reads the
// certificate authorities.
func (cmd *serveCmd) validate(storage *storageFlags) error {
	err := cmp.Or(storage.validate(), cmd.TokenKeys.validate(storage), cmd.Delivery.validate(), validateAddr(cmd.Addr), cmd.validateDevelopment(storage))
	if err != nil {
		return err
	}
	if storage.Store == storeDynamoDB && !storage.hasQueues() {
		return errors.New("--dynamodb-endpoint is local, so --sqs-endpoint must be set as well, for example to that of moto: events are delivered through SQS queues")
	}
	if cmd.Quota < 1 {
		return fmt.Errorf("--quota is %d: it must be at least 1", cmd.Quota)
	}
	if cmd.RateLimit < 0 {
		return fmt.Errorf("--rate-limit is %d: it must not be negative", cmd.RateLimit)
	}
	for _, origin := range cmd.AllowOrigins {
		if err := validateOrigin(origin); err != nil {
			return err
		}
	}
	cmd.authorities, err = endpoint.Authorities("--ca-file", cmd.CAFile)
	return err
}

// validateDevelopment rejects settings for local development if other machines could reach the
// service, or if the database may be more than a local one.
func (cmd *serveCmd) validateDevelopment(storage *storageFlags) error {
	loopback, unchecked := isLoopbackAddr(cmd.Addr), cmd.TLSCheck == tlsCheckOff
	inDynamoDB, local := storage.Store == storeDynamoDB, endpoint.LocalOverride(storage.DynamoDBEndpoint)
	switch {
	case unchecked && (inDynamoDB && !local || !inDynamoDB && !cmd.Dev):
		return errors.New("--tls-check off is for local development only: it requires --dev, or --store dynamodb with a local --dynamodb-endpoint")
	case cmd.Dev && !loopback:
		return fmt.Errorf("--dev is for local development only, but other machines could reach --addr %s: use 127.0.0.1 or remove --dev", cmd.Addr)
	case unchecked && !loopback:
		return fmt.Errorf("--tls-check off is for local development only, but other machines could reach --addr %s: use 127.0.0.1 or remove --tls-check", cmd.Addr)
	case cmd.Dev && inDynamoDB && !local:
		return errors.New("--dev creates tables and an API key, so it requires a local database: pass the --dynamodb-endpoint of DynamoDB Local or remove --dev")
	}
	return nil
}

// warn logs the settings that weaken security.
func (cmd *serveCmd) warn(log *slog.Logger, storage *storageFlags) {
	cmd.TokenKeys.warn(log, storage)
	if cmd.TLSCheck == tlsCheckOff {
		log.Warn(endpoint.WarningTLSCheckOff)
	}
	if cmd.CAFile != "" {
		log.Warn(endpoint.WarningAuthorities, "ca_file", cmd.CAFile)
	}
	for _, n := range cmd.AllowNetworks {
		log.Warn(endpoint.WarningNetwork, "network", netip.Prefix(n).String())
	}
	if cmd.Dev {
		log.Warn("development mode: webhooks may reach this machine, and the certificate authority in the data directory is trusted")
	}
	if info, err := os.Stat(storage.Data); err == nil && info.Mode().Perm()&0o022 != 0 {
		log.Warn("other users can write to the data directory, and replace the database and the token key: run chmod 700 on it", "dir", storage.Data)
	}
	if !isLoopbackAddr(cmd.Addr) {
		log.Warn("other machines can reach this address over plain HTTP: put a TLS proxy in front", "addr", cmd.Addr)
	}
}
