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

// Listener is a TCP listener that limits its open connections. If all are in use, a new connection takes the place of
// another one, so that clients that only hold connections keep nobody out: first of one that has never sent a valid API
// key, then of an idle one, the oldest first. If all of them are serving requests with a key, it waits. There is no limit
// per client, so that a proxy in front can use them all.
type Listener struct {
	net.Listener
	limit int

	mu      sync.Mutex
	changed *sync.Cond // the use of a connection, or the listener was closed
	closed  bool
	open    int
	uses    [4]list.List // the connections by use, in the order in which they were last used
}

// What a connection is used for, in the order in which connections are closed.
const (
	idleWithoutKey = iota
	activeWithoutKey
	idleWithKey
	activeWithKey
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
	var descriptors syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &descriptors); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot read the limit on open files: %w", err), listener.Close())
	}
	l := &Listener{Listener: listener, limit: int(min(maxConnections, max(1, descriptors.Cur/2)))}
	l.changed = sync.NewCond(&l.mu)
	return l, nil
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
	if err := tcp.SetWriteBuffer(writeBuffer); err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
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

// closeLeastUseful closes a connection, unless all are serving requests with a key.
func (l *Listener) closeLeastUseful() bool {
	for use := range activeWithKey {
		if oldest := l.uses[use].Front(); oldest != nil {
			c, _ := oldest.Value.(*conn)
			l.remove(c)
			_ = c.TCPConn.Close() // the server reads an error and closes it again
			return true
		}
	}
	return false
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

// change moves the connection to another use.
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

// connContext lets [Authenticated] find the connection of a request.
func connContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// Authenticated keeps the connection of a request, which has a valid API key, from being closed for another one while it
// is active. ctx is the request's context.
func Authenticated(ctx context.Context) {
	if c, ok := ctx.Value(connKey{}).(*conn); ok {
		c.change(func(int) int { return activeWithKey })
	}
}

// connState follows whether a connection is idle.
func connState(nc net.Conn, state http.ConnState) {
	c, ok := nc.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateActive:
		c.change(func(use int) int { return use | 1 })
	case http.StateIdle:
		c.change(func(use int) int { return use &^ 1 })
	}
}
