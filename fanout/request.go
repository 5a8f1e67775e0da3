package fanout

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"

	"github.com/tickwire/tickwire/codec"
)

// pattern is a subscription to all symbols with a prefix, those that appear later
// included; its request's id is how the client knows what they belong to.
type pattern struct {
	id     int64
	prefix string
	period uint8
	view   codec.Mask
}

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

func (l *loop) subscribe(ci uint32, r *codec.Request) {
	period, view, ok := l.terms(ci, r)
	if !ok {
		return
	}
	if len(r.Symbols) == 0 {
		l.fail(ci, &r.ID, codec.CodeMalformed, "subscribe needs symbols")
		return
	}
	l.reply.Rate, l.reply.Fields = effective(period), narrowed(view)
	l.markMine(ci)
	li := l.laneFor(ci, period, view)
	for _, symbol := range r.Symbols {
		switch {
		case !validSymbol(symbol):
			l.failed(symbol, codec.CodeBadSymbol, "a symbol is venue:NAME, a pattern ends in *")
		case symbol[len(symbol)-1] == '*':
			l.subscribePattern(ci, li, pattern{r.ID, string(symbol[:len(symbol)-1]), period, view})
		default:
			if id, known := l.row(symbol); !known {
				l.failed(symbol, codec.CodeUnknownSymbol, "not on the board; it may appear later")
			} else {
				l.subscribeRow(ci, li, symbol, id, r)
			}
		}
	}
	if l.answer(ci) {
		l.resumeAll(ci, r)
	}
}

// subscribeRow joins the lane to a row; a sub that the conn had of it ends.
func (l *loop) subscribeRow(ci, li uint32, symbol []byte, id uint32, r *codec.Request) {
	if at, i, had := l.locateMine(ci, id); had {
		l.leave(at, uint32(i))
	} else if int(l.conns[ci].subs) >= l.limits.MaxSubs {
		l.failed(symbol, codec.CodeTooManySubs, fmt.Sprintf("at most %d on one connection", l.limits.MaxSubs))
		return
	}
	row := &l.board.rows[id]
	for i := range r.Resume {
		p := &r.Resume[i]
		if p.History == row.update.History && p.Seq > row.update.Seq && bytes.Equal(p.Symbol, symbol) {
			l.failed(symbol, codec.CodeUnavailable, "this node is behind what you hold")
			return
		}
	}
	l.join(li, id)
	l.mine[id] = l.mineTurn
	l.result(symbol, id)
}

func (l *loop) subscribePattern(ci, li uint32, p pattern) {
	held := l.patterns[ci]
	held = slices.DeleteFunc(held, func(q pattern) bool { return q.prefix == p.prefix })
	symbol := []byte(p.prefix + "*")
	if len(held) >= patternsMax {
		l.failed(symbol, codec.CodeTooManySubs, fmt.Sprintf("at most %d patterns on one connection", patternsMax))
		return
	}
	l.patterns[ci] = append(held, p)
	matched := new(int)
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: string(symbol), Matched: matched})
	for id, name := range l.board.names[:len(l.board.rows)] {
		if len(name) >= len(p.prefix) && name[:len(p.prefix)] == p.prefix {
			l.subscribeRow(ci, li, []byte(name), uint32(id), &codec.Request{})
			*matched++
		}
	}
}

// matchPatterns subscribes the conns that hold a pattern to the new rows it names.
func (l *loop) matchPatterns(first int) {
	for ci, held := range l.patterns {
		for _, p := range held {
			l.reply = codec.Reply{ID: p.id, Op: codec.OpSubscribe, Rate: effective(p.period), Fields: narrowed(p.view), Results: l.reply.Results[:0]}
			l.markMine(ci)
			li := l.laneFor(ci, p.period, p.view)
			for id := first; id < len(l.board.rows); id++ {
				name := l.board.names[id]
				if len(name) >= len(p.prefix) && name[:len(p.prefix)] == p.prefix {
					l.subscribeRow(ci, li, []byte(name), uint32(id), &codec.Request{})
				}
			}
			if len(l.reply.Results) > 0 {
				l.answer(ci)
			}
			if l.conns[ci].state != stateOpen {
				break
			}
			l.prune(ci)
		}
	}
}

// resumeAll sends what a client lacks that told what it holds. What does not fit
// one message gets images, as do other histories.
func (l *loop) resumeAll(ci uint32, r *codec.Request) {
	l.frame.begin(l.conns[ci].json)
	for _, p := range r.Resume {
		id, known := l.row(p.Symbol)
		if !known {
			continue // its result says so
		}
		row := &l.board.rows[id]
		li, i, ok := l.locateMine(ci, id)
		if !ok || row.update.History != p.History || len(l.frame.buf) >= messageBytes {
			continue
		}
		l.words.get(l.lanes[li].subs)[i] = id
		var flags codec.Flags
		if row.update.Seq-p.Seq > 1 {
			flags = codec.Conflated | codec.ReasonCatchUp
		}
		if row.gapSeq > p.Seq {
			flags |= codec.Gap
		}
		if mask := row.sinceSeq(p.Seq) & l.lanes[li].view; mask != 0 {
			l.putUpdate(row, mask, flags)
		}
	}
	if l.frame.n > 0 {
		l.sendFrame(ci)
	}
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

func (l *loop) unsubscribePattern(ci uint32, symbol []byte) {
	prefix := string(symbol[:len(symbol)-1])
	held := l.patterns[ci]
	rest := slices.DeleteFunc(held, func(p pattern) bool { return p.prefix == prefix })
	if len(rest) == len(held) {
		l.failed(symbol, codec.CodeNotSubscribed, "no such pattern")
		return
	}
	if l.patterns[ci] = rest; len(rest) == 0 {
		delete(l.patterns, ci)
	}
	matched := 0
	for li := l.conns[ci].lanes; li != 0; li = l.lanes[li].next {
		for i := l.lanes[li].n; i > 0; i-- {
			id := l.words.get(l.lanes[li].subs)[i-1] &^ isNew
			if name := l.board.names[id]; len(name) >= len(prefix) && name[:len(prefix)] == prefix {
				l.leave(li, i-1)
				matched++
			}
		}
	}
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: string(symbol), Matched: &matched})
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

// markMine notes which rows the conn subscribes to, so that a request with many
// symbols need not search its subs for each.
func (l *loop) markMine(ci uint32) {
	l.mineTurn++
	if n := len(l.board.rows) - len(l.mine); n > 0 {
		l.mine = append(l.mine, make([]uint64, n)...)
	}
	l.eachSub(ci, func(_, id uint32) { l.mine[id] = l.mineTurn })
}

// locateMine is locate for a row that markMine may have noted.
func (l *loop) locateMine(ci, id uint32) (li uint32, i int, ok bool) {
	if int(id) >= len(l.mine) || l.mine[id] != l.mineTurn {
		return 0, 0, false
	}
	return l.locate(ci, id)
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

// symbolMax bounds a symbol's length, in bytes.
const symbolMax = 64

// validSymbol reports whether s can name a symbol or a pattern: venue, colon,
// name, of visible ASCII, a * at the end alone; or * for everything.
func validSymbol(s []byte) bool {
	if string(s) == "*" {
		return true
	}
	if len(s) > symbolMax {
		return false
	}
	colon := bytes.IndexByte(s, ':')
	if colon <= 0 || colon == len(s)-1 {
		return false
	}
	for i, b := range s {
		if b <= ' ' || b > '~' || b == '*' && i != len(s)-1 {
			return false
		}
	}
	return true
}
