package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

const host = "receiver.example"

// newChecker returns a Checker that trusts an authority and resolves every name to the loopback address, which it allows.
func newChecker(trusted authority) *Checker {
	return &Checker{
		Policy:   policy("127.0.0.0/8"),
		Resolver: &resolver{addrs: []string{"127.0.0.1"}},
		RootCAs:  trusted.pool(),
		Now:      now,
	}
}

func mustParse(t *testing.T, raw string) URL {
	t.Helper()
	u, err := Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func urlOf(t *testing.T, host string, s *server) URL {
	t.Helper()
	return mustParse(t, "https://"+host+":"+strconv.Itoa(int(s.addr.Port()))+"/hook")
}

// assertRejected checks that the client learns the reason and nothing else.
func assertRejected(t *testing.T, err error, reason string) {
	t.Helper()
	got, ok := errors.AsType[*webhook.Error](err)
	if !ok {
		t.Fatalf("got %v, want a *webhook.Error", err)
	}
	want := webhook.Error{Kind: webhook.KindInvalid, Message: "TLS certificate validation failed: " + reason, Cause: got.Cause}
	if *got != want {
		t.Errorf("got %+v, want %+v", *got, want)
	}
	if got.Cause == nil {
		t.Error("the error has no cause")
	}
}

func TestCheckTLSCertificates(t *testing.T) {
	root := newAuthority(t, "root")
	intermediate := root.sign(authorityTemplate("intermediate"))
	good := root.sign(leafTemplate(host)).chain()
	narrow := authorityTemplate("narrow")
	narrow.PermittedDNSDomainsCritical = true
	narrow.PermittedDNSDomains = []string{"other.example"}
	narrowed := root.sign(narrow)

	tests := []struct {
		name   string
		host   string // receiver.example if empty
		config *tls.Config
		reason string // accepted if empty
	}{
		{name: "valid", config: with(good)},
		{name: "TLS 1.2", config: versions(good, tls.VersionTLS12, tls.VersionTLS12)},
		{name: "with its intermediate", config: with(intermediate.sign(leafTemplate(host)).chain(intermediate))},
		{name: "wildcard", config: with(root.sign(leafTemplate("*.example")).chain())},
		{name: "valid until this second", config: with(root.sign(valid(now().Add(-time.Hour), now())).chain())},
		{name: "international", host: "bücher.example",
			config: with(root.sign(leafTemplate("xn--bcher-kva.example")).chain())},
		{name: "for the address", host: "127.0.0.1", config: with(root.sign(leafTemplate("127.0.0.1")).chain())},

		{name: "expired", config: with(root.sign(valid(now().Add(-time.Hour), now().Add(-time.Second))).chain()), reason: reasonExpired},
		{name: "not yet valid", config: with(root.sign(valid(now().Add(time.Second), now().Add(time.Hour))).chain()), reason: reasonNotYetValid},
		{name: "wrong host", config: with(root.sign(leafTemplate("other.example")).chain()), reason: reasonWrongHost},
		{name: "wildcard for the level above", host: "a.b.example",
			config: with(root.sign(leafTemplate("*.example")).chain()), reason: reasonWrongHost},
		{name: "host only as common name", config: with(root.sign(commonName(host)).chain()), reason: reasonWrongHost},
		{name: "address, certificate for a name", host: "127.0.0.1", config: with(good), reason: reasonWrongHost},
		{name: "address, certificate for its text as a name", host: "127.0.0.1",
			config: with(root.sign(textAsName("127.0.0.1")).chain()), reason: reasonWrongHost},
		{name: "name rejected by the server", config: rejectName(tls.VersionTLS13), reason: reasonWrongHost},
		{name: "name rejected by the server, TLS 1.2", config: rejectName(tls.VersionTLS12), reason: reasonWrongHost},
		{name: "self-signed", config: with(authority{t: t}.sign(leafTemplate(host)).chain()), reason: reasonSelfSigned},
		{name: "unknown authority", config: with(newAuthority(t, "stranger").sign(leafTemplate(host)).chain()), reason: reasonUntrusted},
		{name: "unknown authority with the same name", config: with(newAuthority(t, "root").sign(leafTemplate(host)).chain()),
			reason: reasonUntrusted},
		{name: "missing intermediate", config: with(intermediate.sign(leafTemplate(host)).chain()), reason: reasonUntrusted},
		{name: "signed by a certificate that is not an authority",
			config: with(root.sign(leafTemplate("a.example")).sign(leafTemplate(host)).chain()), reason: reasonUntrusted},
		{name: "only for clients", config: with(root.sign(forClients()).chain()), reason: reasonNotAllowed},
		{name: "outside the name constraints of its authority", config: with(narrowed.sign(leafTemplate(host)).chain(narrowed)), reason: reasonNotAllowed},
		{name: "only TLS 1.1", config: versions(good, tls.VersionTLS11, tls.VersionTLS11), reason: reasonOldProtocol},
		{name: "only TLS 1.0", config: versions(good, tls.VersionTLS10, tls.VersionTLS10), reason: reasonOldProtocol},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t, serveTLS(t, tt.config))
			if tt.host == "" {
				tt.host = host
			}
			err := newChecker(root).CheckTLS(t.Context(), urlOf(t, tt.host, s))
			s.stop()
			if got := s.accepted.Load(); got != 1 {
				t.Errorf("the server saw %d connections, want 1", got)
			}
			if tt.reason != "" {
				assertRejected(t, err, tt.reason)
			} else if err != nil {
				t.Errorf("CheckTLS: %v", err)
			}
		})
	}
}

func TestCheckTLSUnreachable(t *testing.T) {
	root := newAuthority(t, "root")
	good := root.sign(leafTemplate(host)).chain()
	noCommonCipher := versions(good, tls.VersionTLS12, tls.VersionTLS12)
	noCommonCipher.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}

	tests := []struct {
		name  string
		serve func(net.Conn)
	}{
		{"hangs in the handshake", discard},
		{"hangs after half a record", func(c net.Conn) { write(c, "\x16\x03\x03\x00\x7a\x02"); discard(c) }},
		{"sends a byte at a time", drip},
		{"closes at once", func(net.Conn) {}},
		{"closes after the ClientHello", func(c net.Conn) { readSome(c) }},
		{"resets", func(c net.Conn) { readSome(c); _ = c.(*net.TCPConn).SetLinger(0) }},
		{"plain HTTP", func(c net.Conn) { readSome(c); write(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") }},
		{"redirect over plain HTTP", func(c net.Conn) { readSome(c); write(c, "HTTP/1.1 301 Moved\r\nLocation: https://127.0.0.1/\r\n\r\n") }},
		{"SSH", func(c net.Conn) { write(c, "SSH-2.0-OpenSSH_9.6\r\n"); readSome(c) }},
		{"another alert", func(c net.Conn) { readSome(c); write(c, "\x15\x03\x03\x00\x02\x02\x28") }},
		{"no common cipher suite", serveTLS(t, noCommonCipher)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t, tt.serve)
			c := newChecker(root)
			c.Timeout = 300 * time.Millisecond
			start := time.Now()
			err := c.CheckTLS(t.Context(), urlOf(t, host, s))
			assertRejected(t, err, reasonUnreachable)
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			s.stop()
			if got := s.accepted.Load(); got != 1 {
				t.Errorf("the server saw %d connections, want 1", got)
			}
		})
	}
	t.Run("connection refused", func(t *testing.T) {
		s := &server{addr: clientAddr(t)}
		assertRejected(t, newChecker(root).CheckTLS(t.Context(), urlOf(t, host, s)), reasonUnreachable)
	})
}

// An old server chooses its own version without saying that it does not support the offered ones.
func TestCheckTLSOldServerHello(t *testing.T) {
	hello := "\x02\x00\x00\x26\x03\x02" + string(make([]byte, 32)) + "\x00\xc0\x13\x00"
	s := listen(t, func(c net.Conn) {
		readSome(c)
		write(c, "\x16\x03\x02\x00"+string(rune(len(hello)))+hello)
		discard(c)
	})
	err := newChecker(newAuthority(t, "root")).CheckTLS(t.Context(), urlOf(t, host, s))
	assertRejected(t, err, reasonOldProtocol)
}

func TestCheckTLSUsesNoProxy(t *testing.T) {
	root := newAuthority(t, "root")
	proxy := listen(t, discard)
	for _, name := range []string{"HTTPS_PROXY", "https_proxy", "ALL_PROXY", "HTTP_PROXY"} {
		t.Setenv(name, "http://"+proxy.addr.String())
	}
	config := with(root.sign(leafTemplate(host)).chain())
	s := listen(t, serveTLS(t, config))
	if err := newChecker(root).CheckTLS(t.Context(), urlOf(t, host, s)); err != nil {
		t.Errorf("CheckTLS: %v", err)
	}
	if got := proxy.accepted.Load(); got != 0 {
		t.Errorf("the proxy saw %d connections", got)
	}
}

// If the request ends first, the host is not to blame.
func TestCheckTLSCanceled(t *testing.T) {
	left := errors.New("the client disconnected")
	canceled := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancelCause(ctx)
		time.AfterFunc(50*time.Millisecond, func() { cancel(left) })
		return ctx, func() { cancel(nil) }
	}
	expired := func(ctx context.Context) (context.Context, context.CancelFunc) {
		return context.WithTimeout(ctx, 50*time.Millisecond)
	}
	ended := func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancelCause(ctx)
		cancel(left)
		return ctx, func() {}
	}
	hanging := &resolver{hangs: true}
	tests := []struct {
		name     string
		resolver Resolver // loopback if nil
		ctx      func(context.Context) (context.Context, context.CancelFunc)
		cause    error
	}{
		{"canceled in the handshake", nil, canceled, left},
		{"canceled in the lookup", hanging, canceled, left},
		{"deadline exceeded in the handshake", nil, expired, context.DeadlineExceeded},
		{"deadline exceeded in the lookup", hanging, expired, context.DeadlineExceeded},
		{"canceled before", nil, ended, left},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t, discard)
			c := newChecker(newAuthority(t, "root"))
			if tt.resolver != nil {
				c.Resolver = tt.resolver
			}
			ctx, cancel := tt.ctx(t.Context())
			defer cancel()
			err := c.CheckTLS(ctx, urlOf(t, host, s))
			if webhook.KindOf(err) != webhook.KindUnavailable || !errors.Is(err, tt.cause) {
				t.Errorf("got %v, want unavailable because of %v", err, tt.cause)
			}
		})
	}
}

func TestNoCheck(t *testing.T) {
	if err := (NoCheck{}).CheckTLS(t.Context(), URL{}); err != nil {
		t.Errorf("got %v, want every URL accepted", err)
	}
}

func TestSystemRootsError(t *testing.T) {
	cause := x509.SystemRootsError{Err: errors.New("no such file")}
	err := failure(&tls.CertificateVerificationError{Err: cause}, now())
	if webhook.KindOf(err) != webhook.KindInternal || !errors.As(err, &x509.SystemRootsError{}) {
		t.Errorf("got %v, want an internal error with the same cause", err)
	}
}

func with(chain tls.Certificate) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{chain}}
}

func versions(chain tls.Certificate, lowest, highest uint16) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{chain}, MinVersion: lowest, MaxVersion: highest}
}

// rejectName returns a configuration without any certificate; the server sends an alert that says so.
func rejectName(highest uint16) *tls.Config {
	none := func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }
	return &tls.Config{GetCertificate: none, MaxVersion: highest}
}

func valid(from, until time.Time) *x509.Certificate {
	cert := leafTemplate(host)
	cert.NotBefore, cert.NotAfter = from, until
	return cert
}

func commonName(name string) *x509.Certificate {
	cert := leafTemplate()
	cert.Subject.CommonName = name
	return cert
}

func textAsName(address string) *x509.Certificate {
	cert := leafTemplate()
	cert.DNSNames = []string{address}
	return cert
}

func forClients() *x509.Certificate {
	cert := leafTemplate(host)
	cert.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return cert
}

func discard(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func readSome(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }

func write(c net.Conn, data string) { _, _ = io.WriteString(c, data) }

// drip sends a byte of a handshake every 20 ms until the client disconnects.
func drip(c net.Conn) {
	write(c, "\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
	for {
		if _, err := c.Write([]byte{3}); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// resolver returns the same result for every lookup and records what it was asked.
type resolver struct {
	addrs []string
	err   error
	hangs bool
	asked []string
	left  time.Duration // until the deadline, at the last lookup
}

func (r *resolver) LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error) {
	r.asked = append(r.asked, network+" "+host)
	if deadline, ok := ctx.Deadline(); ok {
		r.left = time.Until(deadline)
	}
	if r.hangs {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	var addrs []netip.Addr
	for _, text := range r.addrs {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	return addrs, r.err
}
