package main

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// network is an IP network in CIDR form.
type network netip.Prefix

// UnmarshalText reads a network and refuses one that names an address inside it.
func (n *network) UnmarshalText(text []byte) error {
	trimmed := strings.TrimSpace(string(text))
	prefix, err := netip.ParsePrefix(trimmed)
	if err != nil {
		return fmt.Errorf("%q is no network in CIDR form, such as 10.0.0.0/8 or fd00::/8 (10.1.2.3/32 for one address)", trimmed)
	}
	if prefix != prefix.Masked() {
		return fmt.Errorf("%q is an address inside a network: write %s for the network", trimmed, prefix.Masked())
	}
	*n = network(prefix)
	return nil
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
