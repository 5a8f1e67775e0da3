package client

import (
	"cmp"
	"strings"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// answered takes a reply: numbers for symbols, and what was refused.
func (s *session) answered(r *codec.Reply) {
	c := s.client
	c.mu.Lock()
	a := s.asked[r.ID]
	delete(s.asked, r.ID)
	if a == nil {
		a = new(asked) // of a pattern that takes a new symbol
	}
	var events []Event
	for i := range r.Results {
		x := &r.Results[i]
		switch {
		case r.Op == codec.OpUnsubscribe:
			s.dropped(x)
		case r.Op != codec.OpSubscribe && r.Op != codec.OpSet:
		case x.Error != nil:
			if e, ok := s.refusedSymbol(x, r.Op); ok {
				events = append(events, e)
			}
		default:
			s.confirmed(x, r, a)
			events = append(events, Event{Kind: Subscribed, Symbol: x.Symbol, Rate: rateOf(x, r)})
		}
	}
	if a.call != nil {
		a.call.reply = r
		close(a.call.done)
	}
	c.mu.Unlock()
	for _, e := range events {
		c.event(e)
	}
}

// rateOf is the rate in effect: set tells it of each symbol, subscribe of all.
func rateOf(x *codec.Result, r *codec.Reply) float64 {
	if rate := cmp.Or(x.Rate, r.Rate); rate != nil {
		return *rate
	}
	return 0
}

// confirmed takes the result of a symbol, or of a pattern, that was subscribed to.
// The caller holds mu, here and below.
func (s *session) confirmed(x *codec.Result, r *codec.Reply, a *asked) {
	c := s.client
	if w := c.wants[x.Symbol]; w != nil && (w.state == awaited || w.state == later) {
		w.state = held
		if s.askAt.IsZero() {
			s.askDelay = c.pace.askFirst
		}
	}
	if x.ID == nil {
		return // a pattern
	}
	view := cmp.Or(x.Fields, r.Fields, codec.AllFields)
	c.board.confirm(x.Symbol, *x.ID, view, a.resumed[x.Symbol])
	if c.except[x.Symbol] || c.takes(x.Symbol) == 0 {
		c.board.rows[x.Symbol].muted = true
	}
	if c.except[x.Symbol] {
		s.drops = append(s.drops, x.Symbol)
		s.kick()
	}
}

// refusedSymbol takes the error of one symbol of a subscription.
func (s *session) refusedSymbol(x *codec.Result, op codec.Op) (Event, bool) {
	e := Event{Kind: Refused, Symbol: x.Symbol, Err: x.Error}
	w := s.client.wants[x.Symbol]
	if w == nil {
		return e, s.client.takes(x.Symbol) > 0 && !s.client.except[x.Symbol] // one that a pattern takes
	}
	if w.state != awaited {
		return Event{}, false // put off meanwhile
	}
	if op == codec.OpSet && x.Error.Code == codec.CodeNotSubscribed {
		s.client.ask(w, codec.OpSubscribe) // dropped meanwhile, with a pattern
		return Event{}, false
	}
	if !x.Error.Retry {
		w.state = refused
		return e, true
	}
	e.After = s.postpone(w)
	return e, true
}

// dropped takes the result of a symbol, or of a pattern, that was unsubscribed.
func (s *session) dropped(x *codec.Result) {
	c := s.client
	switch {
	case x.Error != nil: // it was not subscribed to: that is as it should be
	case x.ID != nil:
		c.board.forget(x.Symbol)
	case x.Matched != nil:
		for symbol := range c.board.rows {
			if matches(x.Symbol, symbol) {
				c.board.forget(symbol)
			}
		}
		// The node ends every subscription that the pattern takes, however it came.
		prefix := strings.TrimSuffix(x.Symbol, "*")
		for _, w := range c.inOrder(func(w *want) bool {
			other := strings.TrimSuffix(w.name, "*")
			overlaps := strings.HasPrefix(other, prefix) || isPattern(w.name) && strings.HasPrefix(prefix, other)
			return overlaps && w.state == held
		}) {
			c.ask(w, codec.OpSubscribe)
		}
	}
}

// refused takes an error: of a whole request, or of the connection.
func (s *session) refused(e *codec.Error) error {
	c := s.client
	event := Event{Kind: Refused, Err: e}
	lost := e.ID == nil && e.Code == codec.CodeTooManyRequests // it does not say which
	c.mu.Lock()
	if e.ID != nil {
		if a := s.asked[*e.ID]; a != nil {
			delete(s.asked, *e.ID)
			lost = a.op == codec.OpUnsubscribe
			event.After = s.fail(a, e)
		}
	}
	c.mu.Unlock()
	c.event(event)
	if lost {
		return e // the next connection asks for everything
	}
	return nil
}

// fail ends a request that was refused as a whole. It returns after what time it is
// asked again, 0 for never.
func (s *session) fail(a *asked, e *codec.Error) (after time.Duration) {
	if a.call != nil {
		a.call.err = e
		close(a.call.done)
	}
	for _, w := range a.wants {
		switch {
		case s.client.wants[w.name] != w || w.state != awaited:
		case e.Retry:
			after = s.postpone(w)
		default:
			w.state = refused
		}
	}
	return after
}
