package endpoint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// ErrNoNameServer means that a name could not be looked up because none of this machine's name servers responds.
var ErrNoNameServer = errors.New("no name server responds")

const (
	lookupTimeout = 4 * time.Second // for one record type, so that a second remains to test the name server
	probeTimeout  = 900 * time.Millisecond
	// familyPatience is how long to wait for the other record type once one has returned addresses.
	familyPatience = 300 * time.Millisecond
)

// Resolver returns the addresses of a name. [net.Resolver] is one.
type Resolver interface {
	// LookupNetIP is called with network "ip4" or "ip6" and a host in absolute form, with a final dot. Without the dot, a
	// single-label name would be tried in this machine's search domains, and customers could find out which hosts exist
	// there.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// lookUp returns the addresses of a name, at least one. net.Resolver finds single-label names such as localhost in the
// hosts file only without the final dot, so for these it reads the hosts file first, without a name server.
func (d *Dialer) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	if !strings.Contains(host, ".") {
		file := d.hostsFile
		if file == nil {
			file = hostsFile()
		}
		if addrs, err := file.LookupNetIP(ctx, "ip", host); err == nil && len(addrs) > 0 {
			return unmapped(addrs), nil
		}
	}
	return d.lookUpBoth(ctx, host+".")
}

// lookUpBoth looks up IPv4 and IPv6 addresses at the same time. Some name servers ignore one of the two.
func (d *Dialer) lookUpBoth(ctx context.Context, name string) ([]netip.Addr, error) {
	var resolver Resolver = nameServers{}
	if d.Resolver != nil {
		resolver = d.Resolver
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type result struct {
		addrs []netip.Addr
		err   error
	}
	results := make(chan result, 2)
	for _, network := range []string{"ip4", "ip6"} {
		go func() {
			addrs, err := resolver.LookupNetIP(ctx, network, name)
			results <- result{addrs, err}
		}()
	}
	var found []netip.Addr
	var failures []error
	for range cap(results) {
		switch r := <-results; {
		case r.err != nil:
			failures = append(failures, r.err)
		case len(r.addrs) > 0:
			found = append(found, unmapped(r.addrs)...)
			defer time.AfterFunc(familyPatience, cancel).Stop()
		}
	}
	if len(found) == 0 {
		return nil, errors.Join(append(failures, errors.New("the name has no address"))...)
	}
	return found, nil
}

// unmapped returns the addresses without the IPv4-mapped form, in which net.Resolver returns IPv4 addresses.
func unmapped(addrs []netip.Addr) []netip.Addr {
	list := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		list[i] = addr.Unmap()
	}
	return list
}

// nameServers is the [Resolver] that asks this machine's name servers. It uses Go's own resolver, which reports whether a
// name exists.
type nameServers struct {
	address string        // instead of the configured name servers, for tests
	timeout time.Duration // instead of lookupTimeout, for tests
}

// LookupNetIP returns [ErrNoNameServer] if the lookup fails, and the name servers do not respond to a query for the root
// zone either: a domain with broken name servers must not look like a broken network. If this machine has run out of
// descriptors, the error is [ErrLocal].
func (n nameServers) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	var exhausted atomic.Pointer[syscall.Errno] // why this machine could not send a query
	r := &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if n.address != "" {
			address = n.address
		}
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		if errno, _ := errors.AsType[syscall.Errno](err); isExhausted(errno) {
			exhausted.Store(&errno)
		}
		return conn, err
	}}
	limited, cancel := context.WithTimeout(ctx, cmp.Or(n.timeout, lookupTimeout))
	defer cancel()
	addrs, err := r.LookupNetIP(limited, network, host)
	switch {
	case err == nil || isNotFound(err) || ctx.Err() != nil:
		return addrs, err
	case exhausted.Load() != nil:
		return nil, fmt.Errorf("%w: %w", ErrLocal, *exhausted.Load())
	}
	probing, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if _, probeErr := r.LookupNS(probing, "."); probeErr != nil && !isNotFound(probeErr) && ctx.Err() == nil {
		return nil, fmt.Errorf("%w: %w", ErrNoNameServer, probeErr)
	}
	return nil, err
}

// isNotFound reports whether a name server responded that there is no such name, or no address of the wanted type.
func isNotFound(err error) bool {
	e, ok := errors.AsType[*net.DNSError](err)
	_, otherType := errors.AsType[*net.AddrError](err)
	return ok && e.IsNotFound || otherType
}

const noNameServer = "not in the hosts file, and no name server is used"

// hostsFile returns a resolver that reads this machine's hosts file and uses no name server.
func hostsFile() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New(noNameServer)
	}}
}
