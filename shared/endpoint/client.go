package endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"webhooks/shared/webhook"
)

// Limits of one POST.
const (
	postTimeout    = 15 * time.Second // from the lookup to the response's header
	bodyTimeout    = time.Second      // for the response's body, after its header
	addressTimeout = 3 * time.Second  // to connect to an address if there are others
	helloPatience  = 5 * time.Second  // for the response to a ClientHello
	excerptSize    = 1 << 10
	maxDrained     = 64 << 10
)

// Limits of connections that are kept open.
const (
	maxIdle     = 1024
	idleTimeout = 30 * time.Second
	// transportLife is how long connections are used for new requests, so that a change of a name takes effect.
	transportLife = 2 * time.Minute
)

// Client posts to receivers over TLS and HTTP/1.1. It connects through a [Dialer], always verifies certificates, and
// follows no redirects, uses no proxy and keeps no cookies. Connections are kept open for later requests. It is safe for
// concurrent use by multiple goroutines.
type Client struct {
	dialer  *Dialer
	now     func() time.Time
	config  *tls.Config
	timeout time.Duration // postTimeout, or shorter in tests

	fresh *http.Transport // connects anew for each request

	mu        sync.Mutex
	transport *http.Transport
	since     time.Time
}

// Response is what a receiver responded.
type Response struct {
	// Status is the status code, from 0 to 999.
	Status int
	Header http.Header
	// Excerpt is the beginning of the body, at most 1 KiB, as it was received.
	Excerpt []byte
	// Bytes is how much of the body was read, at most 64 KiB.
	Bytes int
}

// PostError means that no response arrived. Its text contains no name or address of the receiver.
type PostError struct {
	Class webhook.ErrorClass
	err   error
}

// Error returns the class.
func (e *PostError) Error() string { return "posting failed: " + string(e.Class) }

// Unwrap returns the cause, which may contain the receiver's name and address.
func (e *PostError) Unwrap() error { return e.err }

// NewClient returns a client that trusts the authorities in roots; nil means the system's. now is the clock for
// certificates and the age of connections.
func NewClient(dialer *Dialer, roots *x509.CertPool, now func() time.Time) *Client {
	c := &Client{
		dialer:  dialer,
		now:     now,
		timeout: postTimeout,
		config: &tls.Config{
			MinVersion:         tls.VersionTLS12,
			RootCAs:            roots,
			Time:               now,
			ClientSessionCache: tls.NewLRUClientSessionCache(maxIdle),
		},
	}
	c.fresh = c.newTransport()
	c.fresh.DisableKeepAlives = true
	return c
}

// Post sends a body to a URL with the headers given, and "accept-encoding: identity". It returns the response as soon as
// its header has arrived and its body was read, for at most a second; how the body ends does not matter. The whole takes
// at most 15 seconds plus that second. If a kept connection turns out to be closed, or to have unsolicited bytes
// on it, the body is sent once more on a new connection, so a receiver may get it twice.
//
// If no response arrives, the error is a *PostError. If this machine is to blame, it wraps [ErrLocal].
func (c *Client) Post(ctx context.Context, u URL, header http.Header, body []byte) (Response, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(c.timeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()

	ctx = context.WithValue(ctx, requestKey{}, ctx)
	kept := &keptConn{}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, kept.trace()), http.MethodPost, u.ASCII(), bytes.NewReader(body))
	if err != nil {
		return Response{}, err
	}
	request.Header = header.Clone()
	request.Header.Set("Accept-Encoding", "identity")
	response, err := c.currentTransport().RoundTrip(request)
	if kept.isStale(response, err) {
		if err == nil {
			_ = response.Body.Close()
		}
		again := request.Clone(ctx) // net/http may still use the request
		again.Body = io.NopCloser(bytes.NewReader(body))
		response, err = c.fresh.RoundTrip(again)
	}
	if err != nil {
		return Response{}, &PostError{Class: classOf(ctx, err), err: err}
	}
	defer response.Body.Close()
	timer.Reset(bodyTimeout)
	return read(response), nil
}

// keptConn is the connection of a request. It detects a kept connection that the receiver has closed. net/http could send the request
// again, but would do so on every kept connection to that receiver, all of which may be closed.
type keptConn struct {
	conn      *receivingConn
	reused    bool
	responded atomic.Bool
	// unsolicited is whether the response began to arrive before the request was sent.
	unsolicited atomic.Bool
}

func (k *keptConn) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{
		GotConn: func(info httptrace.GotConnInfo) {
			k.reused = info.Reused
			k.conn = info.Conn.(*receivingConn)
			k.conn.received.Store(false)
		},
		GotFirstResponseByte: func() {
			k.responded.Store(true)
			if k.reused && !k.conn.received.Load() {
				k.unsolicited.Store(true)
				_ = k.conn.Close() // otherwise, the next request would get the response to this one
			}
		},
	}
}

// isStale reports whether the outcome of a request only means that the kept connection was no longer usable. Some receivers respond
// with 408 when they close an idle connection.
func (k *keptConn) isStale(response *http.Response, err error) bool {
	switch {
	case !k.reused:
		return false
	case err != nil:
		return !k.responded.Load() || k.unsolicited.Load()
	default:
		return response.StatusCode == http.StatusRequestTimeout || k.unsolicited.Load()
	}
}

// receivingConn is a connection that records whether it has received anything since it was chosen for the latest request.
type receivingConn struct {
	net.Conn
	received atomic.Bool
}

func (c *receivingConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.received.Store(true)
	}
	return n, err
}

// read reads the beginning of a response's body.
func read(response *http.Response) Response {
	r := Response{Status: response.StatusCode, Header: response.Header}
	if response.StatusCode == http.StatusSwitchingProtocols {
		return r // what follows is not a body
	}
	r.Excerpt, _ = io.ReadAll(io.LimitReader(response.Body, excerptSize))
	rest, _ := io.CopyN(io.Discard, response.Body, int64(maxDrained-len(r.Excerpt)))
	r.Bytes = len(r.Excerpt) + int(rest)
	return r
}

// Close closes the connections that are not in use.
func (c *Client) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

// currentTransport returns the transport for new requests. Requests that use an older one continue to do so.
func (c *Client) currentTransport() *http.Transport {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	if c.transport != nil && now.Sub(c.since) < transportLife {
		return c.transport
	}
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
	c.since = now
	c.transport = c.newTransport()
	return c.transport
}

func (c *Client) newTransport() *http.Transport {
	return &http.Transport{
		DialTLSContext:         c.dialForRequest,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdle,
		IdleConnTimeout:        idleTimeout,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
		Protocols:              http1(),
	}
}

func http1() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}

// dialError is the class of an error before anything was sent.
type dialError struct {
	class webhook.ErrorClass
	error
}

func (e dialError) Unwrap() error { return e.error }

// requestKey is the key of the context of a request among the values of that context.
type requestKey struct{}

// dialForRequest is [Client.dial] until the request ends. net/http passes a context without the request's end, because other
// requests could use the connection. A receiver that never completes its handshake would keep that dial forever.
func (c *Client) dialForRequest(ctx context.Context, network, hostPort string) (net.Conn, error) {
	if request, ok := ctx.Value(requestKey{}).(context.Context); ok {
		ctx = request
	}
	return c.dial(ctx, network, hostPort)
}

// dial connects to a host and completes a TLS handshake. It tries the next address only if it cannot connect to one.
func (c *Client) dial(ctx context.Context, _, hostPort string) (net.Conn, error) {
	u, err := dialTarget(hostPort)
	if err != nil {
		return nil, dialError{webhook.ErrorDNS, err}
	}
	targets, err := c.dialer.Resolve(ctx, u)
	if errors.Is(err, ErrNotAllowed) {
		return nil, dialError{webhook.ErrorBlocked, err}
	}
	if err != nil {
		return nil, dialError{webhook.ErrorDNS, err}
	}
	config := c.config.Clone()
	config.ServerName = u.host
	for i, target := range targets {
		var conn *tls.Conn
		if conn, err = c.dialAddress(ctx, target, config, i < len(targets)-1); err == nil {
			return &receivingConn{Conn: conn}, nil
		}
		if e, ok := errors.AsType[dialError](err); ok && e.class == webhook.ErrorTLS {
			break
		}
	}
	return nil, err
}

// dialAddress connects to one address. If there are others, it does not wait for long.
func (c *Client) dialAddress(ctx context.Context, target netip.AddrPort, config *tls.Config, others bool) (*tls.Conn, error) {
	connecting := ctx
	if others {
		var cancel context.CancelFunc
		connecting, cancel = context.WithTimeout(ctx, addressTimeout)
		defer cancel()
	}
	conn, err := c.dialer.Connect(connecting, target)
	switch {
	case errors.Is(err, ErrNotAllowed):
		return nil, dialError{webhook.ErrorBlocked, err}
	case err != nil:
		return nil, dialError{webhook.ErrorConnect, err}
	}
	session, err := c.dialer.Handshake(ctx, conn, target, config, helloPatience)
	if err != nil {
		return nil, dialError{webhook.ErrorTLS, err}
	}
	return session, nil
}

// dialTarget parses the "host:port" of a URL that was accepted.
func dialTarget(hostPort string) (URL, error) {
	host, text, err := net.SplitHostPort(hostPort)
	if err != nil {
		return URL{}, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return URL{}, err
	}
	addr, _ := netip.ParseAddr(host) // invalid if the host is a name
	return URL{host: host, addr: addr, port: uint16(port)}, nil
}

// classOf returns the class of an error of a request.
func classOf(ctx context.Context, err error) webhook.ErrorClass {
	e, dialing := errors.AsType[dialError](err)
	_, alert := alertOf(err)
	switch {
	case errors.Is(context.Cause(ctx), context.DeadlineExceeded):
		return webhook.ErrorTimeout
	case alert: // in TLS 1.3, a server requires a client certificate only after the handshake
		return webhook.ErrorTLS
	case dialing:
		return e.class
	default:
		return webhook.ErrorHTTP
	}
}
