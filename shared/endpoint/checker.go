package endpoint

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"time"

	"webhooks/shared/webhook"
)

// DefaultTimeout limits a TLS check, from the DNS lookup to the end of the handshake.
const DefaultTimeout = 5 * time.Second

// Checker checks the TLS certificate of the host behind a URL. It is safe for concurrent use by
// multiple goroutines.
type Checker struct {
	// Policy decides which addresses may be connected to.
	Policy Policy
	// Resolver is required.
	Resolver Resolver
	// RootCAs are the trusted authorities; nil means the system's.
	RootCAs *x509.CertPool
	// Timeout limits the whole check; zero means [DefaultTimeout].
	Timeout time.Duration
	// Now returns the time at which certificates must be valid. It is required.
	Now func() time.Time
	// Dial connects to a checked address in the form "address:port". Nil means the policy's own dialer, which checks the
	// address again; other values are for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	hostsFile Resolver // nil means this machine's hosts file
}

// CheckTLS resolves the host and, if the policy allows all of its addresses, completes a TLS handshake with the first
// one. The certificate must chain to a trusted authority, be issued for the host, and be valid now, over TLS 1.2 or
// newer. CheckTLS tries no other address, uses no proxy, and sends nothing over the connection. The first address is the
// right one because resolvers sort addresses by what this machine has a route to (RFC 6724): IPv6 comes first only if
// IPv6 works.
//
// If the host fails the check, the error is of kind webhook.KindInvalid. Its message says what the handshake showed. For
// everything else (unknown name, no response, not a public address) it is always the same sentence, because the
// difference would reveal what exists in a private network. The time taken is not evened out. The error's cause is for
// the log and contains no name or address.
//
// If ctx ends first, or this machine has run out of descriptors or ports, the host is not to blame and the error is of
// kind webhook.KindUnavailable.
func (c *Checker) CheckTLS(ctx context.Context, u URL) error {
	now := c.Now()
	limited, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, DefaultTimeout))
	defer cancel()
	err := c.handshake(limited, u, now)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return webhook.Unavailable(fmt.Errorf("checking TLS: %w", context.Cause(ctx)))
	default:
		return failure(err, now)
	}
}

func (c *Checker) handshake(ctx context.Context, u URL, now time.Time) error {
	addr, err := c.resolve(ctx, u)
	if err != nil {
		return err
	}
	conn, err := c.connect(ctx, net.JoinHostPort(addr.String(), strconv.Itoa(int(u.port))))
	if err != nil {
		return err
	}
	session := tls.Client(conn, &tls.Config{
		ServerName: u.host, // if it is an address, no name is sent, and the certificate must contain the address
		MinVersion: tls.VersionTLS12,
		RootCAs:    c.RootCAs,
		Time:       func() time.Time { return now },
	})
	defer session.Close()
	return session.HandshakeContext(ctx)
}

// connect does not rely on the address having been checked: the dialer's hook checks the one that is about to be
// connected to.
func (c *Checker) connect(ctx context.Context, address string) (net.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = c.Policy.Dialer().DialContext
	}
	return dial(ctx, "tcp", address)
}

// resolve returns the address to connect to: the host itself if it is an address, or else the first address of its name.
// It returns an error unless the policy allows all of them.
func (c *Checker) resolve(ctx context.Context, u URL) (netip.Addr, error) {
	addrs := []netip.Addr{u.addr}
	if !u.addr.IsValid() {
		var err error
		if addrs, err = c.lookUp(ctx, u.host); err != nil {
			return netip.Addr{}, err
		}
	}
	for _, addr := range addrs {
		if !c.Policy.Allows(addr) {
			return netip.Addr{}, fmt.Errorf("%w: %s", ErrNotAllowed, addr)
		}
	}
	return addrs[0], nil
}

// NoCheck accepts every host without a check. It is only for local development.
type NoCheck struct{}

// CheckTLS accepts the URL.
func (NoCheck) CheckTLS(context.Context, URL) error { return nil }
