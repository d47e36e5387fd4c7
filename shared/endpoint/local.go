package endpoint

import (
	"net/netip"
	"net/url"
	"strings"
)

// LocalOverride reports whether a DynamoDB endpoint, as set by an operator, is local and therefore not AWS. Settings for
// local development, such as switching the TLS check off, are only accepted with a local endpoint.
//
// An endpoint is local if it is an http or https URL whose host is a loopback or private address, "localhost",
// "host.docker.internal" (the machine as seen from a Docker container), or a name without a dot, such as the name of
// another container. No AWS endpoint has such a host. An empty endpoint means AWS and is not local.
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

// isLabel reports whether a host is a single label that begins with a letter. Some resolvers read a number without a dot
// as an address.
func isLabel(host string) bool {
	return host != "" && 'a' <= host[0] && host[0] <= 'z' && !strings.ContainsAny(host, ".:%")
}
