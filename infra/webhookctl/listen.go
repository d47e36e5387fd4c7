package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"webhooks/infra/webhookctl/sandbox"
)

// listenCmd is "webhookctl listen".
type listenCmd struct {
	Addr   string        `default:"127.0.0.1:4000" help:"Listen address for HTTPS, on loopback or, so that Docker containers can reach it, 0.0.0.0. Port 0 picks a free port."`
	Token  string        `env:"WEBHOOKS_TOKEN" placeholder:"TOKEN" help:"Token of the webhook (whsec_...), to verify signatures. Other users of this machine can see it as an argument, so prefer the variable."`
	Status int           `default:"204" help:"Status to respond with."`
	Delay  time.Duration `default:"0s" help:"How long to wait before each response, for example 2s."`
	Fail   int           `default:"0" help:"How many attempts of each event to fail first, with status 500."`
}

// Help is the end of "webhookctl listen --help".
func (*listenCmd) Help() string {
	return `Receives events over HTTPS on this machine, on any path, and prints each request: its headers, its body, whether its signature is valid, and how long after the event it arrived. Signatures are verified by the Standard Webhooks library.

Its certificate comes from the certificate authority in --data that "serve --dev" trusts. Any other service on this machine needs the flags --ca-file and --allow-network, which this command prints at startup.

Examples:

    webhookctl listen
    WEBHOOKS_TOKEN=whsec_... webhookctl listen --fail 2 --delay 500ms
    webhookctl listen --status 410`
}

// Run receives webhooks until a signal arrives.
func (cmd *listenCmd) Run(ctx context.Context, c *console, storage *storageFlags) error {
	if err := cmp.Or(storage.validate(), cmd.validate()); err != nil {
		return err
	}
	if err := storage.claimForDev(); err != nil {
		return err
	}
	ctx, restore := withSignals(ctx)
	defer restore()
	authority, err := sandbox.LoadOrCreateAuthority(storage.devDir(), c.now())
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cmd.Addr)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: pass another address with --addr: %w", cmd.Addr, err)
	}
	server, err := authority.Serve(listener, cmd.receiver(c), c.log)
	if err != nil {
		return err
	}
	url, sender, networks := server.URL, `A service started with "serve --dev" and the same --data accepts this URL. Start any other service with`, "127.0.0.0/8"
	if !isLoopbackAddr(cmd.Addr) {
		url = fmt.Sprintf("https://%s:%d", sandbox.ContainerHost, listener.Addr().(*net.TCPAddr).Port)
		sender, networks = "Start a service in a container with", "172.16.0.0/12"
	}
	fmt.Fprintf(c.err, "Receiving events at %s, on any path. Press Ctrl-C to stop.\n%s\n  webhookctl serve --allow-network %s --ca-file %s\n",
		url, sender, networks, filepath.Join(storage.devDir(), sandbox.AuthorityFile))
	<-ctx.Done()
	return server.Close()
}

func (cmd *listenCmd) validate() error {
	if err := validateAddr(cmd.Addr); err != nil {
		return err
	}
	if host, _, _ := net.SplitHostPort(cmd.Addr); !isLoopbackAddr(cmd.Addr) && host != "0.0.0.0" {
		return fmt.Errorf("--addr %s is not a loopback address: use 127.0.0.1, or 0.0.0.0 to receive from Docker containers, too", cmd.Addr)
	}
	if _, err := standardwebhooks.NewWebhook(cmd.Token); err != nil || cmd.Token != "" && !strings.HasPrefix(cmd.Token, "whsec_") {
		return errors.New("--token is not a webhook's token: it begins with whsec_, followed by base64")
	}
	switch {
	case cmd.Status < 200 || cmd.Status > 599:
		return fmt.Errorf("--status is %d: it must be a status code from 200 to 599", cmd.Status)
	case cmd.Delay < 0:
		return fmt.Errorf("--delay is %v: it must not be negative", cmd.Delay)
	case cmd.Fail < 0:
		return fmt.Errorf("--fail is %d: it must not be negative", cmd.Fail)
	}
	return nil
}

func (cmd *listenCmd) receiver(c *console) *sandbox.Receiver {
	receiver := &sandbox.Receiver{
		Now:    c.now,
		Delay:  cmd.Delay,
		Report: sandbox.Print(c.out),
		Respond: func(r sandbox.Received) int {
			if r.Attempt > 0 && r.Attempt <= cmd.Fail {
				return http.StatusInternalServerError
			}
			return cmd.Status
		},
	}
	if cmd.Token != "" {
		receiver.Tokens = func(context.Context, string) ([]string, error) { return []string{cmd.Token}, nil }
	}
	return receiver
}
