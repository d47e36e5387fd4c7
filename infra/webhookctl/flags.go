package main

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

// network is an IP network in CIDR form.
type network netip.Prefix

// UnmarshalText accepts what [endpoint.ParseNetwork] does.
func (n *network) UnmarshalText(text []byte) error {
	prefix, err := endpoint.ParseNetwork(strings.TrimSpace(string(text)))
	*n = network(prefix)
	return err
}

// lifetime is a duration of at least a millisecond.
type lifetime time.Duration

// UnmarshalText accepts what [time.ParseDuration] does, with or without days in front: 30d, 12h, 1d12h.
func (l *lifetime) UnmarshalText(text []byte) error {
	d, err := parseLifetime(string(text))
	if err != nil {
		return fmt.Errorf("%q is not a valid duration: use days, hours, minutes or seconds, for example 30d or 12h", text)
	}
	if d < time.Millisecond {
		return errors.New("it must be positive, for example 30d or 12h")
	}
	*l = lifetime(d)
	return nil
}

func parseLifetime(text string) (time.Duration, error) {
	const day = 24 * time.Hour
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 64)
	if err != nil || n > uint64(math.MaxInt64/day) {
		return 0, errors.New("not a number of days")
	}
	if rest == "" {
		return time.Duration(n) * day, nil
	}
	d, err := time.ParseDuration(rest)
	total := time.Duration(n)*day + d
	if err == nil && (d < 0 || total < d) {
		err = errors.New("negative or too long")
	}
	return total, err
}

func validateCompany(company string) error {
	if !webhook.ValidCompany(company) {
		return fmt.Errorf("--company %q is not a valid company ID: use 1 to %d letters, digits, _ and -", company, webhook.MaxCompanyLength)
	}
	return nil
}

// optionalCompany returns the company that a flag names, or an empty string, which stands for all companies, if the flag is not
// set. One that is set to nothing, for example from an empty variable of a script, is an error.
func optionalCompany(flag *string) (company string, err error) {
	if flag == nil {
		return "", nil
	}
	return *flag, validateCompany(*flag)
}

// validateEndpoint checks that endpoint is the base URL of a service.
func validateEndpoint(flag, endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("%s must be a URL with only a scheme, a host and a port, for example http://127.0.0.1:8000", flag)
	}
	return nil
}

// validateOrigin checks that origin has the form in which browsers send it. To the CORS library, a * would be a wildcard.
func validateOrigin(origin string) error {
	u, err := url.Parse(origin)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || origin != u.Scheme+"://"+u.Host ||
		strings.Contains(origin, "*") {
		return fmt.Errorf("--allowed-origins %q is not an origin: use only a scheme, a host and, if it is not the default, a port, for example https://console.example.com", origin)
	}
	return nil
}

// validateAddr checks the form of an address to listen on, not whether this machine has it.
func validateAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("--addr %q is not a valid listen address: use host:port, for example 127.0.0.1:3000", addr)
	}
	return nil
}

// isLoopbackAddr reports whether only this machine can reach host:port.
func isLoopbackAddr(hostPort string) bool {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}
