package endpoint

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// dialer records what a Checker dials and connects to a test server instead, so that no packet is sent to public
// addresses.
type dialer struct {
	to    *server // nil rejects connections
	calls []string
}

func (d *dialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	d.calls = append(d.calls, network+" "+address)
	if d.to == nil {
		return nil, errors.New("connection refused")
	}
	return (&net.Dialer{}).DialContext(ctx, "tcp", d.to.addr.String())
}

func TestCheckTLSResolves(t *testing.T) {
	const public, other, private = "93.184.216.34", "93.184.216.35", "10.0.0.1"
	const public6, private6 = "2606:4700::1111", "fd00::1"
	noSuchHost := &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	tests := []struct {
		name     string
		resolver *resolver
		allowed  []string
		dialed   string // empty if nothing must be dialed
	}{
		{"one public address", &resolver{addrs: []string{public}}, nil, "tcp 93.184.216.34:443"},
		{"two public addresses", &resolver{addrs: []string{public, other}}, nil, "tcp 93.184.216.34:443"},
		{"IPv6 if it is there", &resolver{addrs: []string{public, public6}}, nil, "tcp [2606:4700::1111]:443"},
		{"IPv4, no response about IPv6", &resolver{addrs: []string{public}, silent: "ip6"}, nil, "tcp 93.184.216.34:443"},
		{"IPv6, no response about IPv4", &resolver{addrs: []string{public6}, silent: "ip4"}, nil, "tcp [2606:4700::1111]:443"},
		{"IPv4 as returned by net.Resolver", &resolver{addrs: []string{"::ffff:" + public}}, nil, "tcp 93.184.216.34:443"},
		{"an allowed private address", &resolver{addrs: []string{private}}, []string{"10.0.0.0/8"}, "tcp 10.0.0.1:443"},
		{"an allowed private and a public one", &resolver{addrs: []string{private, public}}, []string{"10.0.0.0/8"}, "tcp 10.0.0.1:443"},
		{"DNS64 if NAT64 is allowed", &resolver{addrs: []string{"64:ff9b::" + public, public}}, []string{"64:ff9b::/96"},
			"tcp [64:ff9b::5db8:d822]:443"},

		{"public first, private second", &resolver{addrs: []string{public, private}}, nil, ""},
		{"public first, metadata last", &resolver{addrs: []string{public, other, public6, "169.254.169.254"}}, nil, ""},
		{"public IPv4, private IPv6", &resolver{addrs: []string{public, private6}}, nil, ""},
		{"public IPv6, loopback IPv4", &resolver{addrs: []string{public6, "127.0.0.1"}}, nil, ""},
		{"loopback as returned by net.Resolver", &resolver{addrs: []string{"::ffff:127.0.0.1"}}, nil, ""},
		{"public first, 6to4 second", &resolver{addrs: []string{public, "2002:7f00:1::"}}, nil, ""},
		{"public first, NAT64 second", &resolver{addrs: []string{public, "64:ff9b::" + public}}, nil, ""},
		{"a zone", &resolver{addrs: []string{public6 + "%eth0"}}, nil, ""},
		{"another private one than the allowed", &resolver{addrs: []string{private, "192.168.0.1"}}, []string{"10.0.0.0/8"}, ""},
		{"unknown name", &resolver{err: noSuchHost}, nil, ""},
		{"error with an address", &resolver{addrs: []string{public}, err: noSuchHost}, nil, ""},
		{"no address", &resolver{}, nil, ""},
		{"no response", &resolver{hangs: true}, nil, ""},
	}
	root := newAuthority(t, "root")
	config := with(root.sign(leafTemplate(host)).chain())
	u := mustParse(t, "https://"+host)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &dialer{to: listen(t, serveTLS(t, config))}
			c := newChecker(root)
			c.Dialer = Dialer{Policy: policy(tt.allowed...), Resolver: tt.resolver, Dial: d.dial, hasRoute: everywhere}
			c.Timeout = 2 * time.Second
			if tt.resolver.hangs {
				c.Timeout = 50 * time.Millisecond
			}
			err := c.CheckTLS(t.Context(), u)
			if want := []string{"ip4 receiver.example.", "ip6 receiver.example."}; !slices.Equal(tt.resolver.asked, want) {
				t.Errorf("looked up %q, want %q", tt.resolver.asked, want)
			}
			if tt.dialed == "" {
				assertRejected(t, err, reasonUnreachable)
				assertDialed(t, d)
				return
			}
			if err != nil {
				t.Errorf("CheckTLS: %v", err)
			}
			assertDialed(t, d, tt.dialed)
		})
	}
}

// A host with many addresses in the family that does not work is reached at the other in time.
func TestResolveOrder(t *testing.T) {
	ipv6 := []string{"2606:4700::1", "2606:4700::2", "2606:4700::3"}
	ipv4 := []string{"93.184.216.1", "93.184.216.2"}
	tests := []struct {
		name     string
		hasRoute func(netip.Addr) bool
		want     []string
	}{
		{"both", everywhere, []string{ipv6[0], ipv4[0], ipv6[1], ipv4[1], ipv6[2]}},
		{"no IPv6", netip.Addr.Is4, append(ipv4[:2:2], ipv6...)},
		{"no IPv4", netip.Addr.Is6, append(ipv6[:3:3], ipv4...)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &Dialer{Resolver: &resolver{addrs: append(ipv4[:2:2], ipv6...)}, hasRoute: tt.hasRoute}
			targets, err := d.Resolve(t.Context(), mustParse(t, "https://"+host))
			var got []string
			for _, target := range targets {
				got = append(got, target.Addr().String())
			}
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("got %q, %v, want %q", got, err, tt.want)
			}
		})
	}
}

func everywhere(netip.Addr) bool { return true }

// Whether this machine or the host is to blame depends on the error and on the routes of this machine.
func TestConnectBlame(t *testing.T) {
	const ipv4, ipv6 = "93.184.216.34", "2606:4700::1111"
	tests := []struct {
		errno   syscall.Errno
		address string
		routes  string // the families that this machine has a route for
		local   bool
	}{
		{syscall.EMFILE, ipv4, "46", true},
		{syscall.ENFILE, ipv4, "46", true},
		{syscall.ENOBUFS, ipv4, "46", true},
		{syscall.ENOMEM, ipv6, "46", true},
		{syscall.EADDRNOTAVAIL, ipv4, "4", true}, // no free port
		{syscall.EADDRNOTAVAIL, ipv6, "46", true},
		{syscall.EADDRNOTAVAIL, ipv6, "4", false}, // no IPv6
		{syscall.EAFNOSUPPORT, ipv6, "4", false},
		{syscall.ENETUNREACH, ipv6, "4", false},
		{syscall.ENETUNREACH, ipv4, "6", false},
		{syscall.ENETUNREACH, ipv4, "4", false}, // a router says so
		{syscall.ENETUNREACH, ipv4, "", true},   // offline
		{syscall.EADDRNOTAVAIL, ipv6, "", true},
		{syscall.EHOSTUNREACH, ipv4, "46", false},
		{syscall.ECONNREFUSED, ipv4, "46", false},
		{syscall.ETIMEDOUT, ipv4, "46", false},
		{syscall.EPERM, ipv4, "46", false},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprint(tt.errno, " ", tt.address, " ", tt.routes), func(t *testing.T) {
			c := &Checker{Now: now}
			c.Dial = func(_ context.Context, _, address string) (net.Conn, error) {
				remote := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
				return nil, &net.OpError{Op: "dial", Net: "tcp", Addr: remote, Err: os.NewSyscallError("connect", tt.errno)}
			}
			c.hasRoute = func(addr netip.Addr) bool {
				return addr.Is4() && strings.Contains(tt.routes, "4") || addr.Is6() && strings.Contains(tt.routes, "6")
			}
			c.Resolver = &resolver{addrs: []string{tt.address}}
			err := c.CheckTLS(t.Context(), mustParse(t, "https://"+host))
			if !tt.local {
				assertRejected(t, err, reasonUnreachable)
			} else if webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, tt.errno) {
				t.Errorf("got %v, want unavailable because of %v", err, tt.errno)
			}
			if strings.Contains(err.Error(), tt.address) {
				t.Errorf("the error contains the address: %v", err)
			}
		})
	}
}

// The routes of this machine are found out without sending anything.
func TestRoutes(t *testing.T) {
	if d := (&Dialer{}); !d.routes(netip.MustParseAddr("127.0.0.1")) || d.routes(netip.MustParseAddr("fe80::1")) {
		t.Error("want a route to 127.0.0.1, and none to a link-local address without a zone")
	}
}

func TestCheckTLSDialsOneAddress(t *testing.T) {
	u := mustParse(t, "https://"+host)
	d := &dialer{}
	c := &Checker{Dialer: Dialer{Resolver: &resolver{addrs: []string{"93.184.216.34", "93.184.216.35"}}, Dial: d.dial}, Now: now}
	assertRejected(t, c.CheckTLS(t.Context(), u), reasonUnreachable)
	assertDialed(t, d, "tcp 93.184.216.34:443")
}

func TestCheckTLSTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Minute} {
		r := &resolver{}
		c := &Checker{Dialer: Dialer{Resolver: r}, Now: now, Timeout: timeout}
		assertRejected(t, c.CheckTLS(t.Context(), URL{host: host}), reasonUnreachable)
		want := DefaultTimeout
		if timeout > 0 {
			want = timeout
		}
		if r.left <= want-time.Second || r.left > want {
			t.Errorf("Timeout %v: the lookup had %v, want almost %v", timeout, r.left, want)
		}
	}
}

// A single-label name is looked up in the hosts file, and then as it is: never in this machine's search domains.
func TestCheckTLSSingleLabel(t *testing.T) {
	const public = "93.184.216.34"
	unknown := &net.DNSError{Err: "no such host", IsNotFound: true}
	tests := []struct {
		name, host      string
		file, resolver  *resolver
		inFile, inNames []string // lookups
		dialed          []string
	}{
		{"in the hosts file", "receiver", &resolver{addrs: []string{public}}, &resolver{},
			[]string{"ip receiver"}, nil, []string{"tcp " + public + ":443"}},
		{"not in the hosts file", "receiver", &resolver{err: unknown}, &resolver{addrs: []string{public}},
			[]string{"ip receiver"}, []string{"ip4 receiver.", "ip6 receiver."}, []string{"tcp " + public + ":443"}},
		{"in the hosts file without an address", "receiver", &resolver{}, &resolver{addrs: []string{public}},
			[]string{"ip receiver"}, []string{"ip4 receiver.", "ip6 receiver."}, []string{"tcp " + public + ":443"}},
		{"nowhere", "intranet", &resolver{err: unknown}, &resolver{err: unknown},
			[]string{"ip intranet"}, []string{"ip4 intranet.", "ip6 intranet."}, nil},
		{"in the hosts file, not public", "localhost", &resolver{addrs: []string{"::1", "127.0.0.1"}}, &resolver{},
			[]string{"ip localhost"}, nil, nil},
		{"two labels", host, &resolver{addrs: []string{"127.0.0.1"}}, &resolver{addrs: []string{public}},
			nil, []string{"ip4 receiver.example.", "ip6 receiver.example."}, []string{"tcp " + public + ":443"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := mustParse(t, "https://"+tt.host)
			d := &dialer{}
			c := &Checker{Dialer: Dialer{Resolver: tt.resolver, Dial: d.dial, hostsFile: tt.file}, Now: now}
			assertRejected(t, c.CheckTLS(t.Context(), u), reasonUnreachable)
			assertDialed(t, d, tt.dialed...)
			if !slices.Equal(tt.file.asked, tt.inFile) || !slices.Equal(tt.resolver.asked, tt.inNames) {
				t.Errorf("looked up %q and %q, want %q and %q", tt.file.asked, tt.resolver.asked, tt.inFile, tt.inNames)
			}
		})
	}
}

// The address is checked again when the connection is made, whatever was resolved before.
func TestConnectChecksAgain(t *testing.T) {
	for _, tt := range []struct {
		policy   Policy
		err      error
		accepted int32
	}{
		{Policy{}, ErrNotAllowed, 0},
		{policy("10.0.0.0/8"), ErrNotAllowed, 0},
		{policy("127.0.0.0/8"), nil, 1},
	} {
		s := listen(t, func(c net.Conn) { write(c, "x") })
		conn, err := (&Dialer{Policy: tt.policy}).Connect(t.Context(), s.addr)
		if !errors.Is(err, tt.err) {
			t.Errorf("%v: got %v, want %v", tt.policy, err, tt.err)
		}
		if err == nil {
			readSome(conn) // the server has seen the connection once it has sent something
			conn.Close()
		}
		s.stop()
		if got := s.accepted.Load(); got != tt.accepted {
			t.Errorf("%v: the server saw %d connections, want %d", tt.policy, got, tt.accepted)
		}
	}
}

// No spelling of an address that is not public reaches the dialer. (TestParseRejects has those that are not URLs.)
func TestAddressLiterals(t *testing.T) {
	for _, literal := range []string{
		"127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "255.255.255.255", "[::1]", "[0000:0000:0000:0000:0000:0000:0000:0001]",
		"[::]", "[fd00:ec2::254]", "[fe80::1]", "[::ffff:127.0.0.1]", "[::FFFF:7F00:1]", "[::ffff:93.184.216.34]", "[::127.0.0.1]",
		"[::ffff:0:127.0.0.1]", "[64:ff9b::127.0.0.1]", "[64:ff9b:1::7f00:1]", "[2002:7f00:1::]", "[2001:0:4136:e378:8000:63bf:80ff:fffe]",
	} {
		r, d := &resolver{addrs: []string{"93.184.216.34"}}, &dialer{}
		c := &Checker{Dialer: Dialer{Resolver: r, Dial: d.dial}, Now: now}
		assertRejected(t, c.CheckTLS(t.Context(), mustParse(t, "https://"+literal+"/")), reasonUnreachable)
		if len(d.calls)+len(r.asked) > 0 {
			t.Errorf("%s: dialed %q, resolved %q", literal, d.calls, r.asked)
		}
	}
}

func assertDialed(t *testing.T, d *dialer, want ...string) {
	t.Helper()
	if !slices.Equal(d.calls, want) {
		t.Errorf("dialed %q, want %q", d.calls, want)
	}
}

// resolver returns the same result for every lookup, less the addresses of the other family, and records what it was asked.
type resolver struct {
	addrs  []string
	err    error
	hangs  bool
	silent string // the network, "ip4" or "ip6", for which it hangs

	mu    sync.Mutex
	asked []string
	left  time.Duration // until the deadline, at the last lookup
}

func (r *resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	r.mu.Lock()
	r.asked = append(r.asked, network+" "+host)
	slices.Sort(r.asked)
	if deadline, ok := ctx.Deadline(); ok {
		r.left = time.Until(deadline)
	}
	r.mu.Unlock()
	if r.hangs || r.silent == network {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var addrs []netip.Addr
	for _, text := range r.addrs {
		if addr := netip.MustParseAddr(text); network == "ip" || addr.Unmap().Is4() == (network == "ip4") {
			addrs = append(addrs, addr)
		}
	}
	return addrs, r.err
}
