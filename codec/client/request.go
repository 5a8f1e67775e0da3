package client

import (
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

const (
	// requestShare of the bytes that a node takes are used: lengths are estimates.
	requestShare = 0.75
	symbolCost   = 8  // bytes of a symbol in a request, beside its name
	resumeCost   = 32 // bytes of a position in a request, beside its name
)

// asked is a request that is not answered yet.
type asked struct {
	op      codec.Op
	resumed map[string]bool // symbols whose position was told
	call    *call
	token   string // of auth
}

// call is a request that a caller waits for.
type call struct {
	op    codec.Op
	reply codec.Reply
	err   error
	done  chan struct{}
}

// write sends requests, at the rate that the node takes them, until the connection
// ends. It may just stop when one cannot be written: the reader meets the reason.
func (s *session) write() {
	c := s.client
	op, appendR := ws.OpBinary, codec.AppendRequest
	if c.cfg.Encoding == "json" {
		op, appendR = ws.OpText, codec.AppendRequestJSON
	}
	var out []byte
	for {
		c.mu.Lock()
		r := s.next()
		wait, wake := time.Hour, s.wake
		if !s.askAt.IsZero() {
			wait = time.Until(s.askAt)
		}
		c.mu.Unlock()
		if r != nil {
			out = appendR(out[:0], r)
			if s.wire.write(op, out, writeTimeout) != nil {
				return
			}
			wait, wake = time.Second/time.Duration(s.hello.Limits.RequestsPerSecond), nil
		}
		select {
		case <-s.over:
			return
		case <-wake:
		case <-time.After(wait):
		}
	}
}

// next is the request to send now, or nil. The caller holds mu, here and below.
func (s *session) next() *codec.Request {
	c := s.client
	if !s.askAt.IsZero() && !time.Now().Before(s.askAt) {
		s.askAt = time.Time{}
		for _, w := range c.inOrder() {
			if w.state == later {
				c.ask(w)
			}
		}
		s.auth, s.authLater = s.auth || s.authLater, false
	}
	if s.authing {
		return nil // what is asked meanwhile is asked under the new token
	}
	s.queue = slices.DeleteFunc(s.queue, func(w *want) bool { return !w.drop && c.wants[w.name] != w })
	r, a := &codec.Request{ID: s.requests + 1}, &asked{resumed: make(map[string]bool)}
	switch {
	case s.auth:
		s.auth, s.authing, a.token = false, true, c.pass.token
		r.Op, r.Token = codec.OpAuth, []byte(a.token)
	case s.paused != c.paused:
		s.paused = c.paused
		if r.Op = codec.OpResume; s.paused {
			r.Op = codec.OpPause
		}
	case len(s.queue) > 0:
		s.fill(r, a)
	case len(s.calls) > 0: // last, so that their answers are of what was wanted before
		a.call = s.calls[0]
		s.calls = s.calls[1:]
		r.Op = a.call.op
	default:
		return nil
	}
	s.requests, a.op = r.ID, r.Op
	s.asked[r.ID] = a
	return r
}

// fill takes wants of equal terms off the queue, as many as a request holds, with
// the positions of what is held.
func (s *session) fill(r *codec.Request, a *asked) {
	limits, first := s.hello.Limits, s.queue[0]
	r.Op, r.Rate, r.HasRate = codec.OpSubscribe, first.terms.Rate, first.terms.Rate != 0
	if first.drop {
		r.Op = codec.OpUnsubscribe
	}
	for _, name := range first.terms.Fields {
		r.Fields = append(r.Fields, []byte(name))
	}
	left := int(requestShare * float64(limits.RequestBytes))
	for len(s.queue) > 0 && len(r.Symbols) < limits.RequestSymbols {
		w := s.queue[0]
		left -= len(w.name) + symbolCost
		if w.drop != first.drop || !w.terms.equal(first.terms) || left < 0 && len(r.Symbols) > 0 {
			return
		}
		r.Symbols = append(r.Symbols, []byte(w.name))
		w.state, w.request = awaited, r.ID
		s.queue = s.queue[1:]
		if !w.drop {
			s.fillPositions(r, a, w, &left)
		}
	}
}

// fillPositions adds what is held of a want, as far as the request has room: the
// rest gets images. So do symbols of which other fields are held, and those that
// several wants take, since each would begin anew.
func (s *session) fillPositions(r *codec.Request, a *asked, w *want, left *int) {
	c := s.client
	rows := c.board.rows
	if !isPattern(w.name) {
		rows = map[string]*row{w.name: rows[w.name]}
	}
	view := w.terms.view()
	for symbol, row := range rows {
		if row == nil || row.live || !row.whole || row.view != view || symbol != w.name && !matches(w.name, symbol) || c.takes(symbol) != 1 {
			continue
		}
		cost := len(symbol) + resumeCost
		if *left < cost {
			return
		}
		*left -= cost
		r.Resume = append(r.Resume, codec.Position{Symbol: []byte(symbol), History: row.history, Seq: row.seq})
		a.resumed[symbol] = true
	}
}
