package dispatch

import "webhooks/shared/webhook"

// company has the lanes of one company. Companies take turns, regardless of how many lanes they have, and each begins an attempt only
// while it uses fewer slots than are free.
type company struct {
	name   string
	lanes  int               // in memory
	grants []webhook.Pending // go ahead of what the lanes have queued
	ring   []*lane           // the lanes that may be able to begin an attempt; they take turns
	listed bool              // in the ring of companies
	used   int               // slots of its attempts
}

// company returns the company with a name.
func (l *loop) company(name string) *company {
	c := l.companies[name]
	if c == nil {
		c = &company{name: name}
		l.companies[name] = c
	}
	return c
}

// list puts a company into the ring if it has something to do.
func (l *loop) list(c *company) {
	if !c.listed && len(c.grants)+len(c.ring) > 0 {
		c.listed = true
		l.ring = append(l.ring, c)
	}
}

// slots returns how many slots an attempt with a body uses: a large body uses as many as its share of the memory for bodies.
func (e *Engine) slots(body []byte) int { return 1 + len(body)*e.Slots/maxBytes }

// use counts slots of an attempt of a lane, or frees them if they are negative.
func (l *loop) use(n *lane, slots int) {
	l.used += slots
	n.used += slots
	n.company.used += slots
}
