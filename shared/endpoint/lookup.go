package endpoint

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
)

// Resolver returns the addresses of a name, the most suitable first. [net.Resolver] is one.
type Resolver interface {
	// LookupNetIP is called with network "ip" and a host in absolute form, with a final dot. Without the dot, a
	// single-label name would be tried in this machine's search domains, and customers could find out which hosts exist
	// there.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// lookUp returns the addresses of a name, at least one.
func (c *Checker) lookUp(ctx context.Context, host string) ([]netip.Addr, error) {
	addrs, err := c.find(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(addrs) == 0 {
		return nil, errors.New("the name has no address")
	}
	unmapped := make([]netip.Addr, len(addrs))
	for i, addr := range addrs {
		unmapped[i] = addr.Unmap() // net.Resolver returns IPv4 addresses in IPv4-mapped form
	}
	return unmapped, nil
}

// find looks a name up in absolute form, with a final dot. net.Resolver finds single-label names such as localhost in the
// hosts file only without the dot, so for these it reads the hosts file first, without a name server.
func (c *Checker) find(ctx context.Context, host string) ([]netip.Addr, error) {
	if !strings.Contains(host, ".") {
		file := c.hostsFile
		if file == nil {
			file = hostsFile()
		}
		if addrs, err := file.LookupNetIP(ctx, "ip", host); err == nil && len(addrs) > 0 {
			return addrs, nil
		}
	}
	return c.Resolver.LookupNetIP(ctx, "ip", host+".")
}

const noNameServer = "not in the hosts file, and no name server is used"

// hostsFile returns a resolver that reads this machine's hosts file and uses no name server.
func hostsFile() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New(noNameServer)
	}}
}
