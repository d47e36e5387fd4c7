package endpoint

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
)

// Resolver finds the addresses of a name, the most suitable first; [net.Resolver] does.
type Resolver interface {
	// LookupNetIP is called with network "ip" and a host in its absolute form, with a final dot. Without
	// it, a name of one label would be tried in the search domains of this machine, and customers could
	// tell which hosts there are.
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// lookUp gives the addresses of a name, at least one.
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
		unmapped[i] = addr.Unmap() // net.Resolver writes IPv4 addresses as IPv4-mapped ones
	}
	return unmapped, nil
}

// find looks a name up as an absolute one, with a final dot. In the hosts file net.Resolver finds a name of
// one label, such as localhost, only without that dot: so that file is asked first, and no name server.
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

const noNameServer = "no name server is asked for what is not in the hosts file"

// hostsFile finds the names of this machine's hosts file and asks no name server.
func hostsFile() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New(noNameServer)
	}}
}
