package main

import (
	"context"
	"fmt"
	"time"

	"webhooks/infra/webhookctl/server"
)

// healthInterval is how long --wait pauses between two checks.
const healthInterval = 200 * time.Millisecond

// healthCmd is "webhookctl health".
type healthCmd struct {
	Addr string        `env:"WEBHOOKS_ADDR" default:"127.0.0.1:3000" help:"Address that the service listens on, as passed to serve. If it has no host, or 0.0.0.0 or ::, the check connects to loopback."`
	Wait time.Duration `env:"WEBHOOKS_WAIT" default:"0s" help:"How long to wait for the service to become healthy, for example 30s. By default, check once."`
}

// Help is the end of "webhookctl health --help".
func (*healthCmd) Help() string {
	return `Exits with status 0 if the service and its database respond, and with 1 otherwise.

Examples:

    webhookctl health
    webhookctl health --addr :8080
    webhookctl health --wait 30s`
}

// Run checks /healthz until the service is healthy or cmd.Wait is over. The last check may take longer,
// so that the error says what is wrong with the service.
func (cmd *healthCmd) Run(ctx context.Context, c *console) error {
	if err := validateAddr(cmd.Addr); err != nil {
		return err
	}
	if cmd.Wait < 0 {
		return fmt.Errorf("--wait is %v: it must not be negative", cmd.Wait)
	}
	waiting, cancel := context.WithTimeout(ctx, cmd.Wait)
	defer cancel()
	for {
		err := server.CheckHealth(ctx, cmd.Addr)
		if err == nil {
			_, err = fmt.Fprintf(c.out, "The service on %s is healthy.\n", cmd.Addr)
			return err
		}
		select {
		case <-waiting.Done():
			return err
		case <-time.After(healthInterval):
		}
	}
}
