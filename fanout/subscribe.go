package fanout

import (
	"bytes"
	"fmt"

	"github.com/tickwire/tickwire/codec"
)

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
