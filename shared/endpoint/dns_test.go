package endpoint

import (
	"context"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// The real resolver asks a name server on loopback for the absolute name, once per record type, and returns IPv4
// addresses in IPv4-mapped form.
func TestCheckTLSRealResolver(t *testing.T) {
	root := newAuthority(t, "root")
	s := listen(t, serveTLS(t, with(root.sign(leafTemplate(host)).chain())))
	names := serveDNS(t, [4]byte{127, 0, 0, 1})
	c := newChecker(root)
	c.Resolver = names.resolver()
	if err := c.CheckTLS(t.Context(), urlOf(t, host, s)); err != nil {
		t.Errorf("CheckTLS: %v", err)
	}
	if got, want := names.asked(), []string{"TypeA receiver.example.", "TypeAAAA receiver.example."}; !slices.Equal(got, want) {
		t.Errorf("the name server was asked %q, want %q", got, want)
	}
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

// nameServer responds to each A query with the next address, and then always with the last.
type nameServer struct {
	conn net.PacketConn

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
	go n.serve()
	return n
}

func (n *nameServer) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp4", n.conn.LocalAddr().String())
	}}
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
		m.Answers = n.answer(m.Questions[0])
		if packed, err := m.Pack(); err == nil {
			_, _ = n.conn.WriteTo(packed, from)
		}
	}
}

func (n *nameServer) answer(q dnsmessage.Question) []dnsmessage.Resource {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.questions = append(n.questions, q.Type.String()+" "+q.Name.String())
	if q.Type != dnsmessage.TypeA {
		return nil
	}
	address := n.addresses[0]
	if len(n.addresses) > 1 {
		n.addresses = n.addresses[1:]
	}
	header := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	return []dnsmessage.Resource{{Header: header, Body: &dnsmessage.AResource{A: address}}}
}
