package endpoint

import (
	"net/netip"
	"net/url"
	"strings"
)

// LocalOverride reports whether a DynamoDB endpoint, as an operator sets it, is one on this machine
// or beside it, and so not AWS. Settings that only suit a trial, such as leaving the TLS check out,
// are accepted beside such an endpoint alone.
//
// Local is an http or https URL whose host is a loopback or private address, "localhost",
// "host.docker.internal" (the machine, seen from a container of Docker) or a name without a dot,
// such as that of a neighbouring container. No endpoint of AWS has such a name. An empty endpoint,
// which stands for AWS, is not local.
func LocalOverride(endpoint string) bool {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		return false
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		addr = addr.Unmap()
		return addr.IsLoopback() || addr.IsPrivate()
	}
	return host == "host.docker.internal" || isLabel(host)
}

// isLabel reports whether a host is one label that begins with a letter: a number without a dot is
// another spelling of an address to some resolvers.
func isLabel(host string) bool {
	return host != "" && 'a' <= host[0] && host[0] <= 'z' && !strings.ContainsAny(host, ".:%")
}
