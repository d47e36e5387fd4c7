package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// receivers are HTTPS servers on loopback. Each but the first has one fault.
type receivers struct {
	good, selfSigned, expired, wrongHost, oldProtocol, plain, hangsUp, notAllowed *receiver

	all    []*receiver
	closed string // the URL of a port that nothing listens on
	caFile string // the certificates to trust
}

func startReceivers(t *testing.T) *receivers {
	t.Helper()
	const local = "127.0.0.1"
	untrusted, expired := certificate(t, time.Now().Add(time.Hour)), certificate(t, time.Now().Add(-time.Minute))
	valid := new(tls.Config) // httptest's certificate for 127.0.0.1
	rs := &receivers{
		good:        startReceiver(t, local, valid),
		selfSigned:  startReceiver(t, local, &tls.Config{Certificates: []tls.Certificate{untrusted}}),
		expired:     startReceiver(t, local, &tls.Config{Certificates: []tls.Certificate{expired}}),
		wrongHost:   startReceiver(t, "127.0.0.2", valid),
		oldProtocol: startReceiver(t, local, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}),
		plain:       startReceiver(t, local, nil),
		hangsUp:     startReceiver(t, local, valid),
		notAllowed:  startReceiver(t, "127.0.0.3", valid),
		caFile:      filepath.Join(t.TempDir(), "ca.pem"),
	}
	rs.hangsUp.hangUp.Store(true)
	rs.all = []*receiver{rs.good, rs.selfSigned, rs.expired, rs.wrongHost, rs.oldProtocol, rs.plain, rs.hangsUp, rs.notAllowed}

	// Nothing listens on a client's port, and while the client is connected nothing else can.
	conn, err := net.Dial("tcp", rs.plain.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	rs.closed = "https://" + conn.LocalAddr().String() + "/"

	var trusted []byte
	for _, c := range [][]byte{rs.good.server.Certificate().Raw, expired.Certificate[0]} {
		trusted = append(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
	}
	if err := os.WriteFile(rs.caFile, trusted, 0o600); err != nil {
		t.Fatal(err)
	}
	return rs
}

// receiver is an HTTPS server that counts connections and requests.
type receiver struct {
	url         string
	server      *httptest.Server
	connections atomic.Int64
	requests    atomic.Int64
	hangUp      atomic.Bool // whether it closes every connection at once
}

// startReceiver starts a receiver, without TLS if config is nil.
func startReceiver(t *testing.T, host string, config *tls.Config) *receiver {
	t.Helper()
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{url: "https://" + listener.Addr().String() + "/webhooks/billing"}
	r.server = &httptest.Server{Listener: listener, TLS: config, Config: &http.Server{
		Handler:  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { r.requests.Add(1) }),
		ErrorLog: log.New(io.Discard, "", 0), // handshakes fail on purpose
		ConnState: func(conn net.Conn, state http.ConnState) {
			if state == http.StateNew {
				r.connections.Add(1)
				if r.hangUp.Load() {
					conn.Close()
				}
			}
		},
	}}
	if config == nil {
		r.server.Start()
	} else {
		r.server.StartTLS()
	}
	t.Cleanup(r.server.Close)
	return r
}

// inbox is a receiver whose certificate the service accepts and whose responses a test chooses.
type inbox struct {
	url      string
	received chan received
	respond  chan int // the status of each response
}

// received is a request that an inbox got.
type received struct {
	header http.Header
	body   []byte
}

// startInbox starts an inbox: on loopback if the tests started the service, otherwise at the target's receiver. It returns nil if they
// cannot receive there.
func startInbox(t *testing.T, target target) *inbox {
	t.Helper()
	i := &inbox{received: make(chan received, 10), respond: make(chan int, 10)}
	server := httptest.NewUnstartedServer(i)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // a TLS check is only a handshake
	if target.own == nil {
		if target.authority == "" {
			return nil
		}
		u, err := url.Parse(target.receiver)
		if err != nil {
			t.Fatal(err)
		}
		server.Listener.Close()
		if server.Listener, err = net.Listen("tcp", ":"+u.Port()); err != nil {
			t.Fatal(err)
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{issue(t, target.authority, u.Hostname())}}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	if i.url = target.receiver; target.own != nil {
		i.url = server.URL + "/webhooks/billing"
	}
	return i
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	i.received <- received{r.Header, body}
	select {
	case status := <-i.respond:
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "thanks")
	case <-r.Context().Done():
	}
}

// issue issues a certificate for a host by the authority in a file.
func issue(t *testing.T, file, host string) tls.Certificate {
	t.Helper()
	authority, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := newTemplate(time.Now().Add(time.Hour))
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, authority.Leaf, &key.PublicKey, authority.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func newTemplate(notAfter time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     notAfter,
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

// certificate returns a self-signed certificate for 127.0.0.1. A client trusts it if it is among the client's authorities.
func certificate(t *testing.T, notAfter time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := newTemplate(notAfter)
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.KeyUsage |= x509.KeyUsageCertSign
	template.IsCA, template.BasicConstraintsValid = true, true
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
