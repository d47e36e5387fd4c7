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

// DefaultTimeout is how long a TLS check may take in all, from the name to the end of the handshake.
const DefaultTimeout = 5 * time.Second

// Checker checks the TLS certificate of the host behind a URL. It may be used from many goroutines.
type Checker struct {
	// Policy says which addresses may be connected to.
	Policy Policy
	// Resolver is required.
	Resolver Resolver
	// RootCAs are the authorities trusted; nil means those of the system.
	RootCAs *x509.CertPool
	// Timeout is for the whole check; zero means [DefaultTimeout].
	Timeout time.Duration
	// Now tells at what time certificates must be valid. It is required.
	Now func() time.Time
	// Dial connects to an address that was checked, written "address:port". Nil means the policy's
	// own dialer, which checks it once more; anything else is for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	hostsFile Resolver // nil means this machine's
}

// CheckTLS resolves the host, and if the policy allows every one of its addresses, makes a TLS
// handshake with the first. The certificate must chain to a trusted authority, be for the host and be
// valid now, over TLS 1.2 or newer. No other address is tried, no proxy used, and nothing sent over the
// connection. The first address is the right one since resolvers order them by what this machine has a
// route to (RFC 6724): an IPv6 address comes first only where IPv6 works.
//
// A host that fails is an error of kind webhook.KindInvalid. Its message tells what a handshake showed;
// of all else, whether there is no such name, no answer or no public address, it is the same sentence, so
// that nobody can explore a network with it. The time it takes is that of the look-up and the
// handshake and is not evened out. The error's cause is for the log: what happened, in words that
// hold no name or address.
//
// When ctx ends first, or this machine has no descriptor or port left, that says nothing of the host,
// and the error is of kind webhook.KindUnavailable.
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
		ServerName: u.host, // for an address this sends no name, and its certificate must have the address
		MinVersion: tls.VersionTLS12,
		RootCAs:    c.RootCAs,
		Time:       func() time.Time { return now },
	})
	defer session.Close()
	return session.HandshakeContext(ctx)
}

// connect does not rely on the address having been checked: the dialer's hook sees the one that is
// about to be connected to.
func (c *Checker) connect(ctx context.Context, address string) (net.Conn, error) {
	dial := c.Dial
	if dial == nil {
		dial = c.Policy.Dialer().DialContext
	}
	return dial(ctx, "tcp", address)
}

// resolve gives the address to connect to: the host itself where it is an address, or else the first
// of those that its name has. It fails unless the policy allows all of them.
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

// NoCheck stands in for a [Checker] where every host is accepted unseen. It is for trying the service
// with a local database alone.
type NoCheck struct{}

// CheckTLS accepts the URL.
func (NoCheck) CheckTLS(context.Context, URL) error { return nil }
