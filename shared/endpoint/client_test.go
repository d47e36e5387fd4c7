package endpoint

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

// receive serves TLS. respond is called with each request, and its connection for the response. The connection is closed when it
// returns false.
func receive(t *testing.T, config *tls.Config, respond func(c net.Conn, r *http.Request) bool) *server {
	return listen(t, func(c net.Conn) {
		session := tls.Server(c, config)
		defer session.Close()
		in := bufio.NewReader(session)
		for {
			r, err := http.ReadRequest(in)
			if err != nil || !respond(session, r) {
				return
			}
		}
	})
}

// acknowledge responds with 204.
func acknowledge(c net.Conn, r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body)
	write(c, "HTTP/1.1 204 No Content\r\n\r\n")
	return true
}

// newClient returns a client that trusts an authority and resolves every name to addresses, by default the loopback address.
func newClient(t *testing.T, trusted authority, addresses ...string) *Client {
	if addresses == nil {
		addresses = []string{"127.0.0.1"}
	}
	dialer := &Dialer{Policy: policy("127.0.0.0/8"), Resolver: &resolver{addrs: addresses}}
	c := NewClient(dialer, trusted.pool(), now)
	t.Cleanup(c.Close)
	return c
}

func post(t *testing.T, c *Client, u URL) (Response, error) {
	t.Helper()
	return c.Post(t.Context(), u, http.Header{"Content-Type": {"application/json"}, "User-Agent": {"Webhooks/1"}}, []byte(`{"a":1}`))
}

func assertClass(t *testing.T, err error, class webhook.ErrorClass) {
	t.Helper()
	if e, ok := errors.AsType[*PostError](err); !ok || e.Class != class || strings.Contains(err.Error(), "receiver") {
		t.Errorf("got %v, want the class %s", err, class)
	}
}

func TestPostSends(t *testing.T) {
	root := newAuthority(t, "root")
	type sent struct{ target, host, header, body string }
	requests := make(chan sent, 1)
	s := receive(t, with(root.sign(leafTemplate(host, "2606:4700::1111")).chain()), func(c net.Conn, r *http.Request) bool {
		body, _ := io.ReadAll(r.Body)
		var header strings.Builder
		_ = r.Header.Write(&header)
		requests <- sent{r.RequestURI, r.Host, header.String(), string(body)}
		write(c, "HTTP/1.1 204 No Content\r\n\r\n")
		return true
	})
	c := newClient(t, root)
	for _, tt := range []struct{ url, target, host string }{
		{"https://receiver.example/a%2Fb/@x/[y]//?q=[1]&r=%2f", "/a%2Fb/@x/[y]//?q=[1]&r=%2f", "receiver.example"},
		{"https://Receiver.example:443", "/", "receiver.example"},
		{"https://receiver.example:8443//a?", "//a?", "receiver.example:8443"},
		{"https://[2606:4700:0::1111]", "/", "[2606:4700::1111]"},
		{"https://[2606:4700:0::1111]:8443?a", "/?a", "[2606:4700::1111]:8443"},
		{"https://receiver.example/ü", "/%C3%BC", "receiver.example"},
	} {
		c.dialer.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, s.addr.String())
		}
		if r, err := post(t, c, mustParse(t, tt.url)); err != nil || r.Status != 204 {
			t.Fatalf("%s: got %+v, %v", tt.url, r, err)
		}
		want := sent{tt.target, tt.host, "Accept-Encoding: identity\r\nContent-Length: 7\r\nContent-Type: application/json\r\nUser-Agent: Webhooks/1\r\n", `{"a":1}`}
		if got := <-requests; got != want {
			t.Errorf("%s: sent %+v, want %+v", tt.url, got, want)
		}
	}
}

func TestPostResponses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	long := strings.Repeat("é", 40_000)
	tests := []struct {
		name, response string
		want           Response // without its header
		class          webhook.ErrorClass
	}{
		{"200", ok, Response{Status: 200, Excerpt: []byte("ok"), Bytes: 2}, ""},
		{"early hints", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 3) + "HTTP/1.1 100 Continue\r\n\r\n" + ok, Response{Status: 200, Excerpt: []byte("ok"), Bytes: 2}, ""},
		{"endless 1xx", strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </"+long[:1000]+">\r\n\r\n", 1000), Response{}, webhook.ErrorHTTP},
		{"redirect", "HTTP/1.1 302 Found\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n", Response{Status: 302}, ""},
		{"099", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", Response{Status: 99}, ""},
		{"600", "HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n", Response{Status: 600}, ""},
		{"101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nxxx", Response{Status: 101}, ""},
		{"500 without an end", "HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nout\r\n…", Response{Status: 500, Excerpt: []byte("out"), Bytes: 3}, ""},
		{"no reason, bare line feeds", "HTTP/1.0 200\nContent-Length: 2\n\nok", Response{Status: 200, Excerpt: []byte("ok"), Bytes: 2}, ""},
		{"an invalid chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Response{Status: 200}, ""},
		{"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok", Response{}, webhook.ErrorHTTP},
		{"body of the wrong length", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", Response{Status: 200, Excerpt: []byte("ok"), Bytes: 2}, ""},
		{"long body", "HTTP/1.1 400 Bad Request\r\n\r\n" + long, Response{Status: 400, Excerpt: []byte(long[:1024]), Bytes: maxDrained}, ""},
		{"gzip although not asked for", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", Response{Status: 200, Excerpt: []byte("\x1f\x8b\x08"), Bytes: 3}, ""},
		{"a header that stops", "HTTP/1.1 200 OK\r\nX-A: …", Response{}, webhook.ErrorTimeout},
		{"a header that drips", "HTTP/1.1 200 OK\r\nX-A: ~", Response{}, webhook.ErrorTimeout},
		{"nothing", "…", Response{}, webhook.ErrorTimeout},
		{"a large header", "HTTP/1.1 200 OK\r\nX-A: " + long + "\r\n\r\n", Response{}, webhook.ErrorHTTP},
		{"garbage", "\x00\x01\r\n\r\n", Response{}, webhook.ErrorHTTP},
		{"another protocol", "SSH-2.0-OpenSSH_9.6\r\n", Response{}, webhook.ErrorHTTP},
		{"closed", "", Response{}, webhook.ErrorHTTP},
	}
	root := newAuthority(t, "root")
	config := with(root.sign(leafTemplate(host)).chain())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			start, waits := strings.CutSuffix(tt.response, "…")
			start, drips := strings.CutSuffix(start, "~")
			s := receive(t, config, func(c net.Conn, _ *http.Request) bool { // the response comes before the body is read
				write(c, start)
				if drips {
					drip(c, "x")
				}
				if waits {
					discard(c)
				}
				return false
			})
			c := newClient(t, root)
			if waits || drips {
				c.timeout = 500 * time.Millisecond
			}
			began := time.Now()
			got, err := post(t, c, urlOf(t, host, s))
			if took := time.Since(began); took > 4*time.Second {
				t.Errorf("took %v", took)
			}
			if tt.class != "" {
				assertClass(t, err, tt.class)
				return
			}
			if err != nil || got.Status != tt.want.Status || !bytes.Equal(got.Excerpt, tt.want.Excerpt) || got.Bytes != tt.want.Bytes {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestPostCannotConnect(t *testing.T) {
	root := newAuthority(t, "root")
	good := root.sign(leafTemplate(host)).chain()
	never := func(net.Conn, *http.Request) bool { t.Error("a request was sent"); return false }
	stranger := receive(t, with(newAuthority(t, "stranger").sign(leafTemplate(host)).chain()), never)
	expired := receive(t, with(root.sign(valid(now().Add(-time.Hour), now().Add(-time.Second))).chain()), never)
	demanding := receive(t, clients(good, tls.RequireAnyClientCert, tls.VersionTLS13), never)
	demanding12 := receive(t, clients(good, tls.RequireAnyClientCert, tls.VersionTLS12), never)
	old := receive(t, versions(good, tls.VersionTLS11, tls.VersionTLS11), never)
	many := root.sign(leafTemplate(host)).chain(slices.Repeat([]authority{root}, maxChain/len(root.cert.Raw))...)
	refusing := &server{addr: clientAddr(t)}
	tests := []struct {
		name   string
		server *server
		change func(d *Dialer)
		class  webhook.ErrorClass
	}{
		{"unknown authority", stranger, nil, webhook.ErrorTLS},
		{"expired", expired, nil, webhook.ErrorTLS},
		{"client certificate required", demanding, nil, webhook.ErrorTLS},
		{"client certificate required, TLS 1.2", demanding12, nil, webhook.ErrorTLS},
		{"many certificates", receive(t, with(many), never), nil, webhook.ErrorTLS},
		{"TLS 1.1", old, nil, webhook.ErrorTLS},
		{"refused", refusing, nil, webhook.ErrorConnect},
		{"not allowed", stranger, func(d *Dialer) { d.Policy = Policy{} }, webhook.ErrorBlocked},
		{"one of two not allowed", stranger, func(d *Dialer) { d.Resolver = &resolver{addrs: []string{"127.0.0.1", "10.0.0.1"}} }, webhook.ErrorBlocked},
		{"unknown name", stranger, func(d *Dialer) { d.Resolver = &resolver{} }, webhook.ErrorDNS},
		{"no name server", stranger, func(d *Dialer) { d.Resolver = nameServers{address: refusing.addr.String()} }, webhook.ErrorDNS},
		{"only IPv6, which this machine does not have", stranger, func(d *Dialer) {
			d.Resolver = &resolver{addrs: []string{"2606:4700::1111"}}
			d.hasRoute = netip.Addr.Is4
			d.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, syscall.EADDRNOTAVAIL }
		}, webhook.ErrorConnect},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newClient(t, root)
			if tt.change != nil {
				tt.change(c.dialer)
			}
			_, err := post(t, c, urlOf(t, host, tt.server))
			assertClass(t, err, tt.class)
			if errors.Is(err, ErrLocal) {
				t.Errorf("this machine is to blame: %v", err)
			}
		})
	}
}

// The system may notice the deadline of a connection before its context does.
func TestPostConnectTimeout(t *testing.T) {
	c := newClient(t, newAuthority(t, "root"))
	c.timeout = 5 * time.Millisecond
	c.dialer.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
		for deadline, _ := ctx.Deadline(); time.Now().Before(deadline); {
			continue
		}
		return nil, os.ErrDeadlineExceeded
	}
	for range 20 {
		_, err := post(t, c, mustParse(t, "https://"+host))
		assertClass(t, err, webhook.ErrorTimeout)
	}
}

// If the first address does not work, the next one is tried within the same attempt.
func TestPostTriesTheNextAddress(t *testing.T) {
	root := newAuthority(t, "root")
	s := receive(t, with(root.sign(leafTemplate(host)).chain()), func(c net.Conn, _ *http.Request) bool {
		write(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		return true
	})
	for name, first := range map[string]func(ctx context.Context) error{
		"refuses":          func(context.Context) error { return errors.New("connection refused") },
		"swallows packets": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
	} {
		c := newClient(t, root, "127.0.0.2", "127.0.0.1")
		c.dialer.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
			if netip.MustParseAddrPort(address).Addr().String() == "127.0.0.2" {
				return nil, first(ctx)
			}
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		if r, err := post(t, c, urlOf(t, host, s)); err != nil || r.Status != 200 {
			t.Errorf("the first address %s: got %+v, %v", name, r, err)
		}
	}
}

// If a name server does not respond about one kind of address, the receiver is reached at the other.
func TestPostSilentNameServer(t *testing.T) {
	root := newAuthority(t, "root")
	s := receive(t, with(root.sign(leafTemplate(host)).chain()), acknowledge)
	for silent, address := range map[string]string{"ip6": "93.184.216.34", "ip4": "2606:4700::1111"} {
		c := newClient(t, root)
		c.timeout = 5 * time.Second
		c.dialer = &Dialer{Resolver: &resolver{addrs: []string{address}, silent: silent}, Dial: (&dialer{to: s}).dial}
		if r, err := post(t, c, urlOf(t, host, s)); err != nil || r.Status != 204 {
			t.Errorf("no response about %s: got %+v, %v", silent, r, err)
		}
	}
}

// A name that no longer points to allowed addresses gets no new connection. One that was opened before leads to an address that was
// allowed, and is not used for long.
func TestPostNameThatChanges(t *testing.T) {
	root := newAuthority(t, "root")
	s := receive(t, with(root.sign(leafTemplate(host)).chain()), acknowledge)
	c := newClient(t, root)
	clock, names := now(), &resolver{}
	c.kept.now = func() time.Time { return clock }
	c.dialer.Resolver = names
	for i, tt := range []struct {
		after       time.Duration
		addrs       []string
		class       webhook.ErrorClass
		connections int32
	}{
		{0, []string{"127.0.0.1"}, "", 1},
		{0, []string{"169.254.169.254"}, "", 1},
		{connLife, []string{"169.254.169.254"}, webhook.ErrorBlocked, 1},
		{0, []string{"127.0.0.1", "::1"}, webhook.ErrorBlocked, 1},
		{0, []string{"127.0.0.1"}, "", 2},
	} {
		clock, names.addrs = clock.Add(tt.after), tt.addrs
		if r, err := post(t, c, urlOf(t, host, s)); tt.class != "" {
			assertClass(t, err, tt.class)
		} else if err != nil || r.Status != 204 {
			t.Errorf("request %d: got %+v, %v", i+1, r, err)
		}
		if got := s.accepted.Load(); got != tt.connections {
			t.Errorf("request %d: %d connections so far, want %d", i+1, got, tt.connections)
		}
	}
}

// Connections are used again, for two minutes, unless a long body is left unread.
func TestPostKeepsConnections(t *testing.T) {
	root := newAuthority(t, "root")
	served := 0
	s := receive(t, with(root.sign(leafTemplate(host)).chain()), func(c net.Conn, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		served++
		body := ""
		if served == 3 {
			body = strings.Repeat("x", maxDrained+1)
		}
		write(c, fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		return true
	})
	c := newClient(t, root)
	clock := now()
	c.kept.now = func() time.Time { return clock }
	for i, want := range []int32{1, 1, 1, 2, 2, 3, 4} {
		switch i {
		case 5:
			clock = clock.Add(connLife)
		case 6:
			clock = clock.Add(-time.Second) // set back, so that the age is not known
		}
		if r, err := post(t, c, urlOf(t, host, s)); err != nil || r.Status != 200 {
			t.Fatalf("request %d: got %+v, %v", i+1, r, err)
		}
		if got := s.accepted.Load(); got != want {
			t.Errorf("request %d: %d connections so far, want %d", i+1, got, want)
		}
	}
}

// Whether a connection is used again depends on the header of the response and on how it ends.
func TestPostReuses(t *testing.T) {
	tests := []struct {
		name, response string
		connections    int32 // for two requests
	}{
		{"a length", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 1},
		{"chunks, an extension and a trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX-A: b\r\n\r\n", 1},
		{"close", "HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\nContent-Length: 2\r\n\r\nok", 2},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 2},
		{"HTTP/1.0, kept", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", 1},
		{"204, no length", "HTTP/1.1 204 No Content\r\n\r\n", 1},
		{"204, length 0", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 1},
		{"204, a body to come", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 2},
		{"204, chunks to come", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 2},
		{"101", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", 2},
	}
	root := newAuthority(t, "root")
	config := with(root.sign(leafTemplate(host)).chain())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := receive(t, config, func(c net.Conn, r *http.Request) bool {
				_, _ = io.Copy(io.Discard, r.Body)
				write(c, tt.response)
				return true
			})
			c := newClient(t, root)
			for _, size := range []int{smallBody + 1, 1} {
				if _, err := c.Post(t.Context(), urlOf(t, host, s), http.Header{}, make([]byte, size)); err != nil {
					t.Errorf("%d bytes: %v", size, err)
				}
			}
			if got := s.accepted.Load(); got != tt.connections {
				t.Errorf("%d connections, want %d", got, tt.connections)
			}
		})
	}
}

// If there are too many connections without a request, the one that was used longest ago is closed.
func TestPostMaxIdle(t *testing.T) {
	root := newAuthority(t, "root")
	s := receive(t, with(root.sign(leafTemplate("*.example")).chain()), acknowledge)
	c := newClient(t, root)
	c.MaxIdle = 2
	for i, tt := range []struct {
		host        string
		connections int32
	}{{"a", 1}, {"b", 2}, {"a", 2}, {"c", 3}, {"a", 3}, {"c", 3}, {"b", 4}} {
		if r, err := post(t, c, urlOf(t, tt.host+".example", s)); err != nil || r.Status != 204 {
			t.Errorf("request %d: got %+v, %v", i+1, r, err)
		}
		if got := s.accepted.Load(); got != tt.connections {
			t.Errorf("request %d: %d connections so far, want %d", i+1, got, tt.connections)
		}
	}
}

// slowDeadline is a connection on which passing a deadline in the past takes until release is closed.
type slowDeadline struct {
	net.Conn
	begun, release chan struct{}
}

func (c slowDeadline) SetDeadline(t time.Time) error {
	if t.Equal(time.Unix(1, 0)) {
		close(c.begun)
		<-c.release
	}
	return c.Conn.SetDeadline(t)
}

// A request that is canceled as its response arrives does not cancel the next request to the same receiver.
func TestPostCanceledWithResponse(t *testing.T) {
	root := newAuthority(t, "root")
	begun, release := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	requests := 0
	s := receive(t, with(root.sign(leafTemplate(host)).chain()), func(c net.Conn, r *http.Request) bool {
		if requests++; requests == 1 {
			cancel()
			<-begun
		} else {
			close(release)
			time.Sleep(20 * time.Millisecond) // until the deadline of the first connection is set
		}
		return acknowledge(c, r)
	})
	c := newClient(t, root)
	c.dialer.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, address)
		return slowDeadline{conn, begun, release}, err
	}
	for i, ctx := range []context.Context{ctx, t.Context()} {
		if r, err := c.Post(ctx, urlOf(t, host, s), http.Header{}, nil); err != nil || r.Status != 204 {
			t.Errorf("request %d: got %+v, %v", i+1, r, err)
		}
	}
}

// Whatever a receiver sends on a kept connection before it has an event, only the response to the event counts.
func TestPostUnsolicited(t *testing.T) {
	const ok, timeout = "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
	tests := []struct {
		name string
		// Sent on the first connection: with the first response, after it, and in response to the second request.
		with, after, second string
		requests            int32
	}{
		{"closed at the second request", "", "", "", 3},
		{"a 408 in response to the second request", "", "", timeout, 3},
		{"a 408 with the first response", timeout, "", ok, 2},
		{"a body after a 204", "ok", "", ok, 2},
		{"a 408 later", "", timeout, ok, 2},
		{"a second response later", "", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", ok, 2},
	}
	root := newAuthority(t, "root")
	config := with(root.sign(leafTemplate(host)).chain())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			received, sent := make(chan bool), make(chan bool)
			var requests atomic.Int32
			var s *server
			s = receive(t, config, func(c net.Conn, r *http.Request) bool {
				_, _ = io.Copy(io.Discard, r.Body)
				switch requests.Add(1); {
				case s.accepted.Load() > 1:
					write(c, "HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n")
				case requests.Load() == 2:
					write(c, tt.second)
					return false
				default:
					write(c, ok+tt.with)
					go func() {
						<-received
						if tt.after != "" {
							write(c, tt.after)
						}
						close(sent)
					}()
				}
				return true
			})
			c := newClient(t, root)
			first, err := post(t, c, urlOf(t, host, s))
			close(received)
			<-sent
			time.Sleep(20 * time.Millisecond) // until it has arrived
			second, err2 := post(t, c, urlOf(t, host, s))
			if first.Status != 204 || second.Status != 202 || requests.Load() != tt.requests || s.accepted.Load() != 2 {
				t.Errorf("got %d, %v and %d, %v after %d requests on %d connections, want 204 and 202 after %d requests on 2 connections",
					first.Status, err, second.Status, err2, requests.Load(), s.accepted.Load(), tt.requests)
			}
		})
	}
}

// If a receiver closes every kept connection when a request arrives, the request is sent twice, and not on each of them.
func TestPostSendsOnceMore(t *testing.T) {
	const connections = 3
	root := newAuthority(t, "root")
	var first sync.WaitGroup
	first.Add(connections)
	var received atomic.Int32
	var s *server
	s = receive(t, with(root.sign(leafTemplate(host)).chain()), func(c net.Conn, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		n := received.Add(1)
		if n <= connections {
			first.Done()
			first.Wait() // for the others, so that each has its own connection
		}
		if n > connections && s.accepted.Load() == connections {
			return false
		}
		write(c, "HTTP/1.1 204 No Content\r\n\r\n")
		return true
	})
	c := newClient(t, root)
	var posts sync.WaitGroup
	for range connections {
		posts.Go(func() { _, _ = post(t, c, urlOf(t, host, s)) })
	}
	posts.Wait()
	if r, err := post(t, c, urlOf(t, host, s)); err != nil || r.Status != 204 || received.Load() != connections+2 || s.accepted.Load() != connections+1 {
		t.Errorf("got %+v, %v after %d requests on %d connections", r, err, received.Load(), s.accepted.Load())
	}
}

// If anything of a response arrives on a kept connection, or time runs out, the request is not sent again.
func TestPostSendsNoMore(t *testing.T) {
	root := newAuthority(t, "root")
	for response, class := range map[string]webhook.ErrorClass{
		"H":                                webhook.ErrorHTTP,
		"HTTP/1.1 103 Early Hints\r\n\r\n": webhook.ErrorHTTP,
		"…":                                webhook.ErrorTimeout,
	} {
		var requests atomic.Int32
		s := receive(t, with(root.sign(leafTemplate(host)).chain()), func(c net.Conn, r *http.Request) bool {
			if requests.Add(1) == 1 {
				return acknowledge(c, r)
			}
			if class == webhook.ErrorTimeout {
				discard(c)
			}
			write(c, response)
			return false
		})
		c := newClient(t, root)
		c.timeout = 500 * time.Millisecond
		if r, err := post(t, c, urlOf(t, host, s)); err != nil || r.Status != 204 {
			t.Errorf("got %+v, %v", r, err)
		}
		_, err := post(t, c, urlOf(t, host, s))
		assertClass(t, err, class)
		if got := requests.Load(); got != 2 || s.accepted.Load() != 1 {
			t.Errorf("%q: %d requests on %d connections, want 2 on 1", response, got, s.accepted.Load())
		}
	}
}

// A receiver that never completes the handshake keeps its connection only until the request has ended.
func TestPostLeavesNoDial(t *testing.T) {
	disconnected := make(chan struct{}, 2) // the server connects once more when it stops
	s := listen(t, func(conn net.Conn) {
		discard(conn)
		disconnected <- struct{}{}
	})
	c := newClient(t, newAuthority(t, "root"))
	c.timeout = 100 * time.Millisecond
	_, err := post(t, c, urlOf(t, host, s))
	assertClass(t, err, webhook.ErrorTimeout)
	select {
	case <-disconnected:
	case <-time.After(2 * time.Second): // less than helloPatience
		t.Error("the client is still connected")
	}
}

// A response counts even if the receiver closes the connection without reading the whole body.
func TestPostEarlyResponse(t *testing.T) {
	root := newAuthority(t, "root")
	config := with(root.sign(leafTemplate(host)).chain())
	s := listen(t, func(conn net.Conn) {
		session := tls.Server(conn, config)
		if _, err := http.ReadRequest(bufio.NewReader(session)); err == nil {
			write(session, "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n")
		}
	})
	c := newClient(t, root)
	for range 20 { // sending fails in about half of them
		r, err := c.Post(t.Context(), urlOf(t, host, s), http.Header{}, make([]byte, 256<<10))
		if err != nil || r.Status != http.StatusGone {
			t.Fatalf("got %+v, %v", r, err)
		}
	}
}
