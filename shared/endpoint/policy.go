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

// ErrNotAllowed is why a connection was not tried: its address is not public, and no allowed network
// has it.
var ErrNotAllowed = errors.New("the address is not public")

// Policy says which addresses the service may connect to on behalf of a customer. The zero value
// allows public addresses alone.
type Policy struct {
	// AllowedNetworks are exempt from the rule that an address must be public, for receivers inside
	// one's own network. An IPv4 network exempts no IPv6 address and the other way round.
	AllowedNetworks []netip.Prefix
}

// The widest networks that may be exempt: those that the private ones have, 10.0.0.0/8 and fc00::/7.
const (
	widestIPv4 = 8
	widestIPv6 = 7
)

// ParseNetwork reads a network for [Policy] in CIDR form. It refuses an address inside of one, and a
// network so wide that it would exempt public and private addresses alike, such as 0.0.0.0/0: with
// it, webhooks could lead to this machine and to the cloud's metadata. The error is for the operator.
func ParseNetwork(text string) (netip.Prefix, error) {
	network, err := netip.ParsePrefix(strings.TrimSpace(text))
	widest := widestIPv6
	if network.Addr().Is4() {
		widest = widestIPv4
	}
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is no network in CIDR form, such as 10.0.0.0/8 or fd00::/8 (10.1.2.3/32 for one address)", text)
	case network != network.Masked():
		return netip.Prefix{}, fmt.Errorf("%q is an address inside a network: write %s for the network", text, network.Masked())
	case network.Bits() < widest:
		return netip.Prefix{}, fmt.Errorf("%q is too wide: it would let webhooks lead to this machine itself; name the networks of your receivers, none wider than /%d", text, widest)
	}
	return network, nil
}

// Allows reports whether an address may be connected to: it is public or in an allowed network.
//
// Not public are all special-purpose addresses of IANA's registries (loopback, private, link-local,
// with it cloud metadata, shared, multicast, documentation, benchmarking, reserved, broadcast,
// unspecified), all of IPv6 outside of 2000::/3, and Azure's metadata address.
//
// IPv6 addresses that carry an IPv4 address (mapped, compatible, translated, NAT64, 6to4, Teredo) and
// those with a zone are refused, whatever networks are allowed: a wide IPv6 network must not be a way to
// an IPv4 address. The exception is for hosts that reach IPv4 by DNS64 alone: where the well-known NAT64
// prefix 64:ff9b::/96 is allowed, its addresses are as good as the IPv4 address that they carry.
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

// Control refuses every connection that is not TCP to an address that the policy allows. It suits
// [net.Dialer.ControlContext], which calls it with the very address that is about to be connected to,
// after all name resolution. The error is [ErrNotAllowed].
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

// Dialer makes a dialer guarded by [Policy.Control]. It tries addresses one after the other, never
// two at a time. It knows of no proxy.
func (p Policy) Dialer() *net.Dialer {
	return &net.Dialer{ControlContext: p.Control, FallbackDelay: -1}
}

func isPublic(addr netip.Addr) bool {
	if addr.Is4() {
		// Azure's machines reach their host at an address that is otherwise an ordinary one.
		azure := netip.AddrFrom4([4]byte{168, 63, 129, 16})
		return addr != azure && !contains(ssrf.IPv4DeniedPrefixes, addr)
	}
	return ssrf.IPv6GlobalUnicast.Contains(addr) && !contains(ssrf.IPv6DeniedPrefixes, addr)
}

// carriesIPv4 reports whether an IPv6 address has an IPv4 address in it to which a host or a gateway
// may pass a connection on. The unspecified address counts, the loopback address does not.
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
