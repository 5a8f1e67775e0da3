package fanout

import (
	"errors"
	"fmt"
	"strings"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// noID answers a request whose id could not be read.
const noID = -1

// request acts on one request message and answers it.
func (l *loop) request(ci uint32, text bool, payload []byte) {
	c := &l.conns[ci]
	if !l.spend(ci, 1+len(payload)/costBytes) {
		l.fail(ci, noID, codec.CodeTooManyRequests, fmt.Sprintf("at most %d a second, and fewer large ones", l.cfg.Requests))
		return
	}
	c.used = l.clock
	l.reply = codec.Reply{Results: l.reply.Results[:0]}
	parse := codec.ParseRequest
	if text {
		parse = codec.ParseRequestJSON
	}
	r := &l.req
	if err := parse(payload, r); err != nil {
		code := codec.CodeMalformed
		switch {
		case errors.Is(err, codec.ErrUnknownOp):
			code = codec.CodeUnknownOp
		case errors.Is(err, codec.ErrResume):
			code = codec.CodeBadResume
		}
		l.fail(ci, r.ID, code, strings.TrimPrefix(err.Error(), "codec: "))
		return
	}
	l.events.requests.WithLabelValues(string(r.Op)).Inc()
	if n := max(len(r.Symbols), len(r.Resume)); n > requestSymbols {
		l.fail(ci, r.ID, codec.CodeTooManySymbols, fmt.Sprintf("%d in one request; at most %d", n, requestSymbols))
		return
	}
	if l.tails > tailsMax {
		l.fail(ci, r.ID, codec.CodeUnavailable, "slow readers leave too much unread; ask again")
		return
	}
	l.reply.ID, l.reply.Op = r.ID, r.Op
	switch r.Op {
	case codec.OpSubscribe:
		l.subscribe(ci, r)
	case codec.OpUnsubscribe:
		l.unsubscribe(ci, r)
	case codec.OpSet:
		l.set(ci, r)
	case codec.OpPause:
		c.paused = true
		l.sleep(c)
		l.sendReply(ci)
	case codec.OpResume:
		c.paused = false
		if l.sendReply(ci) {
			l.wake(ci)
		}
	case codec.OpList:
		l.list(ci)
	case codec.OpPing:
		l.reply.Time = l.sentAt
		l.sendReply(ci)
	case codec.OpAuth:
		l.renew(ci, r)
	}
	c.budget -= int32(len(l.reply.Results) / costResults)
	l.prune(ci)
}

// spend takes the price of a frame from a conn's budget, which it may then owe.
// Without any it reports false; too often, that ends the conn.
func (l *loop) spend(ci uint32, price int) bool {
	c := &l.conns[ci]
	if c.budget > 0 {
		c.budget -= int32(price)
		return true
	}
	if c.floods++; c.floods > floodMax {
		l.bye(ci, ws.StatusPolicyViolation, "too many requests")
	}
	return false
}

// sendReply sends the reply and reports whether the socket took it.
func (l *loop) sendReply(ci uint32) bool { return l.tell(ci, &l.reply) }

// fail answers a request as a whole with an error.
func (l *loop) fail(ci uint32, id int64, code codec.Code, detail string) {
	if l.conns[ci].state != stateOpen {
		return // it was closed for this very request
	}
	l.events.errors.WithLabelValues(number(code)).Inc()
	e := codec.NewError(nil, code, detail)
	if id != noID {
		e.ID = &id
	}
	l.tell(ci, e)
}

// result adds what became of one row to the reply.
func (l *loop) result(id uint32) {
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: l.board.names[id], ID: &id})
}

// resultOf is result with the terms of the row's lane.
func (l *loop) resultOf(id uint32, ln *lane) {
	l.reply.Results = append(l.reply.Results, codec.Result{
		Symbol: l.board.names[id], ID: &id, Rate: rateOf(ln.period), Fields: narrowed(ln.view),
	})
}

// failed adds the error of one name to the reply. A name that none can have is not
// echoed whole.
func (l *loop) failed(symbol string, code codec.Code, detail string) {
	l.events.errors.WithLabelValues(number(code)).Inc()
	if len(symbol) > codec.SymbolMax {
		symbol = strings.ToValidUTF8(symbol[:codec.SymbolMax], "") + "..."
	}
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: symbol, Error: codec.NewError(nil, code, detail)})
}

// terms reads a request's rate and fields; a whole request fails with them.
func (l *loop) terms(ci uint32, r *codec.Request) (period uint8, view codec.Mask, ok bool) {
	period, ok = periodOf(r.Rate)
	if !ok {
		l.fail(ci, r.ID, codec.CodeBadRate, fmt.Sprintf("%v updates a second; 0 for raw, or at least %v",
			r.Rate, *rateOf(uint8(len(periods) - 1))))
		return 0, 0, false
	}
	for _, name := range r.Fields {
		f, known := codec.FieldByName(string(name))
		if !known {
			l.fail(ci, r.ID, codec.CodeUnknownField, fmt.Sprintf("%.32q; there are %s", name, strings.Join(codec.FieldNames[:], ", ")))
			return 0, 0, false
		}
		view |= 1 << f
	}
	if view == 0 {
		view = codec.AllFields
	}
	return max(period, l.periodLeast(ci)), view.WithScales(), true
}

// narrowed is a view as a reply has it: none when it is everything.
func narrowed(view codec.Mask) codec.Mask {
	if view == codec.AllFields {
		return 0
	}
	return view
}

// unsubscribe takes names off what the conn holds, and ends the subs that no other
// name takes.
func (l *loop) unsubscribe(ci uint32, r *codec.Request) {
	l.noteSubs(ci)
	for _, name := range r.Symbols {
		if codec.ValidPattern(name) {
			l.unsubscribePattern(ci, string(name))
			continue
		}
		id, n := l.subscribed(name)
		if n == nil || !l.subAt(n).named() {
			l.failed(string(name), codec.CodeNotSubscribed, "this name is not held")
			continue
		}
		if l.patternTakes(ci, id) {
			*l.subAt(n) &^= isNamed
		} else {
			l.leave(n.lane, n.at)
		}
		l.result(id)
	}
	l.sendReply(ci)
}

// set moves subs to the lane of other terms; fresh images follow, so that nothing
// depends on what the old terms had sent.
func (l *loop) set(ci uint32, r *codec.Request) {
	period, view, ok := l.terms(ci, r)
	if !ok {
		return
	}
	l.noteSubs(ci)
	for _, symbol := range r.Symbols {
		id, n := l.subscribed(symbol)
		if n == nil {
			l.failed(string(symbol), codec.CodeNotSubscribed, "subscribe first")
			continue
		}
		p, v := l.lanes[n.lane].period, l.lanes[n.lane].view
		if r.HasRate {
			p = period
		}
		if len(r.Fields) > 0 {
			v = view
		}
		li := l.laneFor(ci, p, v)
		if li == 0 {
			l.failed(string(symbol), codec.CodeTooManySubs, tooManyTerms)
			continue
		}
		named := l.subAt(n).named()
		l.leave(n.lane, n.at)
		l.join(li, id, named)
		l.resultOf(id, &l.lanes[li])
	}
	l.sendReply(ci)
}

// list answers with what the conn holds: its patterns, then its subs.
func (l *loop) list(ci uint32) {
	for i := range l.patterns[ci] {
		p := &l.patterns[ci][i]
		l.reply.Results = append(l.reply.Results, codec.Result{
			Symbol: p.prefix + "*", Matched: &p.matched, Rate: rateOf(p.period), Fields: narrowed(p.view),
		})
	}
	for li := l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
		ln := &l.lanes[li]
		for _, s := range l.subs.get(ln.subs)[:ln.n] {
			l.resultOf(s.id(), ln)
		}
	}
	l.sendReply(ci)
}
