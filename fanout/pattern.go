package fanout

import (
	"fmt"
	"slices"
	"strings"

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

func (l *loop) subscribePattern(ci, li uint32, p pattern) {
	held := slices.DeleteFunc(l.patterns[ci], func(q pattern) bool { return q.prefix == p.prefix })
	symbol := p.prefix + "*"
	if len(held) >= patternsMax {
		l.failed(symbol, codec.CodeTooManySubs, fmt.Sprintf("at most %d patterns on one connection", patternsMax))
		return
	}
	for id, n := range l.notes {
		// A pattern is taken whole or not at all: who asks again names the pattern.
		if n.request == l.noting && n.ahead && !n.answered && strings.HasPrefix(l.board.names[id], p.prefix) {
			l.failed(symbol, codec.CodeUnavailable, "this node is behind what you hold of "+l.board.names[id])
			return
		}
	}
	l.patterns[ci] = append(held, p)
	matched := new(int)
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: symbol, Matched: matched})
	*matched = l.joinMatching(ci, li, p.prefix, 0)
}

// joinMatching subscribes a conn to the rows from first on that a prefix names, and
// returns their number. A row that the reply has already stays as it is: patterns
// that overlap would else make an answer of many boards.
func (l *loop) joinMatching(ci, li uint32, prefix string, first int) (matched int) {
	for id := first; id < len(l.board.rows); id++ {
		if !strings.HasPrefix(l.board.names[id], prefix) {
			continue
		}
		matched++
		if !l.note(uint32(id)).answered {
			l.subscribeRow(ci, li, uint32(id))
		}
	}
	return matched
}

// matchPatterns subscribes the conns that hold a pattern to the new rows it names.
func (l *loop) matchPatterns(first int) {
	for ci, held := range l.patterns {
		for _, p := range held {
			l.reply = codec.Reply{ID: p.id, Op: codec.OpSubscribe, Rate: effective(p.period), Fields: narrowed(p.view), Results: l.reply.Results[:0]}
			l.noteSubs(ci)
			l.joinMatching(ci, l.laneFor(ci, p.period, p.view), p.prefix, first)
			if len(l.reply.Results) > 0 {
				l.answer(ci)
			}
		}
		l.prune(ci)
	}
}

func (l *loop) unsubscribePattern(ci uint32, symbol string) {
	prefix := strings.TrimSuffix(symbol, "*")
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
			id := l.subs.get(l.lanes[li].subs)[i-1].row &^ isNew
			if strings.HasPrefix(l.board.names[id], prefix) {
				l.leave(li, i-1)
				matched++
			}
		}
	}
	l.reply.Results = append(l.reply.Results, codec.Result{Symbol: symbol, Matched: &matched})
}
