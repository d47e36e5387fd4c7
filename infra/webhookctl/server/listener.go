package server

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"syscall"
)

const (
	// maxConnections limits the open connections.
	maxConnections = 4096
	// writeBuffer is how many bytes of responses the system holds for a client that does not read them. Linux would
	// use up to 4 MB per connection.
	writeBuffer = 128 << 10
)

// Listener is a TCP listener that limits its open connections. If all are in use, a new connection replaces another one,
// so that clients that only hold connections keep nobody out: the oldest one without a key, or the one that has been idle
// for the longest time. Up to a quarter of the connections can be without a key before one of them is replaced, so that
// every client has time to send its first request. If all connections are serving requests with a key, a new one waits.
// There is no limit per client, so that a proxy in front can use them all.
type Listener struct {
	net.Listener
	limit int

	mu      sync.Mutex
	changed *sync.Cond // the use of a connection, or the listener was closed
	closed  bool
	open    int
	uses    [3]list.List // the connections by use, in the order in which their use began
}

// What a connection is used for.
const (
	withoutKey = iota // none of its requests was admitted yet
	idle
	active // serving an admitted request
)

// Listen listens on addr, a TCP host and port. Its connections use at most half of the process's file
// descriptors, whatever clients do: the rest is for the database and for TLS checks.
func Listen(ctx context.Context, addr string) (*Listener, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if err != nil {
		if reason, ok := errors.AsType[syscall.Errno](err); ok {
			err = reason // without the address, which the message has
		}
		return nil, fmt.Errorf("cannot listen on %s: %w: pass another address with --addr (make run: PORT=3001)", addr, err)
	}
	files, err := OpenFiles()
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	l := &Listener{Listener: listener, limit: min(maxConnections, max(1, files/2))}
	l.changed = sync.NewCond(&l.mu)
	return l, nil
}

// OpenFiles returns how many files and connections this process can have open, at most a million.
func OpenFiles() (int, error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, fmt.Errorf("cannot read the limit on open files: %w", err)
	}
	return int(min(limit.Cur, 1_000_000)), nil
}

// Accept waits for the next connection.
func (l *Listener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	tcp, ok := accepted.(*net.TCPConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("%T is not a TCP connection", accepted), accepted.Close())
	}
	_ = tcp.SetWriteBuffer(writeBuffer) // fails if the client is gone, and an error here would stop the server
	c := &conn{TCPConn: tcp, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open >= l.limit && !l.closed {
		if !l.closeLeastUseful() {
			l.changed.Wait()
		}
	}
	if l.closed {
		return nil, errors.Join(net.ErrClosed, tcp.Close())
	}
	l.open++
	c.place = l.uses[c.use].PushBack(c)
	return c, nil
}

// closeLeastUseful closes a connection, unless all are active.
func (l *Listener) closeLeastUseful() bool {
	victim := l.uses[idle].Front()
	if keyless := &l.uses[withoutKey]; victim == nil || keyless.Len() > l.limit/4 {
		victim = keyless.Front()
	}
	if victim == nil {
		return false
	}
	c, _ := victim.Value.(*conn)
	l.remove(c)
	_ = c.TCPConn.Close() // the server reads an error and closes it again
	return true
}

// Close stops listening. It does not close connections.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.changed.Broadcast()
	return l.Listener.Close()
}

func (l *Listener) remove(c *conn) {
	if c.place == nil {
		return
	}
	l.uses[c.use].Remove(c.place)
	c.place = nil
	l.open--
	l.changed.Signal()
}

// conn is a connection of a Listener.
type conn struct {
	*net.TCPConn
	listener *Listener
	use      int
	place    *list.Element // in the listener's list; nil once it has been removed
}

// Close closes the connection, and lets another one take its place.
func (c *conn) Close() error {
	c.listener.mu.Lock()
	c.listener.remove(c)
	c.listener.mu.Unlock()
	return c.TCPConn.Close()
}

// change moves the connection to another use, or makes it the last one of the same use.
func (c *conn) change(change func(use int) int) {
	c.listener.mu.Lock()
	defer c.listener.mu.Unlock()
	if c.place == nil {
		return
	}
	c.listener.uses[c.use].Remove(c.place)
	c.use = change(c.use)
	c.place = c.listener.uses[c.use].PushBack(c)
	c.listener.changed.Signal()
}

type connKey struct{}

// connContext lets [Admitted] find the connection of a request.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// Admitted keeps the connection of a request from being replaced while the request is active. The request must have a
// valid API key and be within its company's limits; ctx is its context.
func Admitted(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.change(func(int) int { return active })
	}
}

// connState follows whether a connection is idle.
func connState(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive: // a request has arrived, but is not admitted yet
		c.change(func(use int) int { return use })
	case http.StateIdle:
		c.change(func(use int) int { return min(use, idle) })
	}
}
