package e2e

import (
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// receiverPath is where the receivers expect webhooks.
const receiverPath = "/webhooks/billing"

// receivers are TLS listeners on loopback, one for each thing that can be wrong with one.
type receivers struct {
	authority *authority
	caFile    string // of the authority that vouches for good
	allowed   string // the one network that the service may reach, which notAllowed is not in

	good, selfSigned, expired, wrongHost, oldProtocol, plain, hangsUp, notAllowed *receiver
	// closed is the URL of a port where nothing listens.
	closed string
}

func (rs *receivers) all() []*receiver {
	return []*receiver{rs.good, rs.selfSigned, rs.expired, rs.wrongHost, rs.oldProtocol, rs.plain, rs.hangsUp, rs.notAllowed}
}

func startReceivers(t *testing.T) *receivers {
	t.Helper()
	rs := &receivers{authority: newAuthority(t), allowed: "127.0.0.1/32"}
	rs.caFile = rs.authority.file(t)
	const local = "127.0.0.1"
	tlsWith := func(c tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{c}} }
	valid := rs.authority.issue(t, leaf{host: local})

	rs.good = startReceiver(t, local, tlsWith(valid))
	rs.selfSigned = startReceiver(t, local, tlsWith(selfSigned(t, leaf{host: local})))
	rs.expired = startReceiver(t, local, tlsWith(rs.authority.issue(t, leaf{host: local, expired: true})))
	rs.wrongHost = startReceiver(t, local, tlsWith(rs.authority.issue(t, leaf{host: "elsewhere.example"})))
	old := tlsWith(valid)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	rs.oldProtocol = startReceiver(t, local, old)
	rs.plain = startReceiver(t, local, nil)
	rs.hangsUp = startReceiver(t, local, tlsWith(valid))
	rs.hangsUp.refuse.Store(true)
	const outside = "127.0.0.2"
	rs.notAllowed = startReceiver(t, outside, tlsWith(rs.authority.issue(t, leaf{host: outside})))

	rs.closed = "https://" + rs.plain.clientAddress(t) + receiverPath
	return rs
}

// start starts one more receiver that passes the TLS check.
func (rs *receivers) start(t *testing.T) *receiver {
	t.Helper()
	const local = "127.0.0.1"
	return startReceiver(t, local, &tls.Config{Certificates: []tls.Certificate{rs.authority.issue(t, leaf{host: local})}})
}

// receiver is an HTTPS server that counts what comes.
type receiver struct {
	url      string
	address  string
	server   *http.Server
	accepted atomic.Int64
	requests atomic.Int64
	// refuse makes it close every connection at once.
	refuse atomic.Bool
}

func startReceiver(t *testing.T, host string, config *tls.Config) *receiver {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{address: listener.Addr().String()}
	r.url = "https://" + r.address + receiverPath
	listener = &countingListener{Listener: listener, receiver: r}
	if config != nil {
		listener = tls.NewListener(listener, config)
	}
	r.server = &http.Server{
		Handler:           http.HandlerFunc(func(http.ResponseWriter, *http.Request) { r.requests.Add(1) }),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // failed handshakes are meant
	}
	go func() { _ = r.server.Serve(listener) }()
	t.Cleanup(r.stop)
	return r
}

// clientAddress is the address of a client that is connected to the receiver until the test ends. Nothing listens there,
// and while the client holds the port nobody else can, as would soon happen with the port of a listener that was closed.
func (r *receiver) clientAddress(t *testing.T) string {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}

func (r *receiver) stop() { _ = r.server.Close() }

// connections is how many were accepted.
func (r *receiver) connections() int64 { return r.accepted.Load() }

type countingListener struct {
	net.Listener
	receiver *receiver
}

// Accept counts the connections and closes those that are to be refused.
func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.receiver.accepted.Add(1)
	if l.receiver.refuse.Load() {
		_ = conn.Close()
	}
	return conn, nil
}
