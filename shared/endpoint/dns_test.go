package endpoint

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"webhooks/shared/webhook"
)

// The name servers are asked for the absolute name, once per record type. If they respond to a query for the root zone, a
// name that cannot be looked up is the fault of its domain.
func TestCheckTLSNameServers(t *testing.T) {
	both := func(code dnsmessage.RCode) map[dnsmessage.Type]dnsmessage.RCode {
		return map[dnsmessage.Type]dnsmessage.RCode{dnsmessage.TypeA: code, dnsmessage.TypeAAAA: code}
	}
	everything := func(code dnsmessage.RCode) map[dnsmessage.Type]dnsmessage.RCode {
		codes := both(code)
		codes[dnsmessage.TypeNS] = code
		return codes
	}
	tests := []struct {
		name  string
		codes map[dnsmessage.Type]dnsmessage.RCode
		kind  webhook.Kind // the kind of the error, if any
	}{
		{name: "an address"},
		{name: "no response about IPv6", codes: map[dnsmessage.Type]dnsmessage.RCode{dnsmessage.TypeAAAA: silence}},
		{name: "unknown name", codes: both(dnsmessage.RCodeNameError), kind: webhook.KindInvalid},
		{name: "an error for this domain", codes: both(dnsmessage.RCodeServerFailure), kind: webhook.KindInvalid},
		{name: "no response for this domain", codes: both(silence), kind: webhook.KindInvalid},
		{name: "a response for this domain that needs TCP, which is closed", codes: both(truncated), kind: webhook.KindInvalid},
		{name: "errors for every domain", codes: everything(dnsmessage.RCodeServerFailure), kind: webhook.KindUnavailable},
		{name: "no response for any domain", codes: everything(silence), kind: webhook.KindUnavailable},
	}
	root := newAuthority(t, "root")
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t, serveTLS(t, with(root.sign(leafTemplate(host)).chain())))
			names := serveDNS(t, [4]byte{127, 0, 0, 1})
			names.codes = tt.codes
			c := newChecker(root)
			c.Resolver = names.resolver()
			start := time.Now()
			err := c.CheckTLS(t.Context(), urlOf(t, host, s))
			if took := time.Since(start); took > 2*time.Second {
				t.Errorf("took %v", took)
			}
			switch {
			case tt.kind == webhook.KindInvalid:
				assertRejected(t, err, reasonUnreachable)
			case tt.kind == webhook.KindUnavailable:
				if webhook.KindOf(err) != tt.kind || !errors.Is(err, ErrNoNameServer) || strings.Contains(err.Error(), host) {
					t.Errorf("got %v, want unavailable because of %v", err, ErrNoNameServer)
				}
			case err != nil:
				t.Errorf("CheckTLS: %v", err)
			}
			got, want := slices.Compact(names.asked()), []string{"TypeA receiver.example.", "TypeAAAA receiver.example."}
			if tt.codes == nil && !slices.Equal(got, want) {
				t.Errorf("the name server was asked %q, want %q", got, want)
			}
		})
	}
	t.Run("no descriptor", func(t *testing.T) {
		c := newChecker(root)
		c.Resolver = serveDNS(t, [4]byte{127, 0, 0, 1}).resolver()
		u := mustParse(t, "https://"+host)
		var descriptors syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
			t.Fatal(err)
		}
		none := descriptors
		none.Cur = 0
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
			t.Fatal(err)
		}
		err := c.CheckTLS(t.Context(), u)
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
			t.Fatal(err)
		}
		e, ok := errors.AsType[*webhook.Error](err)
		if !ok || e.Kind != webhook.KindUnavailable || e.Cause.Error() != "checking TLS: this machine: too many open files" {
			t.Errorf("got %v, want unavailable because of too many open files", err)
		}
	})
	t.Run("no query can be sent", func(t *testing.T) {
		c := newChecker(root)
		c.Resolver = nameServers{address: "127.0.0.1:99999"}
		if err := c.CheckTLS(t.Context(), mustParse(t, "https://"+host)); webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, ErrNoNameServer) {
			t.Errorf("got %v, want unavailable because of %v", err, ErrNoNameServer)
		}
	})
}

// A name server that would respond differently the second time gains nothing: there is no second lookup.
func TestCheckTLSRebinding(t *testing.T) {
	names := serveDNS(t, [4]byte{93, 184, 216, 34}, [4]byte{127, 0, 0, 1})
	d := &dialer{}
	c := newChecker(newAuthority(t, "root"))
	c.Policy, c.Resolver, c.Dial = Policy{}, names.resolver(), d.dial
	u := mustParse(t, "https://"+host)
	assertRejected(t, c.CheckTLS(t.Context(), u), reasonUnreachable)
	assertDialed(t, d, "tcp 93.184.216.34:443")
	if got := len(names.asked()); got != 2 {
		t.Errorf("the name server was asked %d times, want once per record type", got)
	}
}

// The real hosts file, at the fixed path that net.Resolver uses, is read by a resolver without a name server.
func TestHostsFile(t *testing.T) {
	if addrs, err := hostsFile().LookupNetIP(t.Context(), "ip", "no-such-name-in-it"); err == nil || !strings.Contains(err.Error(), noNameServer) {
		t.Errorf("got %v, %v, want %q", addrs, err, noNameServer)
	}
	file, err := os.ReadFile("/etc/hosts")
	if err != nil || !slices.Contains(strings.Fields(string(file)), "localhost") {
		t.Skipf("/etc/hosts does not name localhost (%v)", err)
	}
	addrs, err := hostsFile().LookupNetIP(t.Context(), "ip", "localhost")
	if err != nil || len(addrs) == 0 || !addrs[0].Unmap().IsLoopback() {
		t.Errorf("got %v, %v, want the loopback address", addrs, err)
	}
}

// Codes for a [nameServer] that does not respond, or whose response is incomplete over UDP.
const silence, truncated = dnsmessage.RCode(1000), dnsmessage.RCode(1001)

// nameServer responds to each A query with the next address, and then always with the last.
type nameServer struct {
	conn net.PacketConn

	codes map[dnsmessage.Type]dnsmessage.RCode // errors to respond with

	mu        sync.Mutex
	addresses [][4]byte
	questions []string
}

func serveDNS(t *testing.T, addresses ...[4]byte) *nameServer {
	t.Helper()
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &nameServer{conn: conn, addresses: addresses}
	t.Cleanup(func() { conn.Close() })
	return n
}

// resolver starts the name server and returns a resolver that asks it.
func (n *nameServer) resolver() Resolver {
	go n.serve()
	return nameServers{address: n.conn.LocalAddr().String(), timeout: 500 * time.Millisecond}
}

// asked returns the questions so far, sorted.
func (n *nameServer) asked() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Sorted(slices.Values(n.questions))
}

func (n *nameServer) serve() {
	buffer := make([]byte, 4096)
	for {
		size, from, err := n.conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
		m.Answers, m.RCode = n.answer(m.Questions[0]), n.codes[m.Questions[0].Type]
		switch m.RCode {
		case silence:
			continue
		case truncated:
			m.RCode, m.Truncated = dnsmessage.RCodeSuccess, true
		}
		if packed, err := m.Pack(); err == nil {
			_, _ = n.conn.WriteTo(packed, from)
		}
	}
}

func (n *nameServer) answer(q dnsmessage.Question) []dnsmessage.Resource {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.questions = append(n.questions, q.Type.String()+" "+q.Name.String())
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	if q.Type == dnsmessage.TypeNS {
		return []dnsmessage.Resource{{Header: header, Body: &dnsmessage.NSResource{NS: dnsmessage.MustNewName("ns.example.")}}}
	}
	if q.Type != dnsmessage.TypeA {
		return nil
	}
	address := n.addresses[0]
	if len(n.addresses) > 1 {
		n.addresses = n.addresses[1:]
	}
	return []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: address}}}
}
