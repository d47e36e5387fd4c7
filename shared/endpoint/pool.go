package endpoint

import (
	"slices"
	"sync"
	"time"
)

// Limits of connections that are kept open.
const (
	maxKept     = 1024
	idleTimeout = 30 * time.Second
	// connLife is how long a connection is used for new requests, so that a change of a name takes effect.
	connLife = 2 * time.Minute
)

// pool has the connections that are kept for later requests. It is safe for concurrent use by multiple goroutines.
type pool struct {
	now func() time.Time

	mu    sync.Mutex
	conns map[string][]*conn // by address, the one that was used last at the end
	count int
	sweep *time.Timer // nil if there are no connections
}

// take returns the connection to an address that was used last, or nil if there is none that can be used.
func (p *pool) take(address string) *conn {
	for {
		c := p.remove(address)
		if c == nil || p.isUsable(c) && c.isOpen() {
			return c
		}
		c.close()
	}
}

func (p *pool) remove(address string) *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	conns := p.conns[address]
	if len(conns) == 0 {
		return nil
	}
	last := len(conns) - 1
	c := conns[last]
	conns[last] = nil
	p.set(address, conns[:last])
	p.count--
	return c
}

// set replaces the connections to an address.
func (p *pool) set(address string, conns []*conn) {
	if len(conns) == 0 {
		delete(p.conns, address)
		return
	}
	if p.conns == nil {
		p.conns = make(map[string][]*conn)
	}
	p.conns[address] = conns
}

// isUsable reports whether a connection is neither too old nor idle for too long.
func (p *pool) isUsable(c *conn) bool {
	now := p.now()
	return now.Sub(c.since) < connLife && now.Sub(c.idle) < idleTimeout
}

// put keeps a connection, or closes it if there are limit others.
func (p *pool) put(c *conn, limit int) {
	c.idle = p.now()
	p.mu.Lock()
	full := p.count >= limit
	if !full {
		p.set(c.address, append(p.conns[c.address], c))
		p.count++
		if p.sweep == nil {
			p.sweep = time.AfterFunc(idleTimeout, p.closeUnusable)
		}
	}
	p.mu.Unlock()
	if full {
		c.close()
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
	for address, conns := range p.conns {
		p.set(address, slices.DeleteFunc(conns, func(c *conn) bool {
			if !unwanted(c) {
				return false
			}
			c.close()
			p.count--
			return true
		}))
	}
	switch {
	case p.sweep == nil:
	case p.count == 0:
		p.sweep.Stop()
		p.sweep = nil
	default:
		p.sweep.Reset(idleTimeout)
	}
}
