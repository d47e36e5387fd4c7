package endpoint

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

// Limits of connections that are kept open.
const (
	maxKept = 1024
	// idleTimeout is how long a connection without a request may be used again. It is closed within twice that time.
	idleTimeout = 30 * time.Second
	// connLife is how long a connection is used for new requests, so that a change of a name takes effect.
	connLife = 2 * time.Minute
)

// pool has the connections that are kept for later requests. It is safe for concurrent use by multiple goroutines.
type pool struct {
	now func() time.Time

	mu    sync.Mutex
	conns map[string][]*conn // by address, the one that was used last at the end
	order list.List          // of all of them, in the same order
	sweep *time.Timer        // nil if there are no connections
}

// take returns the connection to an address that was used last, or nil if there is none that can be used.
func (p *pool) take(address string) *conn {
	for {
		c := p.last(address)
		if c == nil || p.isUsable(c) && c.isOpen() {
			return c
		}
		c.close()
	}
}

func (p *pool) last(address string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	conns := p.conns[address]
	if len(conns) == 0 {
		return nil
	}
	c := conns[len(conns)-1]
	p.remove(c)
	return c
}

func (p *pool) remove(c *conn) {
	p.order.Remove(c.place)
	conns := p.conns[c.address]
	at := slices.Index(conns, c)
	if conns = slices.Delete(conns, at, at+1); len(conns) > 0 {
		p.conns[c.address] = conns
	} else {
		delete(p.conns, c.address)
	}
}

// isUsable reports whether a connection is neither too old nor idle for too long. If the clock was set back, it is not known.
func (p *pool) isUsable(c *conn) bool {
	now := p.now()
	return !now.Before(c.idle) && now.Sub(c.since) < connLife && now.Sub(c.idle) < idleTimeout
}

// put keeps a connection. If there are limit others, it closes the one that was used longest ago.
func (p *pool) put(c *conn, limit int) {
	c.idle = p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.conns[c.address] = append(p.conns[c.address], c)
	c.place = p.order.PushBack(c)
	if p.order.Len() > limit {
		oldest := p.order.Front().Value.(*conn)
		p.remove(oldest)
		oldest.close()
	}
	if p.sweep == nil {
		p.sweep = time.AfterFunc(idleTimeout, p.closeUnusable)
	}
}

// closeUnusable closes the connections that cannot be used any more, and continues to do so while there are others.
func (p *pool) closeUnusable() {
	p.closeIf(func(c *conn) bool { return !p.isUsable(c) })
}

// close closes all connections.
func (p *pool) close() {
	p.closeIf(func(*conn) bool { return true })
}

func (p *pool) closeIf(unwanted func(*conn) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for at := p.order.Front(); at != nil; {
		c := at.Value.(*conn)
		at = at.Next()
		if unwanted(c) {
			p.remove(c)
			c.close()
		}
	}
	switch {
	case p.sweep == nil:
	case p.order.Len() == 0:
		p.sweep.Stop()
		p.sweep = nil
	default:
		p.sweep.Reset(idleTimeout)
	}
}
