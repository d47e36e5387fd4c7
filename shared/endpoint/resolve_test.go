package endpoint

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"
)

// dialing counts what a checker dials. It connects to a server of the test whatever the address, so
// that public addresses can be tried without a packet to them.
type dialing struct {
	to    *server // refuses when nil
	calls []string
}

func (d *dialing) dial(ctx context.Context, network, address string) (net.Conn, error) {
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
		resolver resolver
		allowed  []string
		dialled  string // nothing, and the host is not reached, when empty
	}{
		{"one public address", resolver{addrs: []string{public}}, nil, "tcp 93.184.216.34:443"},
		{"two public addresses", resolver{addrs: []string{public, other}}, nil, "tcp 93.184.216.34:443"},
		{"IPv6 first", resolver{addrs: []string{public6, public}}, nil, "tcp [2606:4700::1111]:443"},
		{"IPv4 first", resolver{addrs: []string{public, public6}}, nil, "tcp 93.184.216.34:443"},
		{"IPv4 as net.Resolver writes it", resolver{addrs: []string{"::ffff:" + public}}, nil, "tcp 93.184.216.34:443"},
		{"an allowed private address", resolver{addrs: []string{private}}, []string{"10.0.0.0/8"}, "tcp 10.0.0.1:443"},
		{"an allowed private and a public one", resolver{addrs: []string{private, public}}, []string{"10.0.0.0/8"}, "tcp 10.0.0.1:443"},
		{"DNS64 where NAT64 is allowed", resolver{addrs: []string{"64:ff9b::" + public, public}}, []string{"64:ff9b::/96"},
			"tcp [64:ff9b::5db8:d822]:443"},

		{"public first, private second", resolver{addrs: []string{public, private}}, nil, ""},
		{"private first, public second", resolver{addrs: []string{private, public}}, nil, ""},
		{"public first, metadata last", resolver{addrs: []string{public, other, public6, "169.254.169.254"}}, nil, ""},
		{"public IPv4, private IPv6", resolver{addrs: []string{public, private6}}, nil, ""},
		{"public IPv6, loopback IPv4", resolver{addrs: []string{public6, "127.0.0.1"}}, nil, ""},
		{"loopback as net.Resolver writes it", resolver{addrs: []string{"::ffff:127.0.0.1"}}, nil, ""},
		{"public first, 6to4 second", resolver{addrs: []string{public, "2002:7f00:1::"}}, nil, ""},
		{"public first, NAT64 second", resolver{addrs: []string{public, "64:ff9b::" + public}}, nil, ""},
		{"a zone", resolver{addrs: []string{public6 + "%eth0"}}, nil, ""},
		{"private beside the allowed", resolver{addrs: []string{private, "192.168.0.1"}}, []string{"10.0.0.0/8"}, ""},
		{"no such name", resolver{err: noSuchHost}, nil, ""},
		{"an error beside an address", resolver{addrs: []string{public}, err: noSuchHost}, nil, ""},
		{"no address", resolver{}, nil, ""},
		{"no answer", resolver{hangs: true}, nil, ""},
	}
	root := newAuthority(t, "root")
	config := with(root.sign(leafTemplate(host)).chain())
	u, err := Parse("https://" + host)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &dialing{to: listen(t, serveTLS(t, config))}
			c := newChecker(root)
			c.Policy, c.Resolver, c.Dial, c.Timeout = policy(tt.allowed...), &tt.resolver, d.dial, 2*time.Second
			if tt.resolver.hangs {
				c.Timeout = 50 * time.Millisecond
			}
			err := c.CheckTLS(t.Context(), u)
			if want := []string{"ip receiver.example."}; !slices.Equal(tt.resolver.asked, want) {
				t.Errorf("the resolver was asked %q, want %q", tt.resolver.asked, want)
			}
			if tt.dialled == "" {
				assertRefused(t, err, reasonUnreachable)
				assertDialled(t, d)
				return
			}
			if err != nil {
				t.Errorf("CheckTLS: %v", err)
			}
			assertDialled(t, d, tt.dialled)
		})
	}
}

func TestCheckTLSTriesNoSecondAddress(t *testing.T) {
	u, err := Parse("https://" + host)
	if err != nil {
		t.Fatal(err)
	}
	d := &dialing{}
	c := &Checker{Resolver: &resolver{addrs: []string{"93.184.216.34", "93.184.216.35"}}, Now: now, Dial: d.dial}
	assertRefused(t, c.CheckTLS(t.Context(), u), reasonUnreachable)
	assertDialled(t, d, "tcp 93.184.216.34:443")
}

func TestCheckTLSTimeout(t *testing.T) {
	for _, timeout := range []time.Duration{0, time.Minute} {
		r := &resolver{}
		c := &Checker{Resolver: r, Now: now, Timeout: timeout}
		assertRefused(t, c.CheckTLS(t.Context(), URL{host: host}), reasonUnreachable)
		want := DefaultTimeout
		if timeout > 0 {
			want = timeout
		}
		if r.left <= want-time.Second || r.left > want {
			t.Errorf("with Timeout %v, %v were left for the look-up, want almost %v", timeout, r.left, want)
		}
	}
}

// A name of one label may be one of this machine's, such as localhost. Else it is looked up as it is, and
// not in the search domains of this machine.
func TestCheckTLSWithOneLabel(t *testing.T) {
	const public = "93.184.216.34"
	unknown := &net.DNSError{Err: "no such host", IsNotFound: true}
	tests := []struct {
		name, host      string
		file, resolver  resolver
		inFile, inNames []string // what is asked
		dialled         []string
	}{
		{"in the hosts file", "receiver", resolver{addrs: []string{public}}, resolver{},
			[]string{"ip receiver"}, nil, []string{"tcp " + public + ":443"}},
		{"not in it", "receiver", resolver{err: unknown}, resolver{addrs: []string{public}},
			[]string{"ip receiver"}, []string{"ip receiver."}, []string{"tcp " + public + ":443"}},
		{"in it without an address", "receiver", resolver{}, resolver{addrs: []string{public}},
			[]string{"ip receiver"}, []string{"ip receiver."}, []string{"tcp " + public + ":443"}},
		{"nowhere", "intranet", resolver{err: unknown}, resolver{err: unknown},
			[]string{"ip intranet"}, []string{"ip intranet."}, nil},
		{"in the hosts file with an address that is not public", "localhost", resolver{addrs: []string{"::1", "127.0.0.1"}}, resolver{},
			[]string{"ip localhost"}, nil, nil},
		{"a dot makes two labels", host, resolver{addrs: []string{"127.0.0.1"}}, resolver{addrs: []string{public}},
			nil, []string{"ip receiver.example."}, []string{"tcp " + public + ":443"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := Parse("https://" + tt.host)
			if err != nil {
				t.Fatal(err)
			}
			d := &dialing{}
			c := &Checker{Resolver: &tt.resolver, Now: now, Dial: d.dial, hostsFile: &tt.file}
			assertRefused(t, c.CheckTLS(t.Context(), u), reasonUnreachable)
			assertDialled(t, d, tt.dialled...)
			if !slices.Equal(tt.file.asked, tt.inFile) || !slices.Equal(tt.resolver.asked, tt.inNames) {
				t.Errorf("asked %q and %q, want %q and %q", tt.file.asked, tt.resolver.asked, tt.inFile, tt.inNames)
			}
		})
	}
}

// Whatever was looked up before, the address at the moment of connecting decides.
func TestConnectChecksAgain(t *testing.T) {
	tests := []struct {
		name     string
		policy   Policy
		err      error
		accepted int32
	}{
		{"no network is allowed", Policy{}, ErrNotAllowed, 0},
		{"another network is", policy("10.0.0.0/8"), ErrNotAllowed, 0},
		{"its network is", policy("127.0.0.0/8"), nil, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t, func(c net.Conn) { write(c, "x") })
			conn, err := (&Checker{Policy: tt.policy}).connect(t.Context(), s.addr.String())
			if !errors.Is(err, tt.err) {
				t.Errorf("got %v, want %v", err, tt.err)
			}
			if err == nil {
				readSome(conn) // what is read comes after the server has seen the connection
				conn.Close()
			}
			s.stop()
			if got := s.accepted.Load(); got != tt.accepted {
				t.Errorf("the server saw %d connections, want %d", got, tt.accepted)
			}
		})
	}
}

// Every spelling of an address that is not public ends before the dialer's hook: as no URL, or as a host
// that cannot be reached.
func TestAddressLiterals(t *testing.T) {
	const unreachable = ""
	tests := []struct{ name, host, reason string }{
		{"dotted decimal", "127.0.0.1", unreachable},
		{"private", "10.0.0.1", unreachable},
		{"metadata", "169.254.169.254", unreachable},
		{"unspecified", "0.0.0.0", unreachable},
		{"broadcast", "255.255.255.255", unreachable},
		{"IPv6 loopback", "[::1]", unreachable},
		{"IPv6 loopback in full", "[0000:0000:0000:0000:0000:0000:0000:0001]", unreachable},
		{"IPv6 unspecified", "[::]", unreachable},
		{"unique local", "[fd00:ec2::254]", unreachable},
		{"link-local", "[fe80::1]", unreachable},
		{"IPv4-mapped", "[::ffff:127.0.0.1]", unreachable},
		{"IPv4-mapped in hexadecimal", "[::FFFF:7F00:1]", unreachable},
		{"IPv4-mapped public", "[::ffff:93.184.216.34]", unreachable},
		{"IPv4-compatible", "[::127.0.0.1]", unreachable},
		{"IPv4-translated", "[::ffff:0:127.0.0.1]", unreachable},
		{"NAT64", "[64:ff9b::127.0.0.1]", unreachable},
		{"NAT64 for local use", "[64:ff9b:1::7f00:1]", unreachable},
		{"6to4", "[2002:7f00:1::]", unreachable},
		{"Teredo", "[2001:0:4136:e378:8000:63bf:80ff:fffe]", unreachable},
		{"decimal", "2130706433", reasonIPv4},
		{"octal", "0177.0.0.1", reasonIPv4},
		{"octal, one number", "017700000001", reasonIPv4},
		{"hexadecimal", "0x7f.0.0.1", reasonIPv4},
		{"hexadecimal, one number", "0x7f000001", reasonIPv4},
		{"short", "127.1", reasonIPv4},
		{"short hexadecimal", "0x7f.1", reasonIPv4},
		{"full-width", "１２７.0.0.1", reasonIPv4},
		{"escaped", "%31%32%37.0.0.1", reasonHostEscape},
		{"a zone", "[fe80::1%25eth0]", reasonHostEscape},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u, err := Parse("https://" + tt.host + "/")
			if tt.reason != unreachable {
				if want := "URL format invalid: " + tt.reason; err == nil || err.Error() != want {
					t.Errorf("got %v, want %s", err, want)
				}
				return
			}
			if err != nil {
				t.Fatalf("Parse: %v", err)
			}
			r, d := &resolver{addrs: []string{"93.184.216.34"}}, &dialing{}
			c := &Checker{Resolver: r, Now: now, Dial: d.dial}
			assertRefused(t, c.CheckTLS(t.Context(), u), reasonUnreachable)
			assertDialled(t, d)
			if len(r.asked) > 0 {
				t.Errorf("the resolver was asked %q of an address", r.asked)
			}
		})
	}
}

func assertDialled(t *testing.T, d *dialing, want ...string) {
	t.Helper()
	if !slices.Equal(d.calls, want) {
		t.Errorf("dialled %q, want %q", d.calls, want)
	}
}
