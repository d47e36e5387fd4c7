package dispatch_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"webhooks/shared/endpoint"
	"webhooks/shared/webhook"
)

// network has the receivers as servers, which the real endpoint.Client reaches over TLS and connections in memory.
type network struct {
	*simulation
	trusted, other tls.Certificate
	roots          *x509.CertPool
	connections    int // so far
	clients        []*endpoint.Client
	open           sync.WaitGroup
}

func newNetwork(t *testing.T, s *simulation) *network {
	n := &network{simulation: s, trusted: selfSigned(t), other: selfSigned(t), roots: x509.NewCertPool()}
	n.roots.AddCert(n.trusted.Leaf)
	return n
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().AddDate(1, 0, 0), DNSNames: []string{"*.example"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// close closes the connections that are kept, and waits until none is left.
func (n *network) close() {
	for _, c := range n.clients {
		c.Close()
	}
	n.open.Wait()
}

// secureClient posts with the real client of one process, and is its resolver and dialer.
type secureClient struct {
	*process
	network *network
	client  *endpoint.Client
	private sync.Map // of names of attempts for which the receiver had a private address
}

func (n *network) client(p *process) *secureClient {
	c := &secureClient{process: p, network: n}
	c.client = endpoint.NewClient(&endpoint.Dialer{Resolver: c, Dial: c.dial}, n.roots, p.now)
	n.clients = append(n.clients, c.client)
	return c
}

// Post implements the attempter's interface.
func (c *secureClient) Post(ctx context.Context, u endpoint.URL, header http.Header, body []byte) (endpoint.Response, error) {
	response, err := c.client.Post(ctx, u, header, body)
	failure, failed := errors.AsType[*endpoint.PostError](err)
	attempt := nameIn(ctx)
	if _, private := c.private.Load(attempt); private && failed && ctx.Err() == nil && failure.Class != webhook.ErrorBlocked {
		c.wrong("%s: the receiver has a private address, but the error is %q", attempt, failure.Class)
	}
	return response, err
}

func nameIn(ctx context.Context) string { return ctx.Value(workKey{}).(string) }

// LookupNetIP returns an IPv4 address of a receiver: for w7.example, one that ends with 7.
func (c *secureClient) LookupNetIP(ctx context.Context, family, host string) ([]netip.Addr, error) {
	if family == "ip6" {
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	}
	if !c.step(c.process, "look up %s for %s", host, nameIn(ctx)) {
		return nil, errCrashed
	}
	var number byte
	if _, err := fmt.Sscanf(host, "w%d.example.", &number); err != nil {
		return nil, err
	}
	before := c.numbered(number).reply(c.simulation, false)
	c.note("  %s", before.name)
	switch before.name {
	case noAddress:
		return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
	case privateAddress:
		c.private.Store(nameIn(ctx), true)
		return []netip.Addr{netip.AddrFrom4([4]byte{10, 0, 0, number})}, nil
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{93, 184, 216, number})}, nil
}

// numbered returns the receiver with a number.
func (s *simulation) numbered(number byte) *receiver {
	for _, r := range s.subscribers {
		if r.number == int(number) {
			return r
		}
	}
	return nil
}

func (c *secureClient) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if !c.step(c.process, "connect to %s for %s", address, nameIn(ctx)) {
		return nil, errCrashed
	}
	to := netip.MustParseAddrPort(address)
	if to.Addr().IsPrivate() {
		c.wrong("connected to %s", address)
	}
	r := c.numbered(to.Addr().As4()[3])
	before := r.reply(c.simulation, false)
	certificate := c.network.trusted
	switch before.name {
	case refuses:
		return nil, errors.New("connection refused")
	case untrusted:
		certificate = c.network.other
	}
	c.network.connections++
	number := c.network.connections
	c.note("  %s, connection %d", before.name, number)
	near, far := net.Pipe()
	client := newBuffered(near)
	c.network.open.Go(func() {
		c.network.serve(tls.Server(far, &tls.Config{Certificates: []tls.Certificate{certificate}}), r, number, c.now)
	})
	go func() {
		select {
		case <-c.dead:
			_ = client.Close()
		case <-client.closed:
		}
	}()
	return client, nil
}

// buffered is a connection whose writes do not wait for the other end.
type buffered struct {
	net.Conn
	out    chan []byte
	once   sync.Once
	closed chan struct{}
}

func newBuffered(conn net.Conn) *buffered {
	b := &buffered{Conn: conn, out: make(chan []byte, 1000), closed: make(chan struct{})}
	go func() {
		for {
			select {
			case data := <-b.out:
				if _, err := b.Conn.Write(data); err != nil {
					return
				}
			case <-b.closed:
				return
			}
		}
	}()
	return b
}

// Write implements [net.Conn].
func (b *buffered) Write(data []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, net.ErrClosed
	default:
	}
	b.out <- append([]byte(nil), data...)
	return len(data), nil
}

// Close implements [net.Conn].
func (b *buffered) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.Conn.Close()
}

// serve is the receiver's end of a connection. The clock is the one of the process at the other end.
func (n *network) serve(session *tls.Conn, r *receiver, connection int, now func() time.Time) {
	defer session.Close()
	in := bufio.NewReader(session)
	for served := 0; ; served++ {
		request, err := http.ReadRequest(in)
		if err != nil {
			return
		}
		body, err := io.ReadAll(request.Body)
		if err != nil || !n.step(nil, "request %d on connection %d", served, connection) {
			return
		}
		if got := "https://" + request.Host + request.RequestURI; request.Method != http.MethodPost || got != r.url() {
			n.wrong("a %s request to %s", request.Method, got)
		}
		post := n.arrived(r, request.Header, body, served > 0)
		after := r.reply(n.simulation, true)
		n.note("  %s", after.name)
		wait := n.between(0, after.wait)
		switch after.name {
		case hangs:
			_, _ = io.Copy(io.Discard, in)
			return
		case drips:
			for drop := "HTTP/1.1 200 OK\r\nDrops: "; err == nil; drop = "." {
				_, err = io.WriteString(session, drop)
				time.Sleep(time.Second)
			}
			return
		}
		time.Sleep(wait)
		switch {
		case after.name == garbage:
			_, _ = io.WriteString(session, "\x00\x01\r\n\r\n")
			return
		case after.name == resets:
			_ = session.NetConn().Close()
			return
		case !n.step(nil, "respond to %d on connection %d", served, connection):
			return
		}
		response := http.Response{
			StatusCode: after.status, ProtoMajor: 1, ProtoMinor: 1, Header: n.respond(now(), post, after), Request: request,
		}
		if after.status != http.StatusNoContent {
			response.Body, response.ContentLength = io.NopCloser(strings.NewReader("thank you")), 9
		}
		if err := response.Write(session); err != nil {
			return
		}
	}
}
