package bench

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

const (
	receiverRole = "receiver"
	receiverDir  = "WEBHOOKS_BENCH_RECEIVER_DIR"
	// sentField precedes the time at which a publisher sent an event, in nanoseconds.
	sentField = `"sent":`
)

// receiver is a process that acknowledges every POST. It is an HTTPS server on all addresses of loopback, so that webhooks can
// have different hosts.
type receiver struct {
	*child
	address // where it listens
}

type address struct {
	Port   int
	CAFile string
}

func startReceiver(b *testing.B) *receiver {
	b.Helper()
	b.Setenv(receiverDir, b.TempDir())
	r := &receiver{child: startChild(b, receiverRole)}
	r.report(b, &r.address)
	return r
}

// url returns the URL of a webhook. The webhooks are spread over a number of hosts.
func (r *receiver) url(webhook, hosts int) string {
	host := webhook % hosts
	return fmt.Sprintf("https://127.0.%d.%d:%d/webhooks/%d", host/250, host%250+1, r.Port, webhook)
}

// expectation is an order to count from zero, and to report when a number of requests have arrived, or too late.
type expectation struct {
	Requests int
	Patience time.Duration
}

// arrivals is what the receiver reports.
type arrivals struct {
	Requests, Connections int           // Connections are new ones
	Elapsed               time.Duration // from the first request to the last one
	Last                  time.Time
	Latencies             []time.Duration // since the publisher sent the event, ascending
}

// expect returns a function that waits until a number of requests have arrived after this call.
func (r *receiver) expect(b *testing.B, requests int) (wait func() arrivals) {
	b.Helper()
	r.order(b, expectation{requests, 5 * time.Minute})
	var ready struct{}
	r.report(b, &ready)
	return func() arrivals {
		b.Helper()
		var got arrivals
		if r.report(b, &got); got.Requests < requests {
			b.Fatalf("%d of %d requests arrived", got.Requests, requests)
		}
		return got
	}
}

// runReceiver is the process.
func runReceiver(orders *json.Decoder, reports *json.Encoder) error {
	authority, err := newAuthority()
	if err != nil {
		return err
	}
	caFile := filepath.Join(os.Getenv(receiverDir), "ca.pem")
	if err := os.WriteFile(caFile, authority.pem(), 0o600); err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		return err
	}
	c := &counter{}
	server := &http.Server{
		Handler:   c,
		TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13, GetCertificate: authority.certificateFor},
		ConnState: c.connection,
		ErrorLog:  log.New(io.Discard, "", 0),
	}
	go func() { _ = server.ServeTLS(listener, "", "") }() // until the process exits
	if err := reports.Encode(address{listener.Addr().(*net.TCPAddr).Port, caFile}); err != nil {
		return err
	}
	for {
		var order expectation
		if err := orders.Decode(&order); err != nil {
			return err
		}
		complete := c.reset(order.Requests)
		if err := reports.Encode(struct{}{}); err != nil {
			return err
		}
		select {
		case <-complete:
		case <-time.After(order.Patience):
		}
		if err := reports.Encode(c.arrivals()); err != nil {
			return err
		}
	}
}

// counter counts the requests of a receiver.
type counter struct {
	mu       sync.Mutex
	got      arrivals
	first    time.Time
	expected int
	complete chan struct{} // closed when the expected requests have arrived
}

func (c *counter) reset(expected int) (complete <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got, c.first, c.expected, c.complete = arrivals{}, time.Time{}, expected, make(chan struct{})
	return c.complete
}

func (c *counter) arrivals() arrivals {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got.Elapsed = c.got.Last.Sub(c.first)
	slices.Sort(c.got.Latencies)
	return c.got
}

// ServeHTTP acknowledges a request.
func (c *counter) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	now := time.Now()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if sent, ok := sentAt(body); ok {
		c.got.Latencies = append(c.got.Latencies, now.Sub(sent))
	}
	if c.got.Requests == 0 {
		c.first = now
	}
	c.got.Last = now
	if c.got.Requests++; c.got.Requests == c.expected {
		close(c.complete)
	}
}

func (c *counter) connection(_ net.Conn, state http.ConnState) {
	if state == http.StateNew {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.got.Connections++
	}
}

// sentAt returns when the publisher sent an event, if its body says so.
func sentAt(body []byte) (time.Time, bool) {
	_, after, ok := bytes.Cut(body, []byte(sentField))
	if !ok {
		return time.Time{}, false
	}
	digits, _, _ := bytes.Cut(after, []byte(","))
	nanoseconds, err := strconv.ParseInt(string(digits), 10, 64)
	return time.Unix(0, nanoseconds), err == nil
}

// authority issues the certificates of all addresses.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	issued      sync.Map // by address
}

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	a := &authority{key: key, certificate: &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}}
	der, err := x509.CreateCertificate(rand.Reader, a.certificate, a.certificate, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	a.certificate, err = x509.ParseCertificate(der)
	return a, err
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.certificate.Raw})
}

// certificateFor returns a certificate for the address that a client has connected to.
func (a *authority) certificateFor(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	ip := hello.Conn.LocalAddr().(*net.TCPAddr).IP
	if issued, ok := a.issued.Load(ip.String()); ok {
		return issued.(*tls.Certificate), nil
	}
	leaf := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(ip.To4()), NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{ip},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.certificate, &a.key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	issued := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: a.key}
	a.issued.Store(ip.String(), issued)
	return issued, nil
}
