package endpoint

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"io"
	"math/big"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// server is a listener on loopback that passes every connection to a function.
type server struct {
	addr     netip.AddrPort
	accepted atomic.Int32
	stop     func() // accepts pending connections, then stops and waits for all of them
}

func listen(t *testing.T, serve func(net.Conn)) *server {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{addr: listener.Addr().(*net.TCPAddr).AddrPort()}
	clients := make(chan string, 100) // more than any test opens
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.accepted.Add(1)
			clients <- conn.RemoteAddr().String()
			running.Go(func() {
				defer conn.Close()
				serve(conn)
			})
		}
	})
	s.stop = sync.OnceFunc(func() {
		// Connections are accepted in order, so once this one is accepted, all are.
		last, err := net.Dial("tcp4", s.addr.String())
		if err != nil {
			t.Error(err)
		} else {
			last.Close()
			for last.LocalAddr().String() != <-clients {
			}
			s.accepted.Add(-1)
		}
		listener.Close()
		running.Wait()
	})
	t.Cleanup(s.stop)
	return s
}

// clientAddr returns the address of a connected client. Until the test ends nothing can listen there.
func clientAddr(t *testing.T) netip.AddrPort {
	t.Helper()
	conn, err := net.Dial("tcp4", listen(t, discard).addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.LocalAddr().(*net.TCPAddr).AddrPort()
}

// serveTLS completes a handshake and waits until the client disconnects. The client must not send anything else.
func serveTLS(t *testing.T, config *tls.Config) func(net.Conn) {
	return func(conn net.Conn) {
		session := tls.Server(conn, config)
		defer session.Close()
		if session.Handshake() != nil {
			return
		}
		if data, err := io.ReadAll(session); len(data) > 0 {
			t.Errorf("the client sent %q (%v), want nothing", data, err)
		}
	}
}

// authority is a certificate authority, or a self-signed certificate.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// now is the current time in all tests of this package.
func now() time.Time { return time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC) }

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	return authority{t: t}.sign(authorityTemplate(name))
}

func authorityTemplate(name string) *x509.Certificate {
	return &x509.Certificate{
		Subject:               pkix.Name{CommonName: name},
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign,
	}
}

// leafTemplate is a certificate for names or addresses.
func leafTemplate(hosts ...string) *x509.Certificate {
	cert := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "a receiver"},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			cert.IPAddresses = append(cert.IPAddresses, ip)
		} else {
			cert.DNSNames = append(cert.DNSNames, host)
		}
	}
	return cert
}

// sign completes a template, and signs it with the authority's key, or with its own key when the
// authority is empty.
func (a authority) sign(template *x509.Certificate) authority {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(1)
	if template.NotBefore.IsZero() {
		template.NotBefore = now().Add(-24 * time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = now().Add(24 * time.Hour)
	}
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return authority{t: a.t, cert: cert, key: key}
}

// chain is a server's certificate, with the intermediates that it sends.
func (a authority) chain(intermediates ...authority) tls.Certificate {
	chain := tls.Certificate{Certificate: [][]byte{a.cert.Raw}, PrivateKey: a.key}
	for _, i := range intermediates {
		chain.Certificate = append(chain.Certificate, i.cert.Raw)
	}
	return chain
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
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

// patched returns a chain whose first certificate has other bytes in one place, and so an invalid signature.
func patched(chain tls.Certificate, old, new string) tls.Certificate {
	leaf := bytes.Replace(chain.Certificate[0], []byte(old), []byte(new), 1)
	return tls.Certificate{Certificate: [][]byte{leaf}, PrivateKey: chain.PrivateKey}
}

func sha1() *x509.Certificate {
	cert := leafTemplate(host)
	cert.SignatureAlgorithm = x509.ECDSAWithSHA1
	return cert
}

func critical(cert *x509.Certificate, oid, value string) *x509.Certificate {
	var id asn1.ObjectIdentifier
	for part := range strings.SplitSeq(oid, ".") {
		number, _ := strconv.Atoi(part)
		id = append(id, number)
	}
	cert.ExtraExtensions = []pkix.Extension{{Id: id, Critical: true, Value: []byte(value)}}
	return cert
}

func clients(chain tls.Certificate, auth tls.ClientAuthType, version uint16) *tls.Config {
	config := versions(chain, version, version)
	config.ClientAuth = auth
	return config
}

// replayed is a connection of which some bytes have been read already.
type replayed struct {
	net.Conn
	pending []byte
}

func (r *replayed) Read(b []byte) (int, error) {
	if len(r.pending) == 0 {
		return r.Conn.Read(b)
	}
	n := copy(b, r.pending)
	r.pending = r.pending[n:]
	return n, nil
}

func discard(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

func readSome(c net.Conn) { _, _ = c.Read(make([]byte, 4096)) }

func write(c net.Conn, data string) { _, _ = io.WriteString(c, data) }

// dripHello sends a ServerHello byte by byte.
func dripHello(c net.Conn) {
	write(c, "\x16\x03\x03\x40\x00\x02\x00\x3f\xfc")
	drip(c, "\x03")
}

// drip sends a byte every 20 ms until the client disconnects.
func drip(c net.Conn, b string) {
	for {
		if _, err := io.WriteString(c, b); err != nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}
