package endpoint

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

func TestPolicyAllows(t *testing.T) {
	tests := []struct {
		name    string
		addr    string
		allowed []string
		want    bool
	}{
		{"public IPv4", "93.184.216.34", nil, true},
		{"public IPv4 below private", "9.255.255.255", nil, true},
		{"public IPv4 above private", "11.0.0.0", nil, true},
		{"public IPv4 below shared", "100.63.255.255", nil, true},
		{"public IPv4 above shared", "100.128.0.0", nil, true},
		{"public IPv4 above private 172.16/12", "172.32.0.0", nil, true},
		{"public IPv4 below multicast", "223.255.255.255", nil, true},
		{"public IPv6", "2606:4700:4700::1111", nil, true},
		{"public IPv6 of AWS", "2600:1f18::1", nil, true},

		{"no address", "", nil, false},
		{"this network", "0.0.0.0", nil, false},
		{"this network, other", "0.1.2.3", nil, false},
		{"loopback", "127.0.0.1", nil, false},
		{"loopback, last", "127.255.255.255", nil, false},
		{"private 10/8", "10.0.0.1", nil, false},
		{"private 172.16/12", "172.16.0.1", nil, false},
		{"private 172.16/12, last", "172.31.255.255", nil, false},
		{"private 192.168/16", "192.168.1.1", nil, false},
		{"link-local", "169.254.0.1", nil, false},
		{"metadata", "169.254.169.254", nil, false},
		{"metadata of containers", "169.254.170.2", nil, false},
		{"metadata of Alibaba", "100.100.100.200", nil, false},
		{"metadata of Azure", "168.63.129.16", nil, false},
		{"metadata of Oracle", "192.0.0.192", nil, false},
		{"shared by carriers", "100.64.0.1", nil, false},
		{"protocol assignments", "192.0.0.8", nil, false},
		{"documentation 1", "192.0.2.1", nil, false},
		{"documentation 2", "198.51.100.1", nil, false},
		{"documentation 3", "203.0.113.1", nil, false},
		{"6to4 relays", "192.88.99.1", nil, false},
		{"benchmarking", "198.18.0.1", nil, false},
		{"benchmarking, last", "198.19.255.255", nil, false},
		{"multicast", "224.0.0.1", nil, false},
		{"multicast, last", "239.255.255.255", nil, false},
		{"reserved", "240.0.0.1", nil, false},
		{"broadcast", "255.255.255.255", nil, false},

		{"unspecified IPv6", "::", nil, false},
		{"loopback IPv6", "::1", nil, false},
		{"link-local IPv6", "fe80::1", nil, false},
		{"site-local IPv6", "fec0::1", nil, false},
		{"unique local", "fd12:3456::1", nil, false},
		{"unique local, other half", "fc00::1", nil, false},
		{"metadata of AWS, IPv6", "fd00:ec2::254", nil, false},
		{"multicast IPv6", "ff02::1", nil, false},
		{"discard", "100::1", nil, false},
		{"segment routing", "5f00::1", nil, false},
		{"documentation IPv6", "2001:db8::1", nil, false},
		{"documentation IPv6, new", "3fff::1", nil, false},
		{"benchmarking IPv6", "2001:2::1", nil, false},
		{"ORCHID", "2001:20::1", nil, false},
		{"never assigned", "4000::1", nil, false},
		{"a zone", "fe80::1%eth0", nil, false},
		{"a zone on a public address", "2606:4700:4700::1111%eth0", nil, false},

		{"IPv4-mapped loopback", "::ffff:127.0.0.1", nil, false},
		{"IPv4-mapped public", "::ffff:93.184.216.34", nil, false},
		{"IPv4-compatible loopback", "::127.0.0.1", nil, false},
		{"IPv4-compatible public", "::93.184.216.34", nil, false},
		{"IPv4-translated loopback", "::ffff:0:127.0.0.1", nil, false},
		{"NAT64 loopback", "64:ff9b::127.0.0.1", nil, false},
		{"NAT64 public", "64:ff9b::93.184.216.34", nil, false},
		{"NAT64 for local use", "64:ff9b:1::127.0.0.1", nil, false},
		{"6to4 loopback", "2002:7f00:1::", nil, false},
		{"6to4 public", "2002:5db8:d822::1", nil, false},
		{"Teredo loopback", "2001::80ff:fffe", nil, false},
		{"Teredo public", "2001:0:5db8:d822::1", nil, false},

		{"allowed private", "10.1.2.3", []string{"10.0.0.0/8"}, true},
		{"private beside the allowed", "192.168.1.1", []string{"10.0.0.0/8"}, false},
		{"allowed by the second network", "192.168.1.1", []string{"10.0.0.0/8", "192.168.0.0/16"}, true},
		{"allowed by a network with host bits", "10.1.2.3", []string{"10.9.9.9/8"}, true},
		{"public beside the allowed", "93.184.216.34", []string{"10.0.0.0/8"}, true},
		{"allowed loopback IPv6", "::1", []string{"::1/128"}, true},
		{"allowed unique local", "fd12:3456::1", []string{"fd00::/8"}, true},
		{"allowed metadata of Azure", "168.63.129.16", []string{"168.63.129.16/32"}, true},
		{"allowed link-local with a zone", "fe80::1%eth0", []string{"fe80::/10"}, false},
		{"IPv4-mapped form of an allowed one", "::ffff:127.0.0.1", []string{"127.0.0.0/8"}, false},
		{"IPv4-compatible form of an allowed one", "::127.0.0.1", []string{"127.0.0.0/8"}, false},
		{"NAT64 form of an allowed one", "64:ff9b::127.0.0.1", []string{"127.0.0.0/8"}, false},
		{"6to4 form of an allowed one", "2002:7f00:1::", []string{"127.0.0.0/8"}, false},
		{"loopback IPv6 when that of IPv4 is allowed", "::1", []string{"127.0.0.0/8"}, false},
		{"loopback IPv4 when that of IPv6 is allowed", "127.0.0.1", []string{"::1/128"}, false},
		{"loopback IPv4 when all of IPv6 is allowed", "127.0.0.1", []string{"::/0"}, false},
		{"IPv4-mapped when all of IPv6 is allowed", "::ffff:127.0.0.1", []string{"::/0"}, false},
		{"IPv4-mapped when just that is allowed", "::ffff:127.0.0.1", []string{"::ffff:0:0/96"}, false},
		{"IPv4-compatible when all of IPv6 is allowed", "::127.0.0.1", []string{"::/0"}, false},
		{"IPv4-translated when all of IPv6 is allowed", "::ffff:0:127.0.0.1", []string{"::/0"}, false},
		{"unspecified when all of IPv6 is allowed", "::", []string{"::/0"}, false},
		{"6to4 when all of IPv6 is allowed", "2002:7f00:1::", []string{"::/0"}, false},
		{"Teredo when all of IPv6 is allowed", "2001::80ff:fffe", []string{"::/0"}, false},
		{"local NAT64 when all of IPv6 is allowed", "64:ff9b:1::127.0.0.1", []string{"::/0"}, false},
		{"NAT64 loopback when NAT64 is allowed", "64:ff9b::127.0.0.1", []string{"64:ff9b::/96"}, false},
		{"NAT64 private when NAT64 is allowed", "64:ff9b::10.0.0.1", []string{"64:ff9b::/96"}, false},
		{"NAT64 public when NAT64 is allowed", "64:ff9b::93.184.216.34", []string{"64:ff9b::/96"}, true},
		{"NAT64 private when both are allowed", "64:ff9b::10.0.0.1", []string{"64:ff9b::/96", "10.0.0.0/8"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var addr netip.Addr
			if tt.addr != "" {
				addr = netip.MustParseAddr(tt.addr)
			}
			if got := policy(tt.allowed...).Allows(addr); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestControl(t *testing.T) {
	tests := []struct {
		name, network, address string
		allowed                bool
	}{
		{"public IPv4", "tcp4", "93.184.216.34:443", true},
		{"public IPv6", "tcp6", "[2606:4700:4700::1111]:443", true},
		{"loopback", "tcp4", "127.0.0.1:443", false},
		{"loopback IPv6", "tcp6", "[::1]:443", false},
		{"IPv4-mapped", "tcp6", "[::ffff:93.184.216.34]:443", false},
		{"a zone", "tcp6", "[fe80::1%eth0]:443", false},
		{"not TCP", "udp4", "93.184.216.34:443", false},
		{"a socket in the file system", "unix", "/run/docker.sock", false},
		{"a name", "tcp4", "example.com:443", false},
		{"nothing", "", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := Policy{}.Control(t.Context(), tt.network, tt.address, nil)
			if tt.allowed && err != nil || !tt.allowed && !errors.Is(err, ErrNotAllowed) {
				t.Errorf("got %v, want allowed %v", err, tt.allowed)
			}
		})
	}
}

func TestDialerConnectsToNothingElse(t *testing.T) {
	server := listen(t, func(net.Conn) {})
	conn, err := Policy{}.Dialer().DialContext(t.Context(), "tcp", server.addr.String())
	if conn != nil || !errors.Is(err, ErrNotAllowed) {
		t.Errorf("got %v, %v; want %v", conn, err, ErrNotAllowed)
	}
	conn, err = policy("127.0.0.0/8").Dialer().DialContext(t.Context(), "tcp", server.addr.String())
	if err != nil {
		t.Fatalf("dialing an allowed address: %v", err)
	}
	conn.Close()
	server.stop()
	if got := server.accepted.Load(); got != 1 {
		t.Errorf("the server saw %d connections, want the allowed one", got)
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
	const noNetwork = ` is no network in CIDR form, such as 10.0.0.0/8 or fd00::/8 (10.1.2.3/32 for one address)`
	const tooWide = ` is too wide: it would let webhooks lead to this machine itself; name the networks of your receivers, none wider than /`
	tests := []struct{ name, text, want, err string }{
		{"the widest private one", "10.0.0.0/8", "10.0.0.0/8", ""},
		{"one address", " 10.1.2.3/32 ", "10.1.2.3/32", ""},
		{"all local IPv6", "fc00::/7", "fc00::/7", ""},
		{"everything", "0.0.0.0/0", "", `"0.0.0.0/0"` + tooWide + "8"},
		{"half of everything", "0.0.0.0/1", "", `"0.0.0.0/1"` + tooWide + "8"},
		{"all of IPv6", "::/0", "", `"::/0"` + tooWide + "7"},
		{"an address", "10.0.0.1", "", `"10.0.0.1"` + noNetwork},
		{"empty", "", "", `""` + noNetwork},
		{"an address in a network", "10.0.0.1/8", "", `"10.0.0.1/8" is an address inside a network: write 10.0.0.0/8 for the network`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := ParseNetwork(test.text)
			if test.err != "" {
				if err == nil || err.Error() != test.err {
					t.Errorf("error %v, want %s", err, test.err)
				}
				return
			}
			if err != nil || got.String() != test.want {
				t.Errorf("got %v, error %v, want %s", got, err, test.want)
			}
		})
	}
}
