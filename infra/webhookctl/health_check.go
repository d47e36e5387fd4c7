package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// healthTimeout is how long the service may take to answer: longer than it waits for its store.
const healthTimeout = 2 * pingTimeout

// healthInterval is how long to wait after one answer before asking again.
const healthInterval = 200 * time.Millisecond

// healthCmd is "webhookctl health".
type healthCmd struct {
	Addr string        `env:"WEBHOOKS_ADDR" default:"127.0.0.1:3000" placeholder:"HOST:PORT" help:"Address that the service listens on, as given to serve. Without a host, or with one that stands for all addresses, it is asked on loopback."`
	Wait time.Duration `env:"WEBHOOKS_WAIT" default:"0s" placeholder:"DURATION" help:"How long to go on asking a service that does not work yet, such as 30s. Without it, it is asked once."`
}

// Help is the end of "webhookctl health --help".
func (*healthCmd) Help() string {
	return `It ends with 0 when the service works and its database answers, otherwise with 1.

Examples:

    webhookctl health
    webhookctl health --addr :8080
    webhookctl health --wait 30s`
}

// Run asks /healthz until it is well, or until cmd.Wait is over.
func (cmd *healthCmd) Run(ctx context.Context, c *console) error {
	if err := validateAddr(cmd.Addr); err != nil {
		return err
	}
	if cmd.Wait < 0 {
		return fmt.Errorf("--wait is %v: it must not be less than 0s", cmd.Wait)
	}
	waiting, cancel := context.WithTimeout(ctx, cmd.Wait)
	defer cancel()
	for {
		err := cmd.ask(ctx, c)
		if err == nil {
			return nil
		}
		select {
		case <-waiting.Done():
			return err
		case <-time.After(healthInterval):
		}
	}
}

// ask asks once, whatever is left of cmd.Wait, so that an error says what is wrong with the service.
func (cmd *healthCmd) ask(ctx context.Context, c *console) error {
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	address := reachable(cmd.Addr)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/healthz", nil)
	if err != nil {
		return err
	}
	began := c.now()
	answer, err := (&http.Transport{}).RoundTrip(request) // directly: without a proxy, following nothing
	if err != nil {
		return fmt.Errorf("the service does not answer on %s: check that it runs, and --addr: %w", address, err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusOK:
		_, err = fmt.Fprintf(c.out, "The service on %s works (%v).\n", address, c.now().Sub(began).Round(time.Millisecond))
		return err
	case http.StatusServiceUnavailable:
		return fmt.Errorf("the service on %s runs, but its database does not answer: see its log", address)
	}
	return fmt.Errorf("what answers on %s with status %d is not this service: check --addr", address, answer.StatusCode)
}

// reachable gives an address to connect to for one to listen on.
func reachable(hostPort string) string {
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return hostPort
	}
	addr, err := netip.ParseAddr(host)
	switch {
	case host == "", err == nil && addr.Unmap() == netip.IPv4Unspecified():
		host = "127.0.0.1"
	case err == nil && addr.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port)
}
