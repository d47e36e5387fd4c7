package endpoint

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strconv"
	"testing"
	"time"

	"webhooks/shared/webhook"
)

const host = "receiver.example"

// newChecker returns a Checker that trusts an authority and resolves every name to the loopback address, which it allows.
func newChecker(trusted authority) *Checker {
	return &Checker{
		Dialer:  Dialer{Policy: policy("127.0.0.0/8"), Resolver: &resolver{addrs: []string{"127.0.0.1"}}},
		RootCAs: trusted.pool(),
		Now:     now,
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
	directory := root.sign(critical(authorityTemplate("directory"), nameConstraints, "\x30\x08\xa0\x06\x30\x04\xa4\x02\x30\x00"))
	sha1Template := authorityTemplate("SHA-1")
	sha1Template.SignatureAlgorithm = x509.ECDSAWithSHA1
	sha1Authority := root.sign(sha1Template)
	rsaKeyExchange := versions(good, tls.VersionTLS12, tls.VersionTLS12)
	rsaKeyExchange.CipherSuites = []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}

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
		{name: "name rejected by the server", config: rejectName(tls.VersionTLS13), reason: reasonUnknownHost},
		{name: "name rejected by the server, TLS 1.2", config: rejectName(tls.VersionTLS12), reason: reasonUnknownHost},
		{name: "self-signed", config: with(authority{t: t}.sign(leafTemplate(host)).chain()), reason: reasonSelfSigned},
		{name: "unknown authority", config: with(newAuthority(t, "stranger").sign(leafTemplate(host)).chain()), reason: reasonUntrusted},
		{name: "unknown authority with the same name", config: with(newAuthority(t, "root").sign(leafTemplate(host)).chain()),
			reason: reasonUntrusted},
		{name: "missing intermediate", config: with(intermediate.sign(leafTemplate(host)).chain()), reason: reasonUntrusted},
		{name: "signed by a certificate that is not an authority",
			config: with(root.sign(leafTemplate("a.example")).sign(leafTemplate(host)).chain()), reason: reasonUntrusted},
		{name: "only for clients", config: with(root.sign(forClients()).chain()), reason: reasonNotAllowed},
		{name: "outside the name constraints of its authority", config: with(narrowed.sign(leafTemplate(host)).chain(narrowed)), reason: reasonNotAllowed},
		{name: "negative serial number", config: with(patched(good, "\x02\x01\x01\x30", "\x02\x01\x81\x30")), reason: reasonMalformed},
		{name: "many certificates", config: with(root.sign(leafTemplate(host)).chain(slices.Repeat([]authority{root}, maxChain/len(root.cert.Raw))...)), reason: reasonLongChain},
		{name: "unknown kind of key", config: with(patched(good, "\x2a\x86\x48\xce\x3d\x02\x01", "\x2a\x86\x48\xce\x3d\x02\x7f")),
			reason: reasonUnsupportedKey},
		{name: "SHA-1", config: with(root.sign(sha1()).chain()), reason: reasonOldSignature},
		{name: "intermediate with SHA-1", config: with(sha1Authority.sign(leafTemplate(host)).chain(sha1Authority)), reason: reasonOldSignature},
		{name: "precertificate", config: with(root.sign(critical(leafTemplate(host), precertificatePoison, "\x05\x00")).chain()),
			reason: reasonPrecertificate},
		{name: "unknown critical extension", config: with(root.sign(critical(leafTemplate(host), "1.2.3", "\x05\x00")).chain()),
			reason: reasonExtension},
		{name: "name constraints for directories", config: with(directory.sign(leafTemplate(host)).chain(directory)), reason: reasonNameConstraints},
		{name: "client certificate required", config: clients(good, tls.RequireAnyClientCert, tls.VersionTLS13), reason: reasonClientCertificate},
		{name: "client certificate required, TLS 1.2", config: clients(good, tls.RequireAnyClientCert, tls.VersionTLS12),
			reason: reasonClientCertificate},
		{name: "client certificate requested", config: clients(good, tls.RequestClientCert, tls.VersionTLS13)},
		{name: "no common cipher suite", config: rsaKeyExchange, reason: reasonNothingInCommon},
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
	smallHello := func(c net.Conn) {
		hello := make([]byte, 4096)
		n, _ := c.Read(hello)
		if n > 1300 {
			discard(c)
			return
		}
		serveTLS(t, with(good))(&replayed{Conn: c, pending: hello[:n]})
	}
	alert := func(number string) func(net.Conn) {
		return func(c net.Conn) { readSome(c); write(c, "\x15\x03\x03\x00\x02\x02"+number) }
	}

	tests := []struct {
		name   string
		serve  func(net.Conn)
		tries  int32
		reason string // accepted if empty
	}{
		{"hangs in the handshake", discard, 2, reasonUnreachable},
		{"hangs after half a record", func(c net.Conn) { write(c, "\x16\x03\x03\x00\x7a\x02"); discard(c) }, 1, reasonUnreachable},
		{"sends a byte at a time", dripHello, 1, reasonUnreachable},
		{"closes at once", func(net.Conn) {}, 2, reasonUnreachable},
		{"closes after the ClientHello", func(c net.Conn) { readSome(c) }, 2, reasonUnreachable},
		{"resets", func(c net.Conn) { readSome(c); _ = c.(*net.TCPConn).SetLinger(0) }, 2, reasonUnreachable},
		{"plain HTTP", func(c net.Conn) { readSome(c); write(c, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n") }, 1, reasonUnreachable},
		{"SSH", func(c net.Conn) { write(c, "SSH-2.0-OpenSSH_9.6\r\n"); readSome(c) }, 1, reasonUnreachable},
		{"drops a large ClientHello", smallHello, 2, ""},
		{"pauses in its first record", func(c net.Conn) { serveTLS(t, with(good))(&pausing{Conn: c}) }, 1, ""},
		{"alert handshake_failure", alert("\x28"), 1, reasonNothingInCommon},
		{"alert internal_error", alert("\x50"), 1, `the server ended the TLS handshake with the alert "internal error"`},
		{"unknown alert", alert("\xc8"), 1, `the server ended the TLS handshake with the alert "alert(200)"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := listen(t, tt.serve)
			c := newChecker(root)
			c.Timeout = 500 * time.Millisecond
			start := time.Now()
			err := c.CheckTLS(t.Context(), urlOf(t, host, s))
			if tt.reason != "" {
				assertRejected(t, err, tt.reason)
			} else if err != nil {
				t.Errorf("CheckTLS: %v", err)
			}
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("took %v", took)
			}
			s.stop()
			if got := s.accepted.Load(); got != tt.tries {
				t.Errorf("the server saw %d connections, want %d", got, tt.tries)
			}
		})
	}
	t.Run("connection refused", func(t *testing.T) {
		s := &server{addr: clientAddr(t)}
		assertRejected(t, newChecker(root).CheckTLS(t.Context(), urlOf(t, host, s)), reasonUnreachable)
	})
}

// pausing sends the first byte immediately and the next ones after a pause.
type pausing struct {
	net.Conn
	paused bool
}

func (c *pausing) Write(b []byte) (int, error) {
	if !c.paused {
		c.paused = true
		if _, err := c.Conn.Write(b[:1]); err != nil {
			return 0, err
		}
		time.Sleep(350 * time.Millisecond)
		n, err := c.Conn.Write(b[1:])
		return n + 1, err
	}
	return c.Conn.Write(b)
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
