package endpoint

import (
	"bufio"
	"bytes"
	"cmp"
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"
)

// smallBody is the size up to which a body is sent together with its header, before the response is read. The system's buffers
// usually take it, even if the receiver does not read it.
const smallBody = 8 << 10

// conn is a connection to a receiver. One request at a time uses it.
type conn struct {
	*tls.Conn
	address string
	since   time.Time        // when it was connected
	idle    time.Time        // when it was last used
	place   *list.Element    // in the pool
	limit   io.LimitedReader // of what is received

	*buffers      // during a request
	received bool // whether anything of the response was received
	reusable bool // after a response
}

// buffers are what a request needs. Connections without a request have none.
type buffers struct {
	in  *bufio.Reader
	out bytes.Buffer
}

func newBuffers() any { return &buffers{in: bufio.NewReader(nil)} }

func newConn(session *tls.Conn, address string, now time.Time) *conn {
	return &conn{Conn: session, address: address, since: now, limit: io.LimitedReader{R: session}}
}

// post sends a request and reads the response. A header that has not arrived at the deadline, or when ctx ends, is an error that
// wraps [os.ErrDeadlineExceeded]. Nothing uses the body any more when post returns.
func (c *conn) post(ctx context.Context, deadline time.Time, u URL, header http.Header, body []byte) (Response, error) {
	c.received, c.reusable = false, false
	c.in.Reset(&c.limit)
	c.out.Reset()
	if err := c.SetDeadline(deadline); err != nil {
		return Response{}, err
	}
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
		defer func() { c.reusable = stop() && c.reusable }() // it may still run
	}
	sent := c.send(u, header, body)
	response, complete, err := c.receive()
	c.reusable = sent() && complete && c.isQuiet()
	return response, err
}

// send sends a request. A large body is sent while the response is awaited, because a receiver may respond without reading it. The
// function that it returns must be called. It stops sending, and reports whether all of it was sent. Why it was not is of no
// interest: what was received shows what is wrong with the connection.
func (c *conn) send(u URL, header http.Header, body []byte) (sent func() bool) {
	c.out.WriteString("POST ")
	c.out.WriteString(u.target())
	c.out.WriteString(" HTTP/1.1\r\nHost: ")
	c.out.WriteString(u.authority)
	c.out.WriteString("\r\nContent-Length: ")
	c.out.WriteString(strconv.Itoa(len(body)))
	c.out.WriteString("\r\nAccept-Encoding: identity\r\n")
	_ = header.Write(&c.out) // a buffer accepts everything
	c.out.WriteString("\r\n")
	if len(body) <= smallBody {
		c.out.Write(body)
		_, err := c.Write(c.out.Bytes())
		return func() bool { return err == nil }
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.Write(c.out.Bytes())
		if err == nil {
			_, err = c.Write(body)
		}
		done <- err
	}()
	return func() bool {
		_ = c.SetWriteDeadline(time.Unix(1, 0))
		return <-done == nil
	}
}

// receive reads a response. It reports whether that is all that the receiver sends, so that another request can follow.
func (c *conn) receive() (response Response, complete bool, err error) {
	head, err := c.readHeader() //nolint:bodyclose // closing it would read all of it
	if err != nil {
		return Response{}, false, err
	}
	response = Response{Status: head.StatusCode, Header: head.Header}
	if head.StatusCode == http.StatusSwitchingProtocols {
		return response, false, nil // what follows is not a body
	}
	if head.Body != http.NoBody {
		complete = c.readBody(head.Body, &response)
	} else {
		complete = !announcesBody(head)
	}
	return response, complete && !head.Close, nil
}

// announcesBody reports whether the header of a response without a body says that there is one. Some receivers then send it, which
// would be taken for the response to the next request.
func announcesBody(head *http.Response) bool {
	return head.TransferEncoding != nil || cmp.Or(head.Header.Get("Content-Length"), "0") != "0"
}

// errHeaderTooLarge is the error for a response whose header, with those of the 1xx responses before it, exceeds maxHeader.
var errHeaderTooLarge = errors.New("the header of the response is too large")

// readHeader reads the header of the response, and skips 1xx responses.
func (c *conn) readHeader() (*http.Response, error) {
	c.limit.N = maxHeader
	defer func() { c.limit.N = math.MaxInt64 }()
	for {
		head, err := http.ReadResponse(c.in, nil)
		c.received = c.received || c.limit.N < maxHeader
		if err != nil && c.limit.N <= 0 {
			err = errHeaderTooLarge
		}
		if err != nil || head.StatusCode < 100 || head.StatusCode >= 200 || head.StatusCode == http.StatusSwitchingProtocols {
			return head, err
		}
	}
}

// readBody reads the beginning of the response's body, and reports whether that is all of it.
func (c *conn) readBody(body io.Reader, response *Response) (complete bool) {
	_ = c.SetReadDeadline(time.Now().Add(bodyTimeout)) //nolint:forbidigo // compared with the system's clock
	var err error
	if response.Excerpt, err = io.ReadAll(io.LimitReader(body, excerptSize)); err == nil {
		var rest int64
		rest, err = io.CopyN(io.Discard, body, int64(maxDrained-len(response.Excerpt)))
		response.Bytes = int(rest)
	}
	response.Bytes += len(response.Excerpt)
	return errors.Is(err, io.EOF)
}

// isStale reports whether the outcome of a request means only that the kept connection could not be used any more. Some receivers
// respond with 408 when they close an idle connection.
func (c *conn) isStale(response Response, err error) bool {
	if err != nil {
		return !c.received && !isTimeout(err)
	}
	return response.Status == http.StatusRequestTimeout
}

func isTimeout(err error) bool {
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// isQuiet reports whether the receiver has sent nothing after its response. What it sent would be taken for the response to the
// next request. This looks at what was received with the response; see [conn.isOpen] for the rest.
func (c *conn) isQuiet() bool {
	if c.in.Buffered() > 0 || c.SetReadDeadline(time.Unix(1, 0)) != nil {
		return false
	}
	_, err := c.in.Peek(1)
	return isTimeout(err)
}

// isOpen reports whether nothing was received since the connection was last used, not even its end. It does not wait.
func (c *conn) isOpen() bool {
	raw := c.NetConn()
	if l, ok := raw.(*listeningConn); ok {
		raw = l.Conn
	}
	socket, ok := raw.(syscall.Conn)
	if !ok {
		return true // not a socket, in a test
	}
	access, err := socket.SyscallConn()
	if err != nil {
		return false
	}
	open := false
	err = access.Control(func(fd uintptr) {
		_, _, received := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		open = errors.Is(received, syscall.EAGAIN)
	})
	return open && err == nil
}

// close closes the connection without telling the receiver, which could block it for seconds.
func (c *conn) close() { _ = c.NetConn().Close() }
