package api_test

import (
	"bufio"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"webhooks/shared/endpoint"
)

// Requests that no HTTP library sends: as bytes on the connection. KEY is a good API key.
func TestOnTheWire(t *testing.T) {
	const (
		auth    = "Host: x\r\nAuthorization: Bearer KEY\r\n"
		chunked = "POST /webhooks HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n"
	)
	noBody := refused("The body could not be read.")
	tests := []struct {
		name, sent string
		status     int
		body       string
	}{
		{"an absolute URL names a path", "GET http://elsewhere/webhooks HTTP/1.1\r\n" + auth + "\r\n", 200, list(0, 100, 1, 1)},
		{"HTTP/1.0", "GET /webhooks HTTP/1.0\r\n" + auth + "\r\n", 200, list(0, 100, 1, 1)},
		{"spaces around a key are none of it", "GET /webhooks HTTP/1.1\r\nHost: x\r\nauthorization:  Bearer   KEY \r\n\r\n", 200, list(0, 100, 1, 1)},
		{"a number sign is part of the path", "GET /webhooks#x HTTP/1.1\r\n" + auth + "\r\n", 404, refused("Path not found.")},
		{"a path beyond ASCII", "GET /webhooks/\xff HTTP/1.1\r\n" + auth + "\r\n", 404, refused("Webhook not found.")},
		{"an asterisk is no path", "GET * HTTP/1.1\r\n" + auth + "\r\n", 404, refused("Path not found.")},
		{"a method to be overridden", "GET /webhook?webhookId=x HTTP/1.1\r\n" + auth + "X-HTTP-Method-Override: DELETE\r\n\r\n", 404, refused("Webhook not found.")},
		{"a length beside chunks does not count", chunked + "Content-Length: 2\r\n\r\n0\r\n\r\n", 400, refused("The body must be one JSON object.")},
		{"a key in a trailer is none", chunked + "Trailer: Idempotency-Key\r\n\r\n2\r\n{}\r\n0\r\nIdempotency-Key: \r\n\r\n", 400, specify("webhook")},
		{"broken chunks", chunked + "\r\nzz\r\n", 400, noBody},
		{"broken chunks that nobody needs", "GET /webhooks HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, noBody},
		{"a body that ends too early", "POST /webhooks HTTP/1.1\r\n" + auth + "Content-Length: 50\r\n\r\n{", 400, noBody},
		{"a body too large is not waited for", "POST /webhooks HTTP/1.1\r\n" + auth + "Content-Length: 9223372036854775807\r\nExpect: 100-continue\r\n\r\n",
			413, refused("The body must have at most 65536 bytes.")},
	}
	w := newWorld(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			w.t = t
			r := w.exchange(strings.ReplaceAll(test.sent, "KEY", w.keys["acme"]))
			r.want(t, test.status, test.body)
			w.checkAlways(http.MethodGet, r)
		})
	}
	w.t = t
}

// What the HTTP server refuses by itself, before any handler: it has no id, and no body of ours.
func TestRefusedBeforeAnyHandler(t *testing.T) {
	const host = "Host: x\r\n"
	tests := []struct {
		name, sent string
		status     int
	}{
		{"a malformed request line", "NONSENSE\r\n\r\n", 400},
		{"a malformed path escape", "GET /%zz HTTP/1.1\r\n" + host + "\r\n", 400},
		{"a malformed header", "GET /webhooks HTTP/1.1\r\n" + host + "Not a name: x\r\n\r\n", 400},
		{"a malformed host", "GET /webhooks HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
		{"no host", "GET /webhooks HTTP/1.1\r\n\r\n", 400},
		{"an unknown Expect", "GET /webhooks HTTP/1.1\r\n" + host + "Expect: tea\r\n\r\n", 417},
		{"an unknown Transfer-Encoding", "POST /webhooks HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip\r\n\r\n", 501},
		{"another version", "GET /webhooks HTTP/3.0\r\n" + host + "\r\n", 505},
	}
	w := newWorld(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := w.exchange(test.sent)
			r.want(t, test.status, "")
			if id := r.header.Get("X-Request-Id"); id != "" || strings.HasPrefix(r.body, "{") {
				t.Errorf("got the id %q and the body %q, want neither an id nor JSON", id, r.body)
			}
		})
	}
}

// exchange sends bytes and reads the answer.
func (w *world) exchange(sent string) reply {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	if _, err := io.WriteString(conn, sent); err != nil {
		w.t.Fatal(err)
	}
	if strings.HasSuffix(sent, "{") { // nothing more comes
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			w.t.Fatal(err)
		}
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{status: response.StatusCode, header: response.Header, body: string(body)}
}

// Creating a webhook checks TLS for real: against a listener here.
func TestCreateWebhookChecksTLS(t *testing.T) {
	loopback := endpoint.Policy{AllowedNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	tests := []struct {
		name    string
		policy  endpoint.Policy
		trusted bool
		status  int
		message string
		dialled int32
	}{
		{"a trusted certificate", loopback, true, 201, "", 1},
		{"an untrusted one", loopback, false, 400, "TLS certificate validation failed: the certificate is self-signed; a trusted authority must issue it", 1},
		{"an address that is not public", endpoint.Policy{}, true, 400, "TLS certificate validation failed: the host could not be reached", 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			receiver, dialled := newReceiver(t)
			w := newWorld(t, func(w *world) {
				roots := x509.NewCertPool()
				if test.trusted {
					roots.AddCert(receiver.Certificate())
				}
				w.creator.TLS = &endpoint.Checker{Policy: test.policy, Resolver: &net.Resolver{}, RootCAs: roots, Now: w.clock.Now}
			})
			r := w.do(post(newBody("n", receiver.URL+"/in", paid)))
			want := ""
			if test.message != "" {
				want = refused(test.message)
			}
			r.want(t, test.status, want)
			if got := dialled.Load(); got != test.dialled {
				t.Errorf("dialled %d times, want %d", got, test.dialled)
			}
		})
	}
}

// newReceiver makes an HTTPS listener on loopback that counts connections.
func newReceiver(t *testing.T) (*httptest.Server, *atomic.Int32) {
	t.Helper()
	var dialled atomic.Int32
	receiver := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("an HTTP request was sent")
	}))
	receiver.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialled.Add(1)
		}
	}
	receiver.Config.ErrorLog = log.New(io.Discard, "", 0)
	receiver.StartTLS()
	t.Cleanup(receiver.Close)
	return receiver, &dialled
}
