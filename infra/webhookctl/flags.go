package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"webhooks/shared/endpoint"
)

// network is an IP network in CIDR form.
type network netip.Prefix

// UnmarshalText reads what endpoint.ParseNetwork takes.
func (n *network) UnmarshalText(text []byte) error {
	prefix, err := endpoint.ParseNetwork(strings.TrimSpace(string(text)))
	*n = network(prefix)
	return err
}

// lifetime is how long something is to last, more than nothing.
type lifetime time.Duration

// UnmarshalText reads a duration as time.ParseDuration does.
func (l *lifetime) UnmarshalText(text []byte) error {
	d, err := time.ParseDuration(string(text))
	if err != nil {
		return fmt.Errorf("%q is no duration: write hours, minutes or seconds, such as 720h for 30 days", text)
	}
	if d < time.Millisecond {
		return errors.New("it must be longer than nothing, such as 720h for 30 days")
	}
	*l = lifetime(d)
	return nil
}
