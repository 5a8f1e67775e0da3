package fanout

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// request acts on one request message and answers it.
func (l *loop) request(ci uint32, text bool, payload []byte) {
	c := &l.conns[ci]
	if c.tokens == 0 {
		if c.floods++; c.floods > floodMax {
			l.bye(ci, ws.StatusPolicyViolation, "too many requests")
			return
		}
		l.fail(ci, nil, codec.CodeTooManyRequests, fmt.Sprintf("at most %d a second", requestsPerSecond))
		return
	}
	c.tokens--
	parse := codec.ParseRequest
	if text {
		parse = codec.ParseRequestJSON
	}
	r := &l.req
	if err := parse(payload, r); err != nil {
		code := codec.CodeMalformed
		if errors.Is(err, codec.ErrUnknownOp) {
			code = codec.CodeUnknownOp
		}
		l.fail(ci, &r.ID, code, strings.TrimPrefix(err.Error(), "codec: "))
		return
	}
	if len(r.Symbols) > requestSymbols {
		l.fail(ci, &r.ID, codec.CodeTooManySymbols, fmt.Sprintf("%d in one request; at most %d", len(r.Symbols), requestSymbols))
		return
	}
	l.reply = codec.Reply{ID: r.ID, Op: r.Op, Results: l.reply.Results[:0]}
	switch r.Op {
	case codec.OpSubscribe:
		l.subscribe(ci, r)
	case codec.OpUnsubscribe:
		l.unsubscribe(ci, r)
	case codec.OpSet:
		l.set(ci, r)
	case codec.OpPause:
		c.paused = true
		l.lull(c)
		l.answer(ci)
	case codec.OpResume:
		c.paused = false
		if l.answer(ci) {
			l.wake(ci)
		}
	case codec.OpList:
		l.listSubs(ci)
	case codec.OpPing:
		l.reply.Time = l.sentAt
		l.answer(ci)
	default: // auth
		l.fail(ci, &r.ID, codec.CodeTokenRefused, "this node takes no tokens")
	}
	if l.conns[ci].state == stateOpen {
		l.prune(ci)
	}
}

// answer sends the reply and reports whether the socket took it.
func (l *loop) answer(ci uint32) bool {
	l.count[requests]++
	return tell(l, ci, &l.reply, codec.AppendReply, codec.AppendReplyJSON)
}

// fail answers a request as a whole with an error.
func (l *loop) fail(ci uint32, id *int64, code codec.Code, detail string) {
	l.count[requestErrors]++
	tell(l, ci, codec.NewError(id, code, detail), codec.AppendError, codec.AppendErrorJSON)
}

// result adds what became of one symbol to the reply.
func (l *loop) result(symbol []byte, id uint32) {
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: string(symbol), ID: &id})
}

func (l *loop) failed(symbol []byte, code codec.Code, detail string) {
	l.count[requestErrors]++
	l.reply.Results = append(l.reply.Results, codec.Result{
		Symbol: string(symbol), Error: codec.NewError(nil, code, detail),
	})
}

// terms reads a request's rate and fields; a whole request fails with them.
func (l *loop) terms(ci uint32, r *codec.Request) (period uint8, view codec.Mask, ok bool) {
	period, ok = periodOf(r.Rate)
	if !ok {
		l.fail(ci, &r.ID, codec.CodeBadRate, fmt.Sprintf("%v updates a second; 0 for raw, or at least %v",
			r.Rate, rateOf(uint8(len(periods)-1))))
		return 0, 0, false
	}
	for _, name := range r.Fields {
		f, known := codec.FieldByName(string(name))
		if !known {
			l.fail(ci, &r.ID, codec.CodeUnknownField, fmt.Sprintf("%q; hello lists them", name))
			return 0, 0, false
		}
		view |= 1 << f
	}
	if view == 0 {
		view = codec.AllFields
	}
	return period, view.WithScales(), true
}

// periodOf is the shortest period that keeps below a rate, in updates a second.
func periodOf(rate float64) (uint8, bool) {
	if rate == 0 {
		return 0, true
	}
	if !(rate > 0) {
		return 0, false
	}
	for i, p := range periods {
		if p > 0 && 1/p.Seconds() <= rate+1e-9 {
			return uint8(i), true
		}
	}
	return 0, false
}

// rateOf is what a period allows, in updates a second; 0 is raw.
func rateOf(period uint8) float64 {
	if period == 0 {
		return 0
	}
	return float64(time.Second) / float64(periods[period])
}

// effective is rateOf as a reply has it.
func effective(period uint8) *float64 {
	rate := rateOf(period)
	return &rate
}

// narrowed is a view as a reply has it: none when it is everything.
func narrowed(view codec.Mask) codec.Mask {
	if view == codec.AllFields {
		return 0
	}
	return view
}

func (l *loop) unsubscribe(ci uint32, r *codec.Request) {
	l.markMine(ci)
	for _, symbol := range r.Symbols {
		if n := len(symbol); n > 0 && symbol[n-1] == '*' {
			l.unsubscribePattern(ci, symbol)
			continue
		}
		id, known := l.row(symbol)
		if li, i, ok := l.locateMine(ci, id); known && ok {
			l.leave(li, uint32(i))
			l.mine[id] = 0
			l.result(symbol, id)
		} else {
			l.failed(symbol, codec.CodeNotSubscribed, "nothing to end")
		}
	}
	l.answer(ci)
}

// set moves subs to the lane of other terms; fresh images follow, so that nothing
// depends on what the old terms had sent.
func (l *loop) set(ci uint32, r *codec.Request) {
	period, view, ok := l.terms(ci, r)
	if !ok {
		return
	}
	l.markMine(ci)
	for _, symbol := range r.Symbols {
		id, known := l.row(symbol)
		li, i, ok := l.locateMine(ci, id)
		if !known || !ok {
			l.failed(symbol, codec.CodeNotSubscribed, "subscribe first")
			continue
		}
		p, v := l.lanes[li].period, l.lanes[li].view
		if r.HasRate {
			p = period
		}
		if len(r.Fields) > 0 {
			v = view
		}
		l.leave(li, uint32(i))
		l.join(l.laneFor(ci, p, v), id)
		l.reply.Rate, l.reply.Fields = effective(p), narrowed(v)
		l.result(symbol, id)
	}
	l.answer(ci)
}

func (l *loop) listSubs(ci uint32) {
	l.eachSub(ci, func(li, id uint32) {
		ln := &l.lanes[li]
		l.reply.Results = append(l.reply.Results, codec.Result{
			Symbol: l.board.names[id], ID: &id, Rate: effective(ln.period), Fields: narrowed(ln.view),
		})
	})
	l.answer(ci)
}

// row finds a symbol's row on this loop's board.
func (l *loop) row(symbol []byte) (uint32, bool) {
	id, ok := l.board.ids[string(symbol)]
	return id, ok
}

// prune frees the lanes of a conn that have no subs left.
func (l *loop) prune(ci uint32) {
	for at := &l.conns[ci].lanes; *at != 0; {
		li := *at
		ln := &l.lanes[li]
		if ln.n > 0 {
			at = &ln.next
			continue
		}
		*at = ln.next
		l.dropLane(li)
	}
}
