package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"webhooks/infra/webhookctl/sandbox"
)

// startTimeout is how long the database may take to answer before serve gives up.
const startTimeout = 10 * time.Second

// serveCmd is "webhookctl serve".
type serveCmd struct {
	Addr          string        `env:"WEBHOOKS_ADDR" default:"127.0.0.1:3000" placeholder:"HOST:PORT" help:"Where to listen for HTTP. Port 0 takes a free one, an empty host all addresses of this machine."`
	Dev           bool          `env:"WEBHOOKS_DEV" help:"Try it out, on this machine alone: adds event types, an API key, a receiver and curl lines that work."`
	Quota         int           `env:"WEBHOOKS_QUOTA" default:"1000" placeholder:"N" help:"How many webhooks a company may have."`
	TokenKeys     tokenKeyFlags `embed:"" set:"token_key_made=, made when missing unless there are webhooks already"`
	TLSCheck      string        `name:"tls-check" env:"WEBHOOKS_TLS_CHECK" default:"enforce" enum:"enforce,off" help:"Check of the certificate and address behind a new webhook's URL: enforce or off. Off is for trying out alone, on a loopback --addr: with --dev, or beside a local --dynamodb-endpoint."`
	CAFile        string        `name:"ca-file" env:"WEBHOOKS_CA_FILE" placeholder:"FILE" help:"Certificate authorities (PEM) to trust in that check besides the system's."`
	AllowNetworks []network     `name:"allow-network" env:"WEBHOOKS_ALLOW_NETWORKS" placeholder:"CIDR" help:"Networks that webhooks may be in although they are not public. May be given several times."`

	authorities *x509.CertPool // the system's and those of CAFile, once the settings are validated
}

// Help is the end of "webhookctl serve --help".
func (*serveCmd) Help() string {
	return `Examples:

    webhookctl serve --dev
    webhookctl serve --addr :8080 --data /var/lib/webhooks
    webhookctl serve --store dynamodb --region eu-west-1 --table-prefix prod- --kms-key alias/prod-webhooks
    webhookctl serve --store dynamodb --dynamodb-endpoint http://127.0.0.1:8000 --dev

SIGTERM or Ctrl-C ends it when the requests in flight are answered, a second one at once. GET /healthz tells whether it works and GET /openapi.json describes the API; neither needs an API key.`
}

// Run serves until a signal comes.
func (cmd *serveCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := cmd.validate(storage); err != nil {
		return err
	}
	ctx, restoreSignals := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer restoreSignals()
	context.AfterFunc(ctx, restoreSignals) // so that a second signal ends the process

	listener, err := listen(ctx, cmd.Addr, cmd.Dev)
	if err != nil {
		return err
	}
	s, err := cmd.openStore(ctx, c, storage)
	if err != nil {
		return errors.Join(interrupted(ctx, c.log, err), listener.Close())
	}
	return errors.Join(cmd.serve(ctx, c, storage, listener, s), s.close())
}

// interrupted makes of a failure to start the quiet end that it is when a signal came meanwhile.
func interrupted(ctx context.Context, log *slog.Logger, err error) error {
	if err == nil || ctx.Err() == nil {
		return err
	}
	log.Info("stopped by a signal before it was ready")
	return nil
}

// openStore opens the store and sees that it answers.
func (cmd *serveCmd) openStore(ctx context.Context, c *console, storage *storageFlags) (*opened, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s, err := storage.open(ctx, c, create)
	if err != nil {
		return nil, err
	}
	if cmd.Dev {
		err = s.createTables(ctx)
	}
	if err == nil {
		err = s.Ping(ctx)
	}
	if err != nil {
		return nil, errors.Join(storeError(err), s.close())
	}
	return s, nil
}

// serve puts everything together and serves on the listener, which it closes.
func (cmd *serveCmd) serve(ctx context.Context, c *console, storage *storageFlags, listener net.Listener, s *opened) error {
	box, err := cmd.startSandbox(ctx, c, storage, s)
	if err != nil {
		return errors.Join(interrupted(ctx, c.log, err), listener.Close())
	}
	if box != nil {
		defer func() { _ = box.Close() }()
	}
	handler, err := service{cmd: cmd, console: c, storage: storage, store: s, sandbox: box}.handler(ctx)
	if err != nil {
		return errors.Join(interrupted(ctx, c.log, err), listener.Close())
	}
	cmd.warn(c.log, storage)
	c.log.Info("serving", "addr", listener.Addr().String(), "store", s.place, "version", currentVersion())
	if box != nil {
		if err := box.WriteBanner(c.out, "http://"+listener.Addr().String()); err != nil {
			return errors.Join(fmt.Errorf("writing to stdout: %w", err), listener.Close())
		}
	}
	return serveUntil(ctx, newServer(handler, c.log), listener, c.log)
}

// startSandbox starts what --dev adds; without it there is none.
func (cmd *serveCmd) startSandbox(ctx context.Context, c *console, storage *storageFlags, s *opened) (*sandbox.Sandbox, error) {
	if !cmd.Dev {
		return nil, nil
	}
	if err := storage.makeDataDir(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	box, err := sandbox.Start(ctx, sandbox.Config{
		Dir:    filepath.Join(storage.Data, "dev"),
		Store:  s,
		Now:    c.now,
		Random: c.random,
		Out:    c.out,
		Log:    c.log,
	})
	return box, storeError(err)
}
