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

// healthCmd is "webhookctl health".
type healthCmd struct {
	Addr string `env:"WEBHOOKS_ADDR" default:"127.0.0.1:3000" placeholder:"HOST:PORT" help:"Address that the service listens on, as given to serve. Without a host, or with one that stands for all addresses, it is asked on loopback."`
}

// Help is the end of "webhookctl health --help".
func (*healthCmd) Help() string {
	return `It ends with 0 when the service works and its database answers, otherwise with 1.

Examples:

    webhookctl health
    webhookctl health --addr :8080`
}

// Run asks /healthz.
func (cmd *healthCmd) Run(ctx context.Context, c *console) error {
	if err := validateAddr(cmd.Addr); err != nil {
		return err
	}
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
