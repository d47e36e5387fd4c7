package endpoint

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

func TestPolicyAllows(t *testing.T) {
	public := []string{
		"93.184.216.34", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "172.32.0.0", "223.255.255.255",
		"2606:4700:4700::1111", "2600:1f18::1",
	}
	// Special-purpose addresses of IANA's registries, cloud metadata, addresses with a zone, and IPv6 addresses that
	// contain an IPv4 address.
	special := []string{
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"169.254.0.1", "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "192.0.0.192", "100.64.0.1",
		"192.0.0.8", "192.0.2.1", "198.51.100.1", "203.0.113.1", "192.88.99.1", "198.18.0.1", "198.19.255.255", "224.0.0.1",
		"239.255.255.255", "240.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fec0::1", "fd12:3456::1", "fc00::1",
		"fd00:ec2::254", "ff02::1", "100::1", "5f00::1", "2001:db8::1", "3fff::1", "2001:2::1", "2001:20::1", "4000::1",
		"fe80::1%eth0", "2606:4700:4700::1111%eth0", "::ffff:127.0.0.1", "::ffff:93.184.216.34", "::127.0.0.1", "::93.184.216.34",
		"::ffff:0:127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b::93.184.216.34", "64:ff9b:1::127.0.0.1", "2002:7f00:1::",
		"2002:5db8:d822::1", "2001::80ff:fffe", "2001:0:5db8:d822::1",
	}
	for _, addr := range public {
		if !(Policy{}).Allows(netip.MustParseAddr(addr)) {
			t.Errorf("%s is not allowed", addr)
		}
	}
	for _, addr := range special {
		if (Policy{}).Allows(netip.MustParseAddr(addr)) {
			t.Errorf("%s is allowed", addr)
		}
	}
	if (Policy{}).Allows(netip.Addr{}) {
		t.Error("the zero address is allowed")
	}
	tests := []struct {
		addr, networks string
		want           bool
	}{
		{"10.1.2.3", "10.0.0.0/8", true},
		{"192.168.1.1", "10.0.0.0/8", false},
		{"192.168.1.1", "10.0.0.0/8 192.168.0.0/16", true},
		{"10.1.2.3", "10.9.9.9/8", true},
		{"93.184.216.34", "10.0.0.0/8", true},
		{"::1", "::1/128", true},
		{"fd12:3456::1", "fd00::/8", true},
		{"168.63.129.16", "168.63.129.16/32", true},
		{"fe80::1%eth0", "fe80::/10", false},
		{"::ffff:127.0.0.1", "127.0.0.0/8", false},
		{"::127.0.0.1", "127.0.0.0/8", false},
		{"64:ff9b::127.0.0.1", "127.0.0.0/8", false},
		{"2002:7f00:1::", "127.0.0.0/8", false},
		{"::1", "127.0.0.0/8", false},
		{"127.0.0.1", "::1/128", false},
		{"127.0.0.1", "::/0", false},
		{"::ffff:127.0.0.1", "::/0", false},
		{"::ffff:127.0.0.1", "::ffff:0:0/96", false},
		{"::127.0.0.1", "::/0", false},
		{"::ffff:0:127.0.0.1", "::/0", false},
		{"::", "::/0", false},
		{"2002:7f00:1::", "::/0", false},
		{"2001::80ff:fffe", "::/0", false},
		{"64:ff9b:1::127.0.0.1", "::/0", false},
		{"64:ff9b::127.0.0.1", "64:ff9b::/96", false},
		{"64:ff9b::10.0.0.1", "64:ff9b::/96", false},
		{"64:ff9b::93.184.216.34", "64:ff9b::/96", true},
		{"64:ff9b::10.0.0.1", "64:ff9b::/96 10.0.0.0/8", true},
	}
	for _, tt := range tests {
		if got := policy(strings.Fields(tt.networks)...).Allows(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("%s with %s allowed: got %v, want %v", tt.addr, tt.networks, got, tt.want)
		}
	}
}

func TestControl(t *testing.T) {
	tests := []struct {
		network, address string
		allowed          bool
	}{
		{"tcp4", "93.184.216.34:443", true},
		{"tcp6", "[2606:4700:4700::1111]:443", true},
		{"tcp4", "127.0.0.1:443", false},
		{"tcp6", "[::1]:443", false},
		{"tcp6", "[::ffff:93.184.216.34]:443", false},
		{"tcp6", "[fe80::1%eth0]:443", false},
		{"udp4", "93.184.216.34:443", false},
		{"unix", "/run/docker.sock", false},
		{"tcp4", "example.com:443", false},
		{"", "", false},
	}
	for _, tt := range tests {
		err := Policy{}.Control(t.Context(), tt.network, tt.address, nil)
		if tt.allowed && err != nil || !tt.allowed && !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%s %s: got %v, want allowed %v", tt.network, tt.address, err, tt.allowed)
		}
	}
}

func policy(networks ...string) Policy {
	var p Policy
	for _, n := range networks {
		p.AllowedNetworks = append(p.AllowedNetworks, netip.MustParsePrefix(n))
	}
	return p
}

func TestParseNetwork(t *testing.T) {
	const notCIDR = ` is not a network in CIDR form, for example 10.0.0.0/8 or fd00::/8 (10.1.2.3/32 for one address)`
	const tooWide = ` is too wide: webhooks could reach this machine; list only your receivers' networks, /`
	tests := []struct{ text, want, err string }{
		{"10.0.0.0/8", "10.0.0.0/8", ""},
		{" 10.1.2.3/32 ", "10.1.2.3/32", ""},
		{"fc00::/7", "fc00::/7", ""},
		{"0.0.0.0/0", "", `"0.0.0.0/0"` + tooWide + "8 or smaller"},
		{"0.0.0.0/1", "", `"0.0.0.0/1"` + tooWide + "8 or smaller"},
		{"::/0", "", `"::/0"` + tooWide + "7 or smaller"},
		{"10.0.0.1", "", `"10.0.0.1"` + notCIDR},
		{"", "", `""` + notCIDR},
		{"10.0.0.1/8", "", `"10.0.0.1/8" is an address in a network: use 10.0.0.0/8 for the network`},
	}
	for _, test := range tests {
		got, err := ParseNetwork(test.text)
		if test.err != "" && (err == nil || err.Error() != test.err) || test.err == "" && (err != nil || got.String() != test.want) {
			t.Errorf("%q: got %v, error %v", test.text, got, err)
		}
	}
}
