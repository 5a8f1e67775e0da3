package client

import (
	"cmp"
	"slices"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

const (
	requestBurst = 10 // requests that need not wait for the node's rate
	// requestShare of the bytes that a node takes are used: lengths are estimates.
	requestShare = 0.75
	symbolCost   = 8  // bytes of a symbol in a request, beside its name
	resumeCost   = 32 // bytes of a position in a request, beside its name
)

// asked is a request that is not answered yet.
type asked struct {
	op      codec.Op
	wants   []*want
	resumed map[string]bool // symbols whose position was told
	call    *call
}

// call is a request that a caller waits for.
type call struct {
	op    codec.Op
	reply *codec.Reply
	err   error
	done  chan struct{}
}

// write sends requests, at the rate that the node takes them, until the connection
// ends.
func (s *session) write() {
	var (
		c       = s.client
		limits  = s.limits()
		gap     = time.Second / time.Duration(limits.RequestsPerSecond)
		free    = time.Now().Add(-requestBurst * gap) // a request is due at free, which may be past
		out     []byte
		op      = ws.OpBinary
		appendR = codec.AppendRequest
	)
	if c.cfg.Encoding == "json" {
		op, appendR = ws.OpText, codec.AppendRequestJSON
	}
	for {
		var r *codec.Request
		wait := time.Until(free)
		if wait <= 0 {
			c.mu.Lock()
			r = s.next(limits)
			if wait = time.Hour; !s.askAt.IsZero() {
				wait = time.Until(s.askAt)
			}
			c.mu.Unlock()
		}
		if r != nil {
			out = appendR(out[:0], r)
			if err := s.wire.write(op, out, writeTimeout); err != nil {
				f := &failure{err, time.Now().Add(lastWords)}
				s.failed.Store(f)
				s.wire.conn.SetReadDeadline(f.until) // for a read under way
				return
			}
			if floor := time.Now().Add(-requestBurst * gap); free.Before(floor) {
				free = floor
			}
			free = free.Add(gap)
			continue
		}
		select {
		case <-s.over:
			return
		case <-s.wake:
		case <-time.After(wait):
		}
	}
}

// limits are the node's, where it said any.
func (s *session) limits() codec.Limits {
	l := s.hello.Limits
	l.RequestBytes = cmp.Or(max(0, l.RequestBytes), 64<<10)
	l.RequestSymbols = cmp.Or(max(0, l.RequestSymbols), 4096)
	l.RequestsPerSecond = cmp.Or(max(0, l.RequestsPerSecond), 50)
	return l
}

// next is the request to send now, or nil. The caller holds mu, here and below.
func (s *session) next(limits codec.Limits) *codec.Request {
	c := s.client
	if !s.askAt.IsZero() && !time.Now().Before(s.askAt) {
		s.askAgain()
	}
	s.queue = slices.DeleteFunc(s.queue, func(w *want) bool { return c.wants[w.name] != w })
	r, a := new(codec.Request), new(asked)
	switch {
	case s.auth:
		s.auth = false
		r.Op, r.Token = codec.OpAuth, []byte(c.token)
	case s.paused != c.paused:
		s.paused = c.paused
		if r.Op = codec.OpResume; s.paused {
			r.Op = codec.OpPause
		}
	case len(s.calls) > 0:
		a.call = s.calls[0]
		s.calls = s.calls[1:]
		r.Op = a.call.op
	case len(s.drops) > 0:
		s.fillDrops(r, limits)
	case len(s.queue) > 0:
		s.fillWants(r, a, limits)
	default:
		return nil
	}
	s.requests++
	r.ID, a.op = s.requests, r.Op
	s.asked[r.ID] = a
	return r
}

// fillDrops takes names to unsubscribe, as many as a request holds.
func (s *session) fillDrops(r *codec.Request, limits codec.Limits) {
	r.Op = codec.OpUnsubscribe
	left := int(requestShare * float64(limits.RequestBytes))
	for len(s.drops) > 0 && len(r.Symbols) < limits.RequestSymbols {
		name := s.drops[0]
		if left -= len(name) + symbolCost; left < 0 && len(r.Symbols) > 0 {
			return
		}
		r.Symbols = append(r.Symbols, []byte(name))
		s.drops = s.drops[1:]
	}
}

// fillWants takes wants of equal terms off the queue, as many as a request holds,
// with the positions of what is held.
func (s *session) fillWants(r *codec.Request, a *asked, limits codec.Limits) {
	first := s.queue[0]
	r.Op, r.Rate, r.HasRate = first.op, first.terms.Rate, first.terms.Rate != 0 || first.op == codec.OpSet
	names := first.terms.Fields
	if len(names) == 0 && first.op == codec.OpSet {
		names = s.hello.Fields // set without fields leaves them as they are
	}
	for _, name := range names {
		r.Fields = append(r.Fields, []byte(name))
	}
	left := int(requestShare * float64(limits.RequestBytes))
	for len(s.queue) > 0 && len(r.Symbols) < limits.RequestSymbols {
		w := s.queue[0]
		if w.op != first.op || !w.terms.equal(first.terms) {
			return
		}
		if left -= len(w.name) + symbolCost; left < 0 && len(r.Symbols) > 0 {
			return
		}
		r.Symbols = append(r.Symbols, []byte(w.name))
		a.wants = append(a.wants, w)
		w.state = awaited
		s.queue = s.queue[1:]
		if w.op == codec.OpSubscribe {
			s.fillPositions(r, a, w, &left)
		}
	}
}

// fillPositions adds what is held of a want, as far as the request has room: the
// rest gets images.
func (s *session) fillPositions(r *codec.Request, a *asked, w *want, left *int) {
	b := s.client.board
	if !isPattern(w.name) {
		s.fillPosition(r, a, w, b.rows[w.name], left)
		return
	}
	for symbol, row := range b.rows {
		if matches(w.name, symbol) {
			s.fillPosition(r, a, w, row, left)
		}
	}
}

// fillPosition adds the position of one symbol, if what is held is what the terms
// ask for, and if one want alone takes it: of several, each would begin anew.
func (s *session) fillPosition(r *codec.Request, a *asked, w *want, row *row, left *int) {
	if row == nil || row.live || !row.whole || row.view != w.terms.view() || s.client.takes(row.symbol) != 1 {
		return
	}
	cost := len(row.symbol) + resumeCost
	if *left < cost {
		return
	}
	*left -= cost
	r.Resume = append(r.Resume, codec.Position{Symbol: []byte(row.symbol), History: row.history, Seq: row.seq})
	if a.resumed == nil {
		a.resumed = make(map[string]bool)
	}
	a.resumed[row.symbol] = true
}
