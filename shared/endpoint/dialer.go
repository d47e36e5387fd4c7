package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrLocal means that a lookup or connection failed because of this machine, not the host: it has run out of descriptors, ports or
// memory, or it has no route to any public address. The text of the error contains no address.
var ErrLocal = errors.New("this machine")

// Dialer connects to receivers: both the TLS check and deliveries use it. It looks names up in absolute form, requires
// every address of a host to be allowed, and checks the address again when it connects. It uses no proxy. It is safe for
// concurrent use by multiple goroutines. The zero value reaches all public addresses.
type Dialer struct {
	// Policy decides which addresses may be connected to.
	Policy Policy
	// Resolver looks names up; nil means the name servers of this machine.
	Resolver Resolver
	// Dial connects to a checked address in the form "address:port". Nil means the policy's own dialer, which checks the
	// address again; other values are for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	hostsFile Resolver                   // nil means this machine's hosts file
	hasRoute  func(addr netip.Addr) bool // nil means this machine's routes
}

// Resolve returns the addresses of a URL's host with its port, at least one, in the order in which to try them: alternating
// between IPv6 and IPv4, because one of the two may not work on the path to the host, and last the addresses that this machine has
// no route to. If the policy does not allow all of them, the error is [ErrNotAllowed]. If no name server responds, it is
// [ErrNoNameServer]; if this machine is to blame, [ErrLocal].
func (d *Dialer) Resolve(ctx context.Context, u URL) ([]netip.AddrPort, error) {
	addrs := []netip.Addr{u.addr}
	if !u.addr.IsValid() {
		var err error
		if addrs, err = d.lookUp(ctx, u.host); err != nil {
			return nil, err
		}
	}
	targets := make([]netip.AddrPort, len(addrs))
	for i, addr := range addrs {
		if !d.Policy.Allows(addr) {
			return nil, fmt.Errorf("%w: %s", ErrNotAllowed, addr)
		}
		targets[i] = netip.AddrPortFrom(addr, u.port)
	}
	if len(targets) > 1 {
		d.order(targets)
	}
	return targets, nil
}

// order sorts addresses into the order in which to try them.
func (d *Dialer) order(targets []netip.AddrPort) {
	turns := make(map[bool]int) // for IPv4 and for IPv6
	ranks := make(map[netip.AddrPort]int)
	for _, target := range targets {
		is4 := target.Addr().Is4()
		rank := 2 * turns[is4]
		if is4 {
			rank++
		}
		if !d.routes(target.Addr()) {
			rank += 2 * len(targets)
		}
		turns[is4]++
		ranks[target] = rank
	}
	slices.SortStableFunc(targets, func(a, b netip.AddrPort) int { return ranks[a] - ranks[b] })
}

// Connect connects to an address from [Dialer.Resolve]. It does not rely on that: the dialer's hook checks the address
// that is about to be connected to. The error is [ErrLocal] if this machine is to blame.
func (d *Dialer) Connect(ctx context.Context, target netip.AddrPort) (net.Conn, error) {
	dial := d.Dial
	if dial == nil {
		dial = d.Policy.Dialer().DialContext
	}
	conn, err := dial(ctx, "tcp", target.String())
	if err != nil && d.isLocal(err, target.Addr()) {
		errno, _ := errors.AsType[syscall.Errno](err)
		return nil, fmt.Errorf("%w: %w", ErrLocal, errno)
	}
	return conn, err
}

// Handshake completes a TLS handshake on a connection from [Dialer.Connect], which it closes if it fails. Some middleboxes
// drop a ClientHello that does not fit into one packet, so if the server sends nothing at all within patience, Handshake
// connects to it once more and leaves out the post-quantum key shares, until ctx ends.
func (d *Dialer) Handshake(ctx context.Context, conn net.Conn, target netip.AddrPort, config *tls.Config, patience time.Duration) (*tls.Conn, error) {
	patient, cancel := context.WithCancel(ctx)
	defer cancel()
	heard := &listeningConn{Conn: conn}
	defer time.AfterFunc(patience, func() {
		if !heard.any.Load() {
			cancel()
		}
	}).Stop()
	session, err := handshake(patient, heard, config)
	if err == nil || heard.any.Load() || ctx.Err() != nil {
		return session, err
	}
	small := config.Clone()
	small.CurvePreferences = []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP384, tls.CurveP521}
	conn, err = d.Connect(ctx, target)
	if err != nil {
		return nil, err
	}
	return handshake(ctx, &listeningConn{Conn: conn}, small)
}

// maxChain limits the certificates that a server sends, in bytes. crypto/tls accepts 256 KiB, and keeps them in memory as long as
// the connection and its session.
const maxChain = 32 << 10

// limitChain returns an error if the certificates of a server exceed maxChain.
func limitChain(certificates [][]byte, _ [][]*x509.Certificate) error {
	size := 0
	for _, certificate := range certificates {
		size += len(certificate)
	}
	if size > maxChain {
		return errLongChain
	}
	return nil
}

// handshake closes the connection if it fails.
func handshake(ctx context.Context, conn *listeningConn, config *tls.Config) (*tls.Conn, error) {
	session := tls.Client(conn, config)
	if err := session.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return session, nil
}

// listeningConn notices whether the server sends anything.
type listeningConn struct {
	net.Conn
	any atomic.Bool
}

func (c *listeningConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.any.Store(true)
	}
	return n, err
}

// isLocal reports whether this machine is to blame for a failure to connect to an address.
//
// A machine without IPv6 reports "cannot assign requested address" for an IPv6 address, which otherwise means that its
// ports are used up. So what an error about addresses and routes means depends on the route: if this machine has none to
// the address but reaches the public addresses of the other family, it is a host that cannot be reached from here.
func (d *Dialer) isLocal(err error, addr netip.Addr) bool {
	errno, _ := errors.AsType[syscall.Errno](err)
	switch errno {
	case syscall.EADDRNOTAVAIL:
		return d.routes(addr) || d.isOffline()
	case syscall.ENETUNREACH, syscall.EHOSTUNREACH, syscall.ENETDOWN, syscall.EAFNOSUPPORT:
		return !d.routes(addr) && d.isOffline()
	}
	return isExhausted(errno)
}

// isExhausted reports whether this machine has run out of descriptors, memory or ports.
func isExhausted(errno syscall.Errno) bool {
	return slices.Contains([]syscall.Errno{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EAGAIN, syscall.EADDRINUSE,
	}, errno)
}

// isOffline reports whether this machine has no route to public addresses. The two are examples; nothing is sent to them.
func (d *Dialer) isOffline() bool {
	return !d.routes(netip.MustParseAddr("192.0.32.8")) && !d.routes(netip.MustParseAddr("2620:0:2d0:200::8"))
}

// routes reports whether this machine has a route to an address, and an address of its own to send from. Connecting a
// UDP socket finds that out without sending anything.
func (d *Dialer) routes(addr netip.Addr) bool {
	if d.hasRoute != nil {
		return d.hasRoute(addr)
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(addr, 443)))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
