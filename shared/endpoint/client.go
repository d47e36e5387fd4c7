package endpoint

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"sync"
	"time"

	"webhooks/shared/webhook"
)

// Limits of one POST.
const (
	postTimeout    = 15 * time.Second // from the lookup to the response's header
	bodyTimeout    = time.Second      // for the response's body, after its header
	addressTimeout = 3 * time.Second  // to connect to an address if there are others
	helloPatience  = 5 * time.Second  // for the response to a ClientHello
	maxHeader      = 64 << 10         // of a response, with those of the 1xx responses before it
	excerptSize    = 1 << 10
	maxDrained     = 64 << 10
)

// Client posts to receivers over TLS and HTTP/1.1. It connects through a [Dialer], always verifies certificates, and
// follows no redirects, uses no proxy and keeps no cookies. Connections are kept open for later requests. It is safe for
// concurrent use by multiple goroutines.
//
// It does not use [http.Transport], which needs two goroutines for each connection and half as much CPU time again, takes what a
// receiver sent without being asked for the response to the next request, and sends a request again on every kept connection
// that turns out to be closed. Responses are parsed by [http.ReadResponse].
type Client struct {
	// MaxIdle is how many connections without a request are kept open; zero means 1,024. If there are more, the one that was
	// used longest ago is closed. It must be set before the first request.
	MaxIdle int

	dialer  *Dialer
	config  *tls.Config
	timeout time.Duration // postTimeout, or shorter in tests
	kept    pool
	buffers sync.Pool // of *buffers
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
	return &Client{
		dialer:  dialer,
		timeout: postTimeout,
		config: &tls.Config{
			MinVersion:                  tls.VersionTLS12,
			RootCAs:                     roots,
			Time:                        now,
			ClientSessionCache:          tls.NewLRUClientSessionCache(maxKept),
			DynamicRecordSizingDisabled: true, // one system call for a request, not several
			VerifyPeerCertificate:       limitChain,
		},
		kept:    pool{now: now, conns: make(map[string][]*conn)},
		buffers: sync.Pool{New: newBuffers},
	}
}

// Post sends a body to a URL with the headers given, and "accept-encoding: identity". It returns the response as soon as
// its header has arrived and its body was read, for at most a second; how the body ends does not matter. The whole takes
// at most 15 seconds plus that second. If a kept connection turns out to be closed, or the response on it has the status 408, the
// body is sent once more on a new one, so a receiver may get it twice.
//
// If no response arrives, the error is a *PostError. If this machine is to blame, it wraps [ErrLocal].
func (c *Client) Post(ctx context.Context, u URL, header http.Header, body []byte) (Response, error) {
	deadline := time.Now().Add(c.timeout) //nolint:forbidigo // compared with the system's clock
	address := net.JoinHostPort(u.host, strconv.Itoa(int(u.port)))
	if conn := c.kept.take(address); conn != nil {
		response, err := c.post(ctx, deadline, conn, u, header, body)
		if !conn.isStale(response, err) {
			return c.finish(ctx, conn, response, err)
		}
		conn.close()
	}
	dialing, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	session, err := c.dial(dialing, u)
	if err != nil {
		return Response{}, &PostError{Class: classOf(dialing, err), err: err}
	}
	conn := newConn(session, address, c.kept.now())
	response, err := c.post(ctx, deadline, conn, u, header, body)
	return c.finish(ctx, conn, response, err)
}

// post sends a request on a connection and reads the response.
func (c *Client) post(ctx context.Context, deadline time.Time, conn *conn, u URL, header http.Header, body []byte) (Response, error) {
	conn.buffers = c.buffers.Get().(*buffers)
	defer func() {
		c.buffers.Put(conn.buffers)
		conn.buffers = nil
	}()
	return conn.post(ctx, deadline, u, header, body)
}

// finish keeps the connection of a request, or closes it, and returns the response.
func (c *Client) finish(ctx context.Context, conn *conn, response Response, err error) (Response, error) {
	if err == nil && conn.reusable {
		c.kept.put(conn, cmp.Or(c.MaxIdle, maxKept))
	} else {
		conn.close()
	}
	if err != nil {
		return Response{}, &PostError{Class: classOf(ctx, err), err: err}
	}
	return response, nil
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.kept.close() }

// dialError is the class of an error before anything was sent.
type dialError struct {
	class webhook.ErrorClass
	error
}

func (e dialError) Unwrap() error { return e.error }

// dial connects to a URL's host and completes a TLS handshake. It tries the next address only if it cannot connect to one.
func (c *Client) dial(ctx context.Context, u URL) (*tls.Conn, error) {
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
			return conn, nil
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

// classOf returns the class of an error of a request.
func classOf(ctx context.Context, err error) webhook.ErrorClass {
	e, dialing := errors.AsType[dialError](err)
	_, alert := alertOf(err)
	switch {
	case isOver(ctx), !dialing && errors.Is(err, os.ErrDeadlineExceeded):
		return webhook.ErrorTimeout
	case alert: // in TLS 1.3, a server requires a client certificate only after the handshake
		return webhook.ErrorTLS
	case dialing:
		return e.class
	default:
		return webhook.ErrorHTTP
	}
}

// isOver reports whether the deadline of a context has passed. ctx.Err may report that only after the system has.
func isOver(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && !time.Now().Before(deadline) //nolint:forbidigo // compared with the system's clock
}
