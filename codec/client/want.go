package client

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tickwire/tickwire/codec"
)

// want is a symbol or pattern that the user subscribed to.
//
//	       connected           written            confirmed
//	idle ------------> queued ---------> awaited ------------> held
//	                     ^                |   |                  |
//	                     |   for now      |   | for good         | Set
//	                     +------ later <--+   +--> refused       |
//	                     +---------------------------------------+
//
// A new connection queues all of them.
type want struct {
	name  string
	terms Terms
	order int64
	state wantState
	op    codec.Op // queued: subscribe, or set for a symbol that is held
}

type wantState uint8

const (
	idle    wantState = iota
	queued            // in session.queue
	awaited           // the node's reply is due
	held              // confirmed
	later             // refused for now: asked for again at session.askAt
	refused           // asked for again on the next connection only
)

func isPattern(name string) bool { return strings.HasSuffix(name, "*") }

// Subscribe wants symbols, or patterns such as "sim:*", now and after every
// reconnect. Those that the node does not know yet are asked for again until it
// does. What becomes of each comes as an Event. Of two wants that take a symbol the
// later rules.
func (c *Client) Subscribe(t Terms, symbols ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range symbols {
		delete(c.except, name)
		switch w := c.wants[name]; {
		case w == nil:
			c.ask(c.want(name, t), codec.OpSubscribe)
		case !w.terms.equal(t) || w.state == refused:
			c.change(w, t)
		}
	}
}

// want makes a want. The caller holds mu, here and below.
func (c *Client) want(name string, t Terms) *want {
	c.orders++
	w := &want{name: name, terms: t, order: c.orders}
	c.wants[name] = w
	if isPattern(name) {
		c.patterns[name] = w
	}
	return w
}

// ask puts a want into the queue, where there is a connection.
func (c *Client) ask(w *want, op codec.Op) {
	s := c.session
	if s == nil {
		return
	}
	if w.state != queued {
		w.state, w.op = queued, op
		s.queue = append(s.queue, w)
	}
	s.kick()
}

// Unsubscribe wants them no more. A symbol that a pattern takes is excepted from
// it, until it is subscribed to by name; a pattern leaves behind what was
// subscribed to by name, or is taken by other patterns.
func (c *Client) Unsubscribe(symbols ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range symbols {
		w, r := c.wants[name], c.board.rows[name]
		delete(c.wants, name)
		delete(c.patterns, name)
		if !isPattern(name) && c.takes(name) > 0 {
			c.except[name] = true
		}
		if s := c.session; s != nil && (w != nil && (w.state == awaited || w.state == held) || r != nil && r.live) {
			s.drops = append(s.drops, name)
			s.kick()
		}
		switch {
		case isPattern(name):
			for symbol, r := range c.board.rows {
				if matches(name, symbol) {
					c.mute(r)
				}
			}
			c.tidyExcept()
		case r != nil:
			c.mute(r)
		}
	}
}

// mute hides a row that is not wanted, until the node has confirmed that it sends
// it no more.
func (c *Client) mute(r *row) {
	if c.takes(r.symbol) > 0 && !c.except[r.symbol] {
		return
	}
	r.muted = true
	if !r.live {
		c.board.forget(r.symbol)
	}
}

// tidyExcept drops the exceptions from patterns that are gone.
func (c *Client) tidyExcept() {
	for symbol := range c.except {
		if c.takes(symbol) == 0 {
			delete(c.except, symbol)
		}
	}
}

// takes counts the wants that a symbol is subscribed to by.
func (c *Client) takes(symbol string) (n int) {
	if c.wants[symbol] != nil {
		n++
	}
	for name := range c.patterns {
		if matches(name, symbol) {
			n++
		}
	}
	return n
}

// Set changes the terms of symbols and patterns that are subscribed to; fresh images
// follow. A symbol that a pattern takes has terms of its own from then on, until
// Set is called for the pattern.
func (c *Client) Set(t Terms, symbols ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range symbols {
		w := c.wants[name]
		if w == nil && !isPattern(name) && c.takes(name) > 0 && !c.except[name] {
			w = c.want(name, t)
		}
		if w != nil {
			c.change(w, t)
		}
	}
}

// change gives a want other terms.
func (c *Client) change(w *want, t Terms) {
	c.orders++
	w.terms, w.order = t, c.orders
	switch r := c.board.rows[w.name]; {
	case w.state == later: // asked for in a moment, with the new terms
	case r != nil && r.live:
		c.ask(w, codec.OpSet)
	default:
		c.ask(w, codec.OpSubscribe) // a pattern, or nothing that set could change
	}
}

// inOrder lists wants in the order they came.
func (c *Client) inOrder(these func(*want) bool) (list []*want) {
	for _, w := range c.wants {
		if these(w) {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b *want) int { return cmp.Compare(a.order, b.order) })
	return list
}
