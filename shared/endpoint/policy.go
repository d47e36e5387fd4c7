package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"syscall"

	"code.dny.dev/ssrf"
)

// ErrNotAllowed means that no connection was attempted, because the address is neither public nor in an allowed network.
var ErrNotAllowed = errors.New("the address is not public")

// Policy decides which addresses the service may connect to on behalf of a customer. The zero value only allows public
// addresses.
type Policy struct {
	// AllowedNetworks are allowed although they are not public, for receivers in one's own network. An IPv4 network does
	// not apply to IPv6 addresses, and vice versa.
	AllowedNetworks []netip.Prefix
}

// The prefix lengths of the widest networks that may be allowed, 10.0.0.0/8 and fc00::/7.
const (
	widestIPv4 = 8
	widestIPv6 = 7
)

// ParseNetwork parses a network for [Policy] in CIDR form. It rejects an address in a network, and networks so wide that
// they contain public and private addresses, such as 0.0.0.0/0: webhooks could then reach this machine and cloud
// metadata. The error is for the operator.
func ParseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(strings.TrimSpace(text))
	widest := widestIPv6
	if network.Addr().Is4() {
		widest = widestIPv4
	}
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is not a network in CIDR form, for example 10.0.0.0/8 or fd00::/8 (10.1.2.3/32 for one address)", text)
	case network != network.Masked():
		return netip.Prefix{}, fmt.Errorf("%q is an address in a network: use %s for the network", text, network.Masked())
	case network.Bits() < widest:
		return netip.Prefix{}, fmt.Errorf("%q is too wide: webhooks could reach this machine; list only your receivers' networks, /%d or smaller", text, widest)
	}
	return network, nil
}

// Allows reports whether an address may be connected to, because it is public or in an allowed network.
//
// All special-purpose addresses of IANA's registries (loopback, private, link-local and with it cloud metadata, shared,
// multicast, documentation, benchmarking, reserved, broadcast, unspecified), all of IPv6 outside 2000::/3, and Azure's
// metadata address are not public.
//
// IPv6 addresses that contain an IPv4 address (mapped, compatible, translated, NAT64, 6to4, Teredo) and addresses with a
// zone are never allowed, whatever the allowed networks: a wide IPv6 network must not give access to IPv4 addresses. The
// exception is for machines that reach IPv4 only through DNS64: if the well-known NAT64 prefix 64:ff9b::/96 is allowed,
// its addresses are treated as the IPv4 address they contain.
func (p Policy) Allows(addr netip.Addr) bool {
	switch {
	case !addr.IsValid() || addr.Zone() != "":
		return false
	case !contains(p.AllowedNetworks, addr):
		return isPublic(addr)
	case ssrf.IPv6NAT64Prefix.Contains(addr):
		bytes := addr.As16()
		return p.Allows(netip.AddrFrom4([4]byte(bytes[12:])))
	default:
		return !carriesIPv4(addr)
	}
}

// Control rejects every connection except TCP to an address that the policy allows. It is meant for
// [net.Dialer.ControlContext], which is called with the address that is about to be connected to, after all name
// resolution. The error is [ErrNotAllowed].
func (p Policy) Control(_ context.Context, network, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotAllowed, err)
	}
	if network != "tcp4" && network != "tcp6" || !p.Allows(target.Addr()) {
		return fmt.Errorf("%w: %s %s", ErrNotAllowed, network, target.Addr())
	}
	return nil
}

// Dialer returns a dialer guarded by [Policy.Control]. It tries addresses one at a time and uses no proxy.
func (p Policy) Dialer() *net.Dialer {
	return &net.Dialer{ControlContext: p.Control, FallbackDelay: -1}
}

func isPublic(addr netip.Addr) bool {
	if addr.Is4() {
		// Azure's machines reach their host at this otherwise ordinary address.
		azure := netip.AddrFrom4([4]byte{168, 63, 129, 16})
		return addr != azure && !contains(ssrf.IPv4DeniedPrefixes, addr)
	}
	return ssrf.IPv6GlobalUnicast.Contains(addr) && !contains(ssrf.IPv6DeniedPrefixes, addr)
}

// carriesIPv4 reports whether an IPv6 address contains an IPv4 address that a host or gateway may forward a connection to.
// That includes the unspecified address, but not the loopback address.
func carriesIPv4(addr netip.Addr) bool {
	carriers := []netip.Prefix{
		netip.MustParsePrefix("::/96"),           // IPv4-compatible (RFC 4291, section 2.5.5.1)
		netip.MustParsePrefix("::ffff:0:0/96"),   // IPv4-mapped (RFC 4291, section 2.5.5.2)
		netip.MustParsePrefix("::ffff:0:0:0/96"), // IPv4-translated (RFC 2765, section 2.1)
		netip.MustParsePrefix("64:ff9b::/96"),    // NAT64 (RFC 6052, section 2.1)
		netip.MustParsePrefix("64:ff9b:1::/48"),  // NAT64 for local use (RFC 8215)
		netip.MustParsePrefix("2001::/32"),       // Teredo (RFC 4380, section 2.6)
		netip.MustParsePrefix("2002::/16"),       // 6to4 (RFC 3056, section 2)
	}
	return addr != netip.IPv6Loopback() && contains(carriers, addr)
}

func contains(networks []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}
