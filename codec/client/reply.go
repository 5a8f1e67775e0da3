package client

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tickwire/tickwire/codec"
)

// replied takes a reply: numbers for symbols, and what was refused.
func (s *session) replied(r *codec.Reply) error {
	c := s.client
	c.mu.Lock()
	a := s.answered(r.ID, *r, nil)
	var events []Event
	for i := range r.Results {
		x := &r.Results[i]
		if x.ID != nil && !codec.ValidSymbol([]byte(x.Symbol)) {
			c.mu.Unlock()
			return fmt.Errorf("%w: a symbol called %.64q", errPromise, x.Symbol)
		}
		if r.Op != codec.OpSubscribe {
			continue // nothing of it is news, but of auth's, below
		}
		if e, ok := s.result(x, r, a); ok {
			events = append(events, e)
		}
	}
	if a.op == codec.OpAuth {
		events = s.authorized(r, a)
	}
	subs, most := c.board.subs, s.hello.Limits.Subs
	c.mu.Unlock()
	if subs > most {
		return fmt.Errorf("%w: the node has subscribed us to %d symbols, of %d at the most", errDistrust, subs, most)
	}
	for _, e := range events {
		c.event(e)
	}
	return nil
}

// answered ends a request, and what a caller waits for. The caller holds mu, here
// and below.
func (s *session) answered(id int64, r codec.Reply, err error) *asked {
	a := s.asked[id]
	delete(s.asked, id)
	if a == nil {
		return new(asked) // a pattern takes a new symbol
	}
	if a.op == codec.OpAuth {
		s.authing = false
		s.kick() // what waited for it
	}
	if a.call != nil {
		a.call.reply, a.call.err = r, err
		close(a.call.done)
	}
	return a
}

// result takes what became of one symbol, or of a pattern, that was subscribed to.
func (s *session) result(x *codec.Result, r *codec.Reply, a *asked) (e Event, news bool) {
	c, w := s.client, s.client.wants[x.Symbol]
	ours := w != nil && w.state == awaited && w.request == r.ID
	switch {
	case x.Error != nil:
		e = Event{Kind: Refused, Symbol: x.Symbol, Err: x.Error}
		if ours {
			e.After = s.refused(w, x.Error.Retry)
			if x.Error.Code == codec.CodeNotAllowed {
				w.barred = s.token
			}
		}
		if w == nil {
			return e, c.takes(x.Symbol) > 0 // one that a pattern takes
		}
		return e, ours || w.state == held // a pattern that takes no more
	case c.takes(x.Symbol) == 0:
		return e, false // unsubscribed meanwhile
	}
	if ours {
		w.state = held
		if s.askAt.IsZero() {
			s.askDelay = c.pace.askFirst
		}
	}
	if x.ID != nil {
		c.board.confirm(x.Symbol, *x.ID, allOr(r.Fields), a.resumed[x.Symbol])
	}
	if ours && r.Rate != nil {
		w.slowed = w.slowed && *r.Rate > 0 && (w.terms.Rate == 0 || *r.Rate < w.terms.Rate)
	}
	e = Event{Kind: Subscribed, Symbol: x.Symbol, Matched: 1}
	if x.Matched != nil {
		e.Matched = *x.Matched
	}
	if r.Rate != nil {
		e.Rate = *r.Rate
	}
	return e, true
}

// allOr is the fields that a reply names; all when it names none.
func allOr(fields codec.Mask) codec.Mask { return cmp.Or(fields, codec.AllFields) }

// failed takes an error: of a whole request. Answers come in order, so that one that
// names none is of the oldest.
func (s *session) failed(e *codec.Error) error {
	c := s.client
	event := Event{Kind: Refused, Err: e}
	c.mu.Lock()
	id := s.requests + 1
	for open := range s.asked {
		id = min(id, open)
	}
	if e.ID != nil {
		id = *e.ID
	}
	a := s.answered(id, codec.Reply{}, e)
	for _, w := range c.wants {
		if w.state == awaited && w.request == id {
			event.After = s.refused(w, e.Retry)
		}
	}
	if a.op == codec.OpAuth {
		event.After = s.unauthorized(a, e.Retry)
	}
	c.mu.Unlock()
	c.event(event)
	switch a.op {
	case codec.OpUnsubscribe, codec.OpPause, codec.OpResume:
		return e // the next connection begins with what is wanted
	}
	return nil
}

// refused puts off a want that the node may have in a moment; all of those are asked
// for at once then. It returns how long that is, 0 for never.
func (s *session) refused(w *want, retry bool) time.Duration {
	if !retry {
		w.state = idle
		return 0
	}
	w.state = later
	return s.putOff()
}

// putOff is when to ask again for what is refused for now.
func (s *session) putOff() time.Duration {
	if s.askAt.IsZero() {
		// A fifth more or less, so that clients do not stay in step.
		s.askAt = time.Now().Add(time.Duration(float64(s.askDelay) * (0.8 + 0.4*rand.Float64())))
		s.askDelay = min(2*s.askDelay, s.client.pace.askMost)
		s.kick()
	}
	return time.Until(s.askAt)
}
