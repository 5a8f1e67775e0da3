package client

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// want is a symbol or pattern that the user subscribed to.
//
//	       connected           written            confirmed
//	idle ------------> queued ---------> awaited ------------> held
//	                     ^                |   |                  |
//	                     |   for now      |   | for good         | other terms
//	                     +------ later <--+   +--> idle          |
//	                     +---------------------------------------+
//
// A new connection queues all of them, but those barred by the token that it came with;
// a new token queues those barred by another.
type want struct {
	name    string
	terms   Terms
	order   int64
	state   wantState
	request int64  // awaited: the one it was asked in
	barred  string // idle: the token that does not cover it; "": no token's fault
	slowed  bool   // a new token has lowered its rate, or that of what it takes
	drop    bool   // in the queue only: to be unsubscribed
}

type wantState uint8

const (
	idle    wantState = iota // asked for on the next connection, or under the next token
	queued                   // in session.queue
	awaited                  // the node's reply is due
	held                     // confirmed
	later                    // refused for now: asked for again at session.askAt
)

func isPattern(name string) bool { return strings.HasSuffix(name, "*") }

// matches reports whether a name is a pattern that takes a symbol.
func matches(pattern, symbol string) bool {
	prefix, ok := strings.CutSuffix(pattern, "*")
	return ok && strings.HasPrefix(symbol, prefix)
}

// Subscribe wants symbols, or patterns such as "sim:*", now and after every
// reconnect. What is subscribed to already takes the new terms, and a fresh image
// comes; of two names that take a symbol the later rules. Those that the node does
// not know yet are asked for again until it does. What the token does not cover, or
// no more, is asked for again under another token; a rate that a new token lowered, too.
// What becomes of each comes as an Event.
func (c *Client) Subscribe(t Terms, names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		w := c.wants[name]
		if w != nil && w.terms.equal(t) && w.state != idle && !w.slowed {
			continue
		}
		if w == nil {
			w = &want{name: name}
			c.wants[name] = w
			if isPattern(name) {
				c.patterns[name] = w
			}
		}
		c.orders++
		w.terms, w.order = t, c.orders
		if w.state != later { // that is asked for in a moment
			c.ask(w)
		}
	}
}

// Unsubscribe wants symbols and patterns no more, as they were given: a symbol that
// only a pattern takes cannot be taken out of it. What another name takes stays.
func (c *Client) Unsubscribe(names ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if c.wants[name] == nil {
			continue
		}
		delete(c.wants, name)
		delete(c.patterns, name)
		c.ask(&want{name: name, drop: true})
	}
	for symbol, r := range c.board.rows {
		if c.takes(symbol) == 0 {
			c.board.count(r, false)
			delete(c.board.rows, symbol)
		}
	}
}

// ask puts a want into the queue, where there is a connection. The caller holds mu,
// here and below.
func (c *Client) ask(w *want) {
	w.barred = ""
	if s := c.session; s != nil && w.state != queued {
		w.state = queued
		s.queue = append(s.queue, w)
		s.kick()
	}
}

// takes counts the wants that a symbol is subscribed to by.
func (c *Client) takes(symbol string) (n int) {
	for range c.takers(symbol) {
		n++
	}
	return n
}

// takers are these wants.
func (c *Client) takers(symbol string) iter.Seq[*want] {
	return func(yield func(*want) bool) {
		if w := c.wants[symbol]; w != nil && !yield(w) {
			return
		}
		for name, w := range c.patterns {
			if matches(name, symbol) && !yield(w) {
				return
			}
		}
	}
}

// inOrder lists the wants in the order they came.
func (c *Client) inOrder() []*want {
	return slices.SortedFunc(maps.Values(c.wants), func(a, b *want) int { return cmp.Compare(a.order, b.order) })
}
